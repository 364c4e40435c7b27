"""Bytes from and to the library without a copy where there need be none."""

from __future__ import annotations

import ctypes
from typing import Any, Tuple, Union

Bytes = Union[bytes, bytearray, memoryview, Any]
"""Whatever has the buffer protocol: bytes, bytearray, memoryview, array.array, a numpy array. Text is sent as UTF-8."""

# Below it a copy is cheaper than asking for the address.
_SMALL = 4096


class _Buffer(ctypes.Structure):
    """Py_buffer."""

    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    ]


_get_buffer = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.argtypes = [ctypes.py_object, ctypes.c_void_p, ctypes.c_int]
_get_buffer.restype = ctypes.c_int
_release_buffer = ctypes.pythonapi.PyBuffer_Release
_release_buffer.argtypes = [ctypes.c_void_p]
_release_buffer.restype = None
_new_bytes = ctypes.pythonapi.PyBytes_FromStringAndSize
_new_bytes.argtypes = [ctypes.c_void_p, ctypes.c_ssize_t]
_new_bytes.restype = ctypes.py_object


class Borrowed:
    """The address of an object's bytes, for as long as this lives. It cannot be resized meanwhile."""

    __slots__ = ("_buffer", "address", "length")

    def __init__(self, source: Any) -> None:
        self._buffer = _Buffer()
        _get_buffer(source, ctypes.addressof(self._buffer), 0)
        self.address: int = self._buffer.buf or 0
        self.length: int = self._buffer.len

    def __del__(self) -> None:
        if self._buffer.obj:
            _release_buffer(ctypes.addressof(self._buffer))


def lend(message: Bytes) -> Tuple[Any, Any, int]:
    """What to hold on to during the call, what to pass as the pointer, and how many bytes it has."""
    if type(message) is bytes:
        return message, message, len(message)
    if isinstance(message, str):
        raw = message.encode("utf-8")
        return raw, raw, len(raw)
    view = memoryview(message)
    if view.nbytes <= _SMALL or not view.c_contiguous:
        raw = view.tobytes()
        return raw, raw, len(raw)
    borrowed = Borrowed(view)
    return borrowed, borrowed.address, borrowed.length


def new_bytes(length: int) -> bytes:
    """Bytes that are to be filled by the library, before anybody else sees them. More than one: short ones are shared."""
    assert length > 1
    made: bytes = _new_bytes(None, length)
    return made


class Scratch:
    """Memory that messages are copied to first. ``tell`` is a word beside it."""

    __slots__ = ("memory", "address", "view", "size", "tell", "tell_at", "lengths")

    def __init__(self, size: int, count: int) -> None:
        self.memory = (ctypes.c_ubyte * size)()
        self.address = ctypes.addressof(self.memory)
        self.view = memoryview(self.memory).cast("B")
        self.size = size
        self.tell = (ctypes.c_uint64 * 1)()
        self.tell_at = ctypes.addressof(self.tell)
        self.lengths = (ctypes.c_uint32 * count)()
