"""Event, semaphore, counter and shared memory."""

from __future__ import annotations

import ctypes
import weakref
from typing import TYPE_CHECKING, Any, List, Optional

from ._errors import OK, READY, WOULD_BLOCK, invalid
from ._inplace import Shape, array_over
from ._handle import NOTHING, Handle, wait
from ._library import check, failure, function
from ._options import (
    CREATE_ONLY,
    KEEP,
    OPEN_ONLY,
    READ_ONLY,
    Memory,
    Options,
    Place,
    fill,
    place_bytes,
    whole,
)

if TYPE_CHECKING:
    import numpy

_event_open = function("event_open")
_event_set = function("event_set")
_event_reset_now = function("event_reset_now")
_event_is_set = function("event_is_set")
_event_wait = function("event_wait")
_event_try_wait = function("event_try_wait")
_event_arm = function("event_arm")
_semaphore_open = function("semaphore_open")
_semaphore_wait = function("semaphore_wait")
_semaphore_try_wait = function("semaphore_try_wait")
_semaphore_post = function("semaphore_post")
_semaphore_value = function("semaphore_value")
_semaphore_arm = function("semaphore_arm")
_counter_open = function("counter_open")
_counter_get = function("counter_get")
_counter_set = function("counter_set")
_counter_add = function("counter_add")
_counter_exchange = function("counter_exchange")
_counter_compare_exchange = function("counter_compare_exchange")
_memory_create = function("memory_create")
_memory_open = function("memory_open")
_memory_data = function("memory_data")
_memory_size = function("memory_size")
_memory_flush = function("memory_flush")
_memory_check = function("memory_check")


class _EventOptions(ctypes.Structure):
    _fields_ = [*Options._fields_, ("reset", ctypes.c_uint32), ("reserved", ctypes.c_uint32)]


class Event(Handle):
    """Something that happens. In TypeScript: ``Event``.

    Args:
        name: of the event.
        manual: it stays set until it is reset; by default each signal lets one pass. None: what is there, or automatic.
        keep, mode, owner, spin: as of a QueueProducer.
    """

    __slots__ = ()
    _free = function("event_free")
    _close = function("event_close")
    _fd = function("event_fd")
    _disarm = function("event_disarm")

    def __init__(
        self,
        name: Place,
        *,
        manual: Optional[bool] = None,
        keep: bool = False,
        mode: int = 0o600,
        owner: Optional[int] = None,
        spin: Optional[float] = None,
    ) -> None:
        reset = 0 if manual is None else 2 if manual else 1
        options = fill(
            _EventOptions(),
            flags=KEEP if keep else 0,
            mode=mode,
            owner=owner,
            spin=spin,
            reset=reset,
        )
        out = ctypes.c_void_p()
        check(_event_open(place_bytes(name), ctypes.addressof(options), ctypes.addressof(out)))
        self._opened(name, out)

    def set(self) -> None:
        """It happens."""
        check(_event_set(self._address))

    def reset(self) -> None:
        """It has not happened."""
        check(_event_reset_now(self._address))

    def is_set(self) -> bool:
        """A hint."""
        return check(_event_is_set(self._address)) == 1

    def try_wait(self) -> bool:
        """Has it happened? With automatic reset one signal is ours then."""
        code = _event_try_wait(self._address)
        if code == WOULD_BLOCK:
            return False
        return check(code) == OK

    def wait(self, timeout: Optional[float] = None) -> None:
        """Blocks until it happens. With automatic reset one signal is ours. TimeoutError."""
        wait(lambda ns: _event_wait(self._address, ns), timeout, f"event '{self._name}'")

    async def wait_async(self, timeout: Optional[float] = None) -> None:
        """As ``wait``, but waits in the event loop."""
        await self._until(
            lambda: None if self.try_wait() else NOTHING,
            lambda what: _event_arm(self._address),
            timeout,
            f"event '{self._name}'",
        )

    def arm(self) -> bool:
        """For an event loop of your own, see ``fileno``. True: look again at once."""
        return check(_event_arm(self._address)) == READY


class _SemaphoreOptions(ctypes.Structure):
    _fields_ = [*Options._fields_, ("initial", ctypes.c_uint32), ("reserved", ctypes.c_uint32)]


class Semaphore(Handle):
    """The POSIX named semaphore, which other programs open as ``/name``. In TypeScript: ``Semaphore``.

    Args:
        name: without the slash.
        initial: permits of a new one.
        open_only: NotFoundError if there is none.
        create_only: ExistsError if there is one.
    """

    __slots__ = ()
    _free = function("semaphore_free")
    _close = function("semaphore_close")
    _fd = function("semaphore_fd")
    _disarm = function("semaphore_disarm")

    def __init__(
        self,
        name: Place,
        *,
        initial: int = 0,
        open_only: bool = False,
        create_only: bool = False,
        mode: int = 0o600,
        owner: Optional[int] = None,
    ) -> None:
        options = fill(
            _SemaphoreOptions(),
            flags=(OPEN_ONLY if open_only else 0) | (CREATE_ONLY if create_only else 0),
            mode=mode,
            owner=owner,
            initial=initial,
        )
        out = ctypes.c_void_p()
        check(_semaphore_open(place_bytes(name), ctypes.addressof(options), ctypes.addressof(out)))
        self._opened(name, out)

    def try_wait(self) -> bool:
        """Takes a permit, if there is one."""
        code = _semaphore_try_wait(self._address)
        if code == WOULD_BLOCK:
            return False
        return check(code) == OK

    def wait(self, timeout: Optional[float] = None) -> None:
        """Takes a permit; blocks until there is one. TimeoutError."""
        wait(
            lambda ns: _semaphore_wait(self._address, ns),
            timeout,
            f"a permit of semaphore '{self._name}'",
        )

    async def wait_async(self, timeout: Optional[float] = None) -> None:
        """As ``wait``, but waits in the event loop."""
        await self._until(
            lambda: None if self.try_wait() else NOTHING,
            lambda what: _semaphore_arm(self._address),
            timeout,
            f"a permit of semaphore '{self._name}'",
        )

    def post(self, count: int = 1) -> None:
        """Gives permits: all of them or none (TooLargeError)."""
        check(_semaphore_post(self._address, whole("count", count, 0x7FFF_FFFF)))

    @property
    def value(self) -> int:
        """Permits. A hint. UnsupportedPlatformError on macOS."""
        return check(_semaphore_value(self._address))


class _CounterOptions(ctypes.Structure):
    _fields_ = [*Options._fields_, ("initial", ctypes.c_int64)]


def _signed(name: str, value: int) -> int:
    return whole(name, value, (1 << 63) - 1, -(1 << 63))


class Counter(Handle):
    """64 bits, changed by atomic instructions. In TypeScript: ``Counter``. Several threads may use a handle at once."""

    __slots__ = ()
    _free = function("counter_free")
    _close = function("counter_close")

    def __init__(
        self,
        place: Place,
        *,
        initial: int = 0,
        keep: bool = False,
        mode: int = 0o600,
        owner: Optional[int] = None,
    ) -> None:
        options = fill(_CounterOptions(), flags=KEEP if keep else 0, mode=mode, owner=owner)
        options.initial = _signed("initial", initial)
        out = ctypes.c_void_p()
        check(_counter_open(place_bytes(place), ctypes.addressof(options), ctypes.addressof(out)))
        self._opened(place, out)

    @property
    def value(self) -> int:
        """To be read, and to be set."""
        out = ctypes.c_int64()
        check(_counter_get(self._address, ctypes.addressof(out)))
        return out.value

    @value.setter
    def value(self, value: int) -> None:
        check(_counter_set(self._address, _signed("value", value)))

    def add(self, delta: int = 1) -> int:
        """Returns the value after that. Past either end it goes on at the other."""
        out = ctypes.c_int64()
        check(_counter_add(self._address, _signed("delta", delta), ctypes.addressof(out)))
        return out.value

    def exchange(self, value: int) -> int:
        """Sets it, and returns what it was."""
        out = ctypes.c_int64()
        check(_counter_exchange(self._address, _signed("value", value), ctypes.addressof(out)))
        return out.value

    def compare_exchange(self, expected: int, value: int) -> bool:
        """Sets it if it is ``expected``. True: done."""
        return (
            check(
                _counter_compare_exchange(
                    self._address, _signed("expected", expected), _signed("value", value), None
                )
            )
            == 1
        )


class SharedMemory(Handle):
    """Plain bytes. In TypeScript: ``SharedMemory``.

    ``SharedMemory(name, bytes)`` makes it, of zeroes, and owns it: ``close`` removes the name. ``SharedMemory(name)`` opens what is there.
    It stays mapped until the last view or array is gone, also after ``close``.

    Args:
        place: a name, ``file:PATH``, a path object (a mapped file), or ``fd:NUMBER``.
        size: bytes of a new one (ExistsError: it is there, and in use); None: of one that is there.
        read_only: what is written would stay in this process: views are read-only.
    """

    __slots__ = ("_size", "_base", "_read_only", "_views")
    _free = function("memory_free")
    _close = function("memory_close")

    def __init__(
        self,
        place: Place,
        size: Optional[int] = None,
        *,
        read_only: bool = False,
        schema: int = 0,
        mode: int = 0o600,
        owner: Optional[int] = None,
        memory: Memory = Memory.PLAIN,
    ) -> None:
        if size is not None and read_only:
            raise invalid("new memory is not read-only; leave one of the two out")
        flags = (READ_ONLY if read_only else 0) | int(memory)
        options = fill(Options(), flags=flags, mode=mode, owner=owner, schema=schema)
        out = ctypes.c_void_p()
        name, given, told = place_bytes(place), ctypes.addressof(options), ctypes.addressof(out)
        if size is None:
            check(_memory_open(name, given, told))
        else:
            check(_memory_create(name, whole("size", size, (1 << 63) - 1), given, told))
        self._opened(place, out)
        self._size = _memory_size(self._address)
        self._base = _memory_data(self._address)
        self._read_only = read_only
        self._views: "List[weakref.ref[memoryview]]" = []

    def __len__(self) -> int:
        return self._size

    @property
    def data(self) -> memoryview:
        """All bytes, without a copy. ``close`` ends the view. CorruptError: somebody has cut the memory short."""
        code = _memory_check(self._address)
        if code != OK:
            raise failure(code)
        exporter = (ctypes.c_ubyte * self._size).from_address(self._base)
        exporter.owner = self  # type: ignore[attr-defined]
        view = memoryview(exporter).cast("B")
        if self._read_only:
            view = view.toreadonly()
        self._views.append(weakref.ref(view, self._views.remove))
        return view

    def array(
        self, dtype: Any = "uint8", shape: Optional[Shape] = None, offset: int = 0
    ) -> "numpy.ndarray[Any, Any]":
        """The memory as a numpy array, without a copy. By default all of it, in one dimension."""
        array: "numpy.ndarray[Any, Any]" = array_over(self.data, dtype, shape, offset)
        return array

    def __buffer__(self, flags: int) -> memoryview:
        return self.data

    def flush(self) -> None:
        """Of a file: returns when all is on the disk."""
        check(_memory_flush(self._address))

    def close(self) -> None:
        """Leaves; who has made it removes its name. Views that were kept are void; arrays stay as they are."""
        for reference in list(self._views):
            view = reference()
            if view is not None:
                try:
                    view.release()
                except BufferError:
                    pass  # an array, or a part of it, lives: it stays mapped
        self._leave(type(self)._close)
