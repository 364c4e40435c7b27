"""Mutex and readers-writer lock. They survive the death of their holder."""

from __future__ import annotations

import ctypes
from types import TracebackType
from typing import Any, Callable, Optional

from ._errors import BUSY, OK, RELEASED, WOULD_BLOCK, make_error
from ._handle import NOTHING, Handle, wait
from ._library import check, failure, function
from ._options import Options, Place, fill, place_bytes

_mutex_open = function("mutex_open")
_mutex_lock = function("mutex_lock")
_mutex_try_lock = function("mutex_try_lock")
_mutex_unlock = function("mutex_unlock")
_mutex_holder = function("mutex_holder")
_mutex_begin = function("mutex_begin")
_mutex_poll = function("mutex_poll")
_mutex_withdraw = function("mutex_withdraw")
_mutex_arm = function("mutex_arm")
_rwlock_open = function("rwlock_open")
_rwlock_read = function("rwlock_read")
_rwlock_try_read = function("rwlock_try_read")
_rwlock_write = function("rwlock_write")
_rwlock_try_write = function("rwlock_try_write")
_rwlock_unlock = function("rwlock_unlock")
_rwlock_writer = function("rwlock_writer")
_rwlock_readers = function("rwlock_readers")
_rwlock_begin_read = function("rwlock_begin_read")
_rwlock_begin_write = function("rwlock_begin_write")
_rwlock_poll = function("rwlock_poll")
_rwlock_withdraw = function("rwlock_withdraw")
_rwlock_arm = function("rwlock_arm")


class Hold:
    """A lock that is ours. ``with`` gives it back."""

    __slots__ = ("abandoned", "_lock", "_unlock")

    abandoned: bool
    """Whoever had it last died inside: what it protects may be half done."""

    def __init__(self, lock: Handle, unlock: Callable[..., int], code: int) -> None:
        self._lock: Optional[Handle] = lock
        self._unlock = unlock
        self.abandoned = code == 1

    def release(self, abandoned: bool = False) -> None:
        """Gives it back. With ``abandoned`` the next one is told as if we had died. ReleasedError: that was done before."""
        lock = self._lock
        if lock is None:
            raise make_error(RELEASED, "the lock was given back; lock it again")
        code = self._unlock(lock._address, int(abandoned))
        if code == BUSY:  # it is ours still
            raise failure(code)
        self._lock = None
        check(code)
        waiter = lock._waiter
        if waiter is not None:
            waiter.end()  # tasks that wait for the same handle are told by nobody else

    def __enter__(self) -> "Hold":
        return self

    def __exit__(
        self,
        kind: Optional[type],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if self._lock is not None:
            self.release()


class _Lock(Handle):
    __slots__ = ()
    _unlock: Any
    _poll: Any
    _withdraw: Any
    _arm_it: Any

    async def _lock_async(
        self, begin: Callable[..., int], timeout: Optional[float], words: str
    ) -> Hold:
        unlock, poll, withdraw = type(self)._unlock, type(self)._poll, type(self)._withdraw
        state = "out"

        def attempt() -> object:
            nonlocal state
            code = begin(self._address) if state == "out" else poll(self._address)
            if code == WOULD_BLOCK:
                state = "in line"
                return NOTHING
            if code == BUSY and state == "out":
                return NOTHING  # another task of this handle has it
            state = "out"
            check(code)
            return Hold(self, unlock, code)

        def arm(what: int) -> int:
            return int(type(self)._arm_it(self._address)) if state == "in line" else 0

        try:
            hold: Hold = await self._until(attempt, arm, timeout, words)
            return hold
        finally:
            if state == "in line":
                while withdraw(self._address) == BUSY:  # too late: it becomes ours, unwanted
                    code = poll(self._address)
                    if code >= OK:
                        unlock(self._address, code)
                    if code != WOULD_BLOCK and code != BUSY:
                        break


class Mutex(_Lock):
    """A lock that one has at a time. In TypeScript: ``Mutex``.

    This handle holds the lock, not a thread: each thread opens one. NoLaneError: 56 handles are open.
    """

    __slots__ = ()
    _free = function("mutex_free")
    _close = function("mutex_close")
    _fd = function("mutex_fd")
    _disarm = function("mutex_disarm")
    _unlock = _mutex_unlock
    _poll = _mutex_poll
    _withdraw = _mutex_withdraw
    _arm_it = _mutex_arm

    def __init__(
        self,
        name: Place,
        *,
        mode: int = 0o600,
        owner: Optional[int] = None,
        spin: Optional[float] = None,
    ) -> None:
        options = fill(Options(), mode=mode, owner=owner, spin=spin)
        out = ctypes.c_void_p()
        check(_mutex_open(place_bytes(name), ctypes.addressof(options), ctypes.addressof(out)))
        self._opened(name, out)

    def try_lock(self) -> Optional[Hold]:
        """The lock; None: somebody has it. BusyError: this handle has it."""
        code = _mutex_try_lock(self._address)
        if code == WOULD_BLOCK:
            return None
        if code < 0:
            raise failure(code)
        return Hold(self, _mutex_unlock, code)

    def lock(self, timeout: Optional[float] = None) -> Hold:
        """Blocks until the lock is ours: ``with mutex.lock(): ...``. BusyError: this handle has it already. TimeoutError."""
        code = wait(
            lambda ns: _mutex_lock(self._address, ns), timeout, f"taking mutex '{self._name}'"
        )
        return Hold(self, _mutex_unlock, code)

    async def lock_async(self, timeout: Optional[float] = None) -> Hold:
        """As ``lock``, but waits in the event loop: ``with await mutex.lock_async(): ...``."""
        return await self._lock_async(_mutex_begin, timeout, f"taking mutex '{self._name}'")

    @property
    def holder(self) -> int:
        """Process id of who holds it; 0: nobody. A hint."""
        return check(_mutex_holder(self._address))


class RwLock(_Lock):
    """A lock that many have to read, or one to write. In TypeScript: ``RwLock``. Each thread opens one."""

    __slots__ = ()
    _free = function("rwlock_free")
    _close = function("rwlock_close")
    _fd = function("rwlock_fd")
    _disarm = function("rwlock_disarm")
    _unlock = _rwlock_unlock
    _poll = _rwlock_poll
    _withdraw = _rwlock_withdraw
    _arm_it = _rwlock_arm

    def __init__(
        self,
        name: Place,
        *,
        mode: int = 0o600,
        owner: Optional[int] = None,
        spin: Optional[float] = None,
    ) -> None:
        options = fill(Options(), mode=mode, owner=owner, spin=spin)
        out = ctypes.c_void_p()
        check(_rwlock_open(place_bytes(name), ctypes.addressof(options), ctypes.addressof(out)))
        self._opened(name, out)

    def _now(self, ask: Callable[..., int]) -> Optional[Hold]:
        code = ask(self._address)
        if code == WOULD_BLOCK:
            return None
        if code < 0:
            raise failure(code)
        return Hold(self, _rwlock_unlock, code)

    def _blocking(self, ask: Callable[..., int], timeout: Optional[float]) -> Hold:
        code = wait(
            lambda ns: ask(self._address, ns), timeout, f"taking readers-writer lock '{self._name}'"
        )
        return Hold(self, _rwlock_unlock, code)

    def try_read(self) -> Optional[Hold]:
        """The lock, to read; None: somebody writes, or waits to."""
        return self._now(_rwlock_try_read)

    def try_write(self) -> Optional[Hold]:
        """The lock, to write; None: somebody has it."""
        return self._now(_rwlock_try_write)

    def read(self, timeout: Optional[float] = None) -> Hold:
        """Blocks until the lock is ours, to read: ``with lock.read(): ...``. TimeoutError."""
        return self._blocking(_rwlock_read, timeout)

    def write(self, timeout: Optional[float] = None) -> Hold:
        """Blocks until the lock is ours, to write. TimeoutError."""
        return self._blocking(_rwlock_write, timeout)

    async def read_async(self, timeout: Optional[float] = None) -> Hold:
        """As ``read``, but waits in the event loop."""
        return await self._lock_async(
            _rwlock_begin_read, timeout, f"taking readers-writer lock '{self._name}'"
        )

    async def write_async(self, timeout: Optional[float] = None) -> Hold:
        """As ``write``, but waits in the event loop."""
        return await self._lock_async(
            _rwlock_begin_write, timeout, f"taking readers-writer lock '{self._name}'"
        )

    @property
    def writer(self) -> int:
        """Process id of who writes; 0: nobody. A hint."""
        return check(_rwlock_writer(self._address))

    @property
    def readers(self) -> int:
        """How many read. A hint."""
        return check(_rwlock_readers(self._address))
