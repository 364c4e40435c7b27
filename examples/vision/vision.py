"""Finds the bright disc in every picture, where the camera wrote it, and says where it is: with OpenCV if that is there, else with numpy."""

import struct

import millrace
import numpy

try:
    import cv2
except ImportError:
    cv2 = None


def find(image):
    """The middle of what is bright: x, y, and how many pixels it has."""
    if cv2 is None:
        rows, columns = numpy.nonzero(image > 200)
        return columns.mean(), rows.mean(), len(rows)
    _, bright = cv2.threshold(image, 200, 255, cv2.THRESH_BINARY)
    moments = cv2.moments(bright, binaryImage=True)
    return moments["m10"] / moments["m00"], moments["m01"] / moments["m00"], int(moments["m00"])


def main():
    print("vision:", "numpy" if cv2 is None else f"OpenCV {cv2.__version__}", flush=True)
    count = 0
    with millrace.FrameReader("vision") as camera, millrace.QueueProducer("vision-found") as found:
        for frame in camera:
            x, y, pixels = find(frame.array("uint8", (480, 640)))  # no copy
            found.push(struct.pack("<Qddd", frame.sequence, x, y, pixels))
            count += 1
        found.end(timeout=10)
    print(f"vision: {count} frames", flush=True)


try:
    main()
except KeyboardInterrupt:
    pass
