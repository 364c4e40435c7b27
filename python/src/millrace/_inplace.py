"""Views and arrays of bytes where they lie in shared memory.

What a view or an array shows stays mapped until the last of them is gone, whatever was released or closed before, so that nothing
crashes: each keeps what it was asked of alive, and that its handle, which is freed last. But after the release a view that was kept
shows whatever is written there next.
"""

from __future__ import annotations

import ctypes
import functools
import math
import weakref
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Union

from ._errors import RELEASED, invalid, make_error

if TYPE_CHECKING:
    import numpy

Shape = Union[int, Sequence[int]]


def exporter_of(length: int) -> Any:
    """The type of what views of so many bytes are of: it keeps its owner alive, beyond every other reference."""
    return type("Bytes", (ctypes.c_ubyte * length,), {"__slots__": ("owner",)})


@functools.lru_cache(64)
def exporter_for(length: int) -> Any:
    """The same for at least as many. A ring is mapped twice in a row: after each byte of it there are as many as it has."""
    return exporter_of(1 << max(length - 1, 0).bit_length())


def array_over(view: memoryview, dtype: Any, shape: Optional[Shape], offset: int) -> Any:
    """A numpy array over a view, without a copy."""
    import numpy

    kind = numpy.dtype(dtype)
    if kind.hasobject:
        raise invalid(f"{kind} holds references, which mean nothing in shared memory")
    if shape is None:
        shape = (len(view) - offset) // (kind.itemsize or 1)
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if offset < 0 or min(sizes, default=0) < 0:
        raise invalid(f"shape is {shape} and offset {offset}; neither can be negative")
    if offset + math.prod(sizes) * kind.itemsize > len(view):
        raise invalid(
            f"an array of {kind}, {shape}, from {offset} on, is more than {len(view)} bytes"
        )
    return numpy.ndarray(sizes, kind, view, offset)


class InPlace:
    """Bytes that lie in shared memory, until they are released."""

    __slots__ = ("_handle", "_views", "_released", "__weakref__")

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._views: "List[weakref.ref[Any]]" = []
        self._released = False

    def _view(self, kind: Any, address: int, length: int, writable: bool) -> memoryview:
        if self._released:
            raise self._gone()
        exporter = kind.from_address(address)
        exporter.owner = self
        view = memoryview(exporter).cast("B")
        if not writable:
            view = view.toreadonly()
        if length != len(view):
            view = view[:length]
        self._views.append(weakref.ref(view))
        return view

    def _written(
        self, view: memoryview, dtype: Any, shape: Optional[Shape], offset: int
    ) -> "numpy.ndarray[Any, Any]":
        """An array over a view that is written to: it becomes read-only with the release."""
        array: "numpy.ndarray[Any, Any]" = array_over(view, dtype, shape, offset)
        self._views.append(weakref.ref(array))
        return array

    def _gone(self) -> Exception:
        what = type(self).__name__.lower()
        return make_error(RELEASED, f"the {what} was given back; take what it has before that")

    def _forget(self) -> None:
        """Released: views are void, and arrays that could be written to are read-only."""
        self._released = True
        for reference in self._views:
            view = reference()
            if view is None:
                continue
            if isinstance(view, memoryview):
                try:
                    view.release()
                except BufferError:
                    pass  # an array, or a part of it, lives: it stays mapped
            else:
                view.flags.writeable = False
        self._views.clear()
