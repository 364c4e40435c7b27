"""Frames of millrace for Python, read where they lie.

    for frame in Frames("camera"):
        image = numpy.frombuffer(frame.data, numpy.uint8).reshape(1080, 1920, 4)

No copy is made. `frame.data`, and every array over it, is valid until the loop goes on: copy what is needed longer.
"""

import ctypes
import pathlib

_library = ctypes.CDLL(str(pathlib.Path(__file__).with_name("libmillrace_frames.so")))
_library.millrace_open.restype = ctypes.c_void_p
_library.millrace_open.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_uint64]
_library.millrace_next.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p]
_library.millrace_error.restype = ctypes.c_char_p
_library.millrace_error.argtypes = _library.millrace_close.argtypes = [ctypes.c_void_p]

POLICIES = ["wait", "drop-newest", "overwrite-oldest"]


class _Facts(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p)] + [
        (name, ctypes.c_uint64) for name in ("length", "sequence", "missed")
    ]


class Frame:
    def __init__(self, facts):
        self.sequence = facts.sequence
        self.missed = facts.missed
        self.data = memoryview((ctypes.c_ubyte * facts.length).from_address(facts.data)).cast("B")


class Frames:
    """All frames until the writer closes. Raises RuntimeError when it died (PEER_GONE), or did not appear in time."""

    def __init__(self, name, policy="wait", timeout=5.0):
        self._reader = _library.millrace_open(name.encode(), POLICIES.index(policy), int(timeout * 1000))
        self._check()

    def __iter__(self):
        facts = _Facts()
        while True:
            # A short wait, so that Ctrl-C is noticed between two of them.
            outcome = _library.millrace_next(self._reader, 100, ctypes.byref(facts))
            self._check()
            if outcome == 0:
                return
            if outcome == 1:
                yield Frame(facts)

    def close(self):
        reader, self._reader = self._reader, None
        if reader is not None:
            _library.millrace_close(reader)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _check(self):
        error = _library.millrace_error(self._reader).decode()
        if error:
            self.close()
            raise RuntimeError(error)
