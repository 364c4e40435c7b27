"""Prints how bright each frame is: python3 brightness.py camera"""

import sys

from millrace_frames import Frames

try:
    import numpy
except ImportError:
    numpy = None


def brightness(data):
    if numpy is None:
        return sum(data) / len(data)
    return numpy.frombuffer(data, numpy.uint8).mean()


with Frames(sys.argv[1]) as frames:
    for frame in frames:
        print(f"frame {frame.sequence}: {brightness(frame.data):.1f}", flush=True)
