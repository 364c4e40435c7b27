"""What all handles have in common: the end, waiting in a thread, and waiting in an event loop.

A handle is used by one thread at a time; the library refuses a second one with BusyError. ``close`` alone may come from any
thread. What was opened is freed when the object goes, which is when no frame, view or array of it is left: so what these show
stays mapped, whatever was closed.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import time
import weakref
from collections import deque
from types import TracebackType
from typing import Any, Callable, ClassVar, Deque, Dict, NamedTuple, Optional, Tuple, Type, TypeVar

from ._errors import (
    BUSY,
    CLOSED,
    END,
    FORKED,
    INTERRUPTED,
    OK,
    READY,
    TIMEOUT,
    UNSUPPORTED,
    make_error,
)
from ._library import check, failure, late
from ._options import nanoseconds

Self = TypeVar("Self", bound="Handle")
Result = TypeVar("Result")

# A blocking call comes back so often to let Python look for signals: Ctrl-C is heard within that time.
_SLICE_NS = 50_000_000
# A task that always finds something lets the others run after so many.
FAIR = 128
# Where the library has no descriptor for it, an event loop looks so often.
LOOK_SECONDS = 0.005


class _Nothing:
    """Not now."""


NOTHING = _Nothing()

# What X_arm() of work queues and topics waits for.
FOR_MESSAGES = 1
FOR_ROOM = 2


class Peer(NamedTuple):
    """How the other side is doing."""

    state: str
    """``absent`` (nobody was there yet), ``attached``, ``closed`` (left in good order), ``gone`` (died), ``failed`` (left saying so)."""
    pid: int
    """Of the process that is or was there; 0: none."""
    reason: str
    """Why it failed, as far as it said."""


_STATES = ("absent", "attached", "closed", "gone", "failed")


class _Peer(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_uint64),
        ("state", ctypes.c_int32),
        ("pid", ctypes.c_uint32),
        ("reason", ctypes.c_char * 208),
    ]


def peer_of(ask: Callable[..., int], address: int) -> Peer:
    told = _Peer()
    told.size = ctypes.sizeof(told)
    check(ask(address, ctypes.addressof(told)))
    return Peer(_STATES[told.state], told.pid, told.reason.decode("utf-8", "replace"))


def wait(step: Callable[[int], int], timeout: Optional[float], what: str) -> int:
    """Calls step(nanoseconds) until it gives another code than TIMEOUT, in slices. Raises what is an error."""
    if timeout is None:
        code = step(_SLICE_NS)
        while code == TIMEOUT or code == INTERRUPTED:
            code = step(_SLICE_NS)
    else:
        end = time.monotonic_ns() + nanoseconds(timeout)
        while True:
            left = max(end - time.monotonic_ns(), 0)
            code = step(min(left, _SLICE_NS))
            if code != TIMEOUT and code != INTERRUPTED:
                break
            if left <= _SLICE_NS:
                raise late(code, what, timeout)
    if code < 0 and code != END:
        raise failure(code)
    return code


class _WakeUp(asyncio.Future[None]):
    """What a task awaits. It can be resumed at once, where a usual future lets the loop turn once more before that."""

    _resume: Optional[Callable[[Any], object]] = None
    _context: Any = None

    def add_done_callback(
        self, callback: Callable[[Any], object], *, context: Any = None
    ) -> None:
        self._resume = callback
        self._context = context

    def set_result(self, result: Any) -> None:
        super().set_result(result)
        self._later()

    def cancel(self, msg: Optional[Any] = None) -> bool:
        cancelled = super().cancel(msg)
        if cancelled:
            self._later()
        return cancelled

    def _later(self) -> None:
        resume, self._resume = self._resume, None
        if resume is not None:
            self.get_loop().call_soon(resume, self, context=self._context)

    def now(self) -> None:
        """Where no task runs: in what the loop itself has called."""
        resume, self._resume = self._resume, None
        super().set_result(None)
        if resume is None:
            return
        if self._context is None:
            resume(self)
        else:
            self._context.run(resume, self)


class _Turn:
    """A task that waits."""

    __slots__ = ("future", "expired")

    def __init__(self) -> None:
        self.future: Optional[_WakeUp] = None
        self.expired = False

    def wake(self) -> None:
        future = self.future
        if future is not None and not future.done() and not future.get_loop().is_closed():
            future.set_result(None)

    def wake_now(self) -> None:
        future = self.future
        if future is not None and not future.done():
            future.now()

    def expire(self) -> None:
        self.expired = True
        self.wake()


class Waiter:
    """The tasks of one event loop that wait for one handle. They are served in the order in which they came."""

    __slots__ = ("loop", "fd", "watching", "stopped", "turns", "lines", "__weakref__")

    # Whose each descriptor is: its number may be another handle's before the loop of a closed one has come to let go of it.
    _watched: ClassVar[
        "weakref.WeakValueDictionary[Tuple[int, int], Waiter]"
    ] = weakref.WeakValueDictionary()

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int) -> None:
        self.loop = loop
        self.fd = fd
        self.watching = False
        self.stopped = False
        self.lines = 0
        self.turns: Dict[int, Deque[_Turn]] = {}

    def watch(self) -> None:
        if not self.watching and not self.stopped:
            key = (id(self.loop), self.fd)
            before = Waiter._watched.get(key)
            if before is not None:
                before._ignore()
            Waiter._watched[key] = self
            self.loop.add_reader(self.fd, self._heard)
            self.watching = True

    def _heard(self) -> None:
        # The loop calls this, so a task can go on here and now. It arms the descriptor before the loop looks at it again.
        nobody = True
        for turns in list(self.turns.values()):
            if turns:
                nobody = False
                turns[0].wake_now()
        if nobody:  # the descriptor stays readable until somebody arms it
            self._ignore()

    def _rung(self) -> None:
        for turns in self.turns.values():
            if turns:
                turns[0].wake()

    def _ignore(self) -> None:
        if self.watching:
            self.watching = False
            if not self.loop.is_closed():
                self.loop.remove_reader(self.fd)

    def _here(self) -> bool:
        try:
            return asyncio.get_running_loop() is self.loop
        except RuntimeError:
            return not self.loop.is_running()

    def stop(self) -> None:
        """Before the descriptor is closed."""
        self.stopped = True
        self._post(self._ignore)

    def end(self) -> None:
        """After the close: those who wait find out."""
        self._post(self._rung)

    def _post(self, call: Callable[[], None]) -> None:
        """Calls it in the loop; at once if we are there, or if it does not run."""
        if self._here():
            call()
        else:
            try:
                self.loop.call_soon_threadsafe(call)
            except RuntimeError:
                pass  # it was closed: nobody waits there any more

    def wanted(self) -> int:
        wanted = 0
        for what, turns in self.turns.items():
            if turns:
                wanted |= what & 0xFF
        return wanted


class Address(int):
    """Of something of the library, which ``free`` frees."""

    __slots__ = ()
    free: ClassVar[Callable[..., int]]

    def __del__(self) -> None:
        type(self).free(self)


_untrack = ctypes.pythonapi.PyObject_GC_UnTrack
_untrack.argtypes = [ctypes.py_object]
_untrack.restype = None


def owned(kind: Type[Address], address: Optional[int]) -> int:
    """An address that is freed when the last reference to it goes.

    The collector does not know of it: so it goes after all finalizers of a cycle that it is in have run, and none of these finds
    memory that is not mapped any more.
    """
    made = kind(address or 0)
    if gc.is_tracked(made):
        _untrack(made)
    return made


class Handle:
    """Something that is open. ``with`` closes it."""

    __slots__ = ("_address", "_name", "_waiter", "__weakref__")

    # Of the library; each class says its own.
    _free: ClassVar[Callable[..., int]]
    _kind: ClassVar[Type[Address]]
    _close: ClassVar[Callable[..., int]]
    _fd: ClassVar[Optional[Callable[[int], int]]] = None
    _disarm: ClassVar[Optional[Callable[[int], int]]] = None

    _address: int
    _name: str
    _waiter: Optional[Waiter]

    def __init_subclass__(cls) -> None:
        if "_free" in cls.__dict__:
            cls._kind = type("Address", (Address,), {"__slots__": (), "free": cls._free})

    def _opened(self, name: Any, out: ctypes.c_void_p) -> None:
        self._address = owned(type(self)._kind, out.value)
        self._name = str(name)
        self._waiter = None

    @property
    def name(self) -> str:
        """As it was opened."""
        return self._name

    def close(self) -> None:
        """Leaves; others see it. Once is enough. Calls that wait, in other threads and tasks, end with ClosedError."""
        self._leave(type(self)._close)

    def _leave(self, leave: Callable[..., int], *arguments: Any) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            waiter.stop()
        code = leave(self._address, *arguments)
        if waiter is not None:
            waiter.end()
        if code < 0 and code != CLOSED and code != FORKED:
            raise failure(code)

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    async def __aenter__(self: Self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def __del__(self) -> None:
        waiter = getattr(self, "_waiter", None)  # None as well when opening failed
        if waiter is not None:
            waiter.stop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name!r}>"

    def fileno(self) -> int:
        """The descriptor for select, poll, or an event loop of your own: readable when it is worth while to look again.

        The rule: do what can be done (``try_…``) until there is nothing; call ``arm``; unless it says True, wait for the
        descriptor to be readable; begin again. Nobody reads from it, and this object closes it.
        """
        descriptor = type(self)._fd
        if descriptor is None:
            raise make_error(UNSUPPORTED, f"{type(self).__name__} has nothing to wait for")
        return check(descriptor(self._address))

    def disarm(self) -> None:
        """Takes back what ``arm`` asked for."""
        disarm = type(self)._disarm
        if disarm is not None:
            check(disarm(self._address))

    def _here(self) -> Waiter:
        loop = asyncio.get_running_loop()
        waiter = self._waiter
        if waiter is None or waiter.loop is not loop:
            if waiter is not None:
                if waiter.wanted() and not waiter.loop.is_closed():
                    raise make_error(
                        BUSY, f"another event loop waits for {self!r}; open it there again"
                    )
                waiter.stop()
            waiter = self._waiter = Waiter(loop, self.fileno())
        return waiter

    async def _until(
        self,
        attempt: Callable[[], Any],
        arm: Callable[[int], int],
        timeout: Optional[float],
        words: str,
        what: int = 1,
        tried: bool = False,
    ) -> Any:
        """Waits in the event loop until attempt() gives something else than NOTHING. ``tried``: it has just given that.

        Nothing is taken by a task that is cancelled: what is there is taken only right before this returns.
        """
        waiter = self._here()
        turns = waiter.turns.get(what)
        if turns is None:
            turns = waiter.turns[what] = deque()
        turn = _Turn()
        timer = None
        if timeout is not None:
            timer = waiter.loop.call_later(nanoseconds(timeout) / 1e9, turn.expire)
        turns.append(turn)
        done = False
        rounds = 0
        try:
            while True:
                if turns[0] is turn:
                    if tried:
                        tried = False
                    else:
                        result = attempt()
                        if result is not NOTHING:
                            done = True
                            return result
                    if turn.expired:
                        break
                    code = arm(what & 0xFF if len(waiter.turns) == 1 else waiter.wanted())
                    if code == READY:
                        rounds += 1
                        if rounds > 1:
                            await asyncio.sleep(0)
                        continue
                    if code < 0:
                        raise failure(code)
                    if not waiter.watching:
                        waiter.watch()
                elif turn.expired:
                    break
                rounds = 0
                turn.future = _WakeUp(loop=waiter.loop)
                await turn.future
                turn.future = None
        finally:
            if timer is not None:
                timer.cancel()
            turns.remove(turn)
            if turns:
                turns[0].wake()
            elif not done and self._waiter is waiter and not waiter.wanted():
                disarm = type(self)._disarm
                if disarm is not None:
                    disarm(self._address)
        assert timeout is not None
        raise late(TIMEOUT, words, timeout)

    async def _until_any(
        self,
        attempt: Callable[[], Any],
        arm: Callable[[int], int],
        timeout: Optional[float],
        words: str,
    ) -> Any:
        """Of tasks that each wait for something of their own (a subscription): each has a line for itself."""
        waiter = self._here()
        waiter.lines += 1
        # Above the bits that mean something to the library.
        line = waiter.lines << 8 | FOR_MESSAGES
        try:
            return await self._until(attempt, arm, timeout, words, line)
        finally:
            waiter.turns.pop(line, None)

    async def _until_room(
        self,
        attempt: Callable[[], Any],
        arm: Callable[[int, int], int],
        timeout: Optional[float],
        words: str,
    ) -> Any:
        """Of handles whose arm does not look for room: it is tried once more after that."""
        found: Any = NOTHING

        def once_more(what: int) -> int:
            nonlocal found
            code = arm(self._address, what)
            if code == OK:
                found = attempt()
                if found is not NOTHING:
                    return READY
            return code

        def first() -> Any:
            return attempt() if found is NOTHING else found

        return await self._until(first, once_more, timeout, words, FOR_ROOM)

    def _in_turn(self, what: int = 1) -> bool:
        """May a task of this loop try at once, or do others wait already?"""
        waiter = self._waiter
        return waiter is None or not waiter.turns.get(what)


async def look_until(look: Callable[[], bool], timeout: Optional[float], what: str) -> None:
    """For what the library has no descriptor: looks every few milliseconds, in the event loop."""
    end = None if timeout is None else time.monotonic() + nanoseconds(timeout) / 1e9
    while not look():
        if end is not None and time.monotonic() >= end:
            assert timeout is not None
            raise late(TIMEOUT, what, timeout)
        await asyncio.sleep(LOOK_SECONDS)
