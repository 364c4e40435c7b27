"""Work queues: jobs that many push and many take."""

from __future__ import annotations

import asyncio
import ctypes
from types import TracebackType
from typing import Any, AsyncIterator, Iterator, List, NamedTuple, Optional

from ._buffers import Bytes, lend
from ._errors import (
    LEASE_LOST,
    OK,
    READY,
    RELEASED,
    WOULD_BLOCK,
    ClosedError,
    ForkedError,
    LeaseLostError,
    ReleasedError,
    invalid,
)
from ._handle import FAIR, FOR_MESSAGES, FOR_ROOM, NOTHING, Address, Handle, owned, wait
from ._library import check, failure, function
from ._options import KEEP, OPEN_ONLY, Memory, Options, Place, fill, nanoseconds, place_bytes, whole

_open = function("work_open")
_push = function("work_push")
_try_push = function("work_try_push")
_take = function("work_take")
_try_take = function("work_try_take")
_complete = function("work_complete")
_release = function("work_release")
_retry = function("work_retry")
_reject = function("work_reject")
_extend = function("work_extend")
_holds = function("work_holds")
_forward = function("work_forward")
_dead_letters = function("work_dead_letters")
_letters_count = function("dead_letters_count")
_letters_at = function("dead_letters_at")
_letters_free = function("dead_letters_free")
_redrive = function("work_redrive")
_purge = function("work_purge")
_counts_of = function("work_counts_of")
_flush = function("work_flush")
_max_bytes = function("work_max_bytes")
_arm = function("work_arm")

_DURABILITIES = ("any", "memory", "file", "disk")
_REASONS = ("", "rejected", "attempts", "died", "expired")


class _WorkOptions(ctypes.Structure):
    _fields_ = [
        *Options._fields_,
        ("bytes", ctypes.c_uint64),
        ("jobs", ctypes.c_uint32),
        ("priorities", ctypes.c_uint32),
        ("seats", ctypes.c_uint32),
        ("max_attempts", ctypes.c_uint32),
        ("dead_jobs", ctypes.c_uint32),
        ("dedup_ids", ctypes.c_uint32),
        ("dead_bytes", ctypes.c_uint64),
        ("dedup_window_ms", ctypes.c_uint64),
        ("lease_timeout_ms", ctypes.c_uint64),
        ("groups", ctypes.c_uint32),
        ("durability", ctypes.c_uint32),
    ]


class _PushOptions(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_uint64),
        ("priority", ctypes.c_uint32),
        ("id_length", ctypes.c_uint32),
        ("id", ctypes.c_char_p),
        ("group", ctypes.c_char_p),
        ("group_length", ctypes.c_uint32),
        ("traceparent_length", ctypes.c_uint32),
        ("traceparent", ctypes.c_char_p),
        ("delay_ns", ctypes.c_uint64),
        ("ttl_ns", ctypes.c_uint64),
    ]


class _Job(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_uint64),
        ("id", ctypes.c_void_p),
        ("group", ctypes.c_void_p),
        ("id_length", ctypes.c_uint32),
        ("group_length", ctypes.c_uint32),
        ("priority", ctypes.c_uint32),
        ("attempt", ctypes.c_uint32),
        ("acquired", ctypes.c_uint64),
        ("token", ctypes.c_uint64),
        ("pushed_at", ctypes.c_uint64),
        ("traceparent", ctypes.c_char * 56),
        ("lease", ctypes.c_uint64),
        ("slot", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    ]


class _Letter(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_uint64),
        ("id", ctypes.c_char_p),
        ("group", ctypes.c_char_p),
        ("error", ctypes.c_char_p),
        ("pushed_at", ctypes.c_uint64),
        ("died_at", ctypes.c_uint64),
        ("acquired", ctypes.c_uint64),
        ("attempts", ctypes.c_uint32),
        ("priority", ctypes.c_uint32),
        ("reason", ctypes.c_int32),
        ("slot", ctypes.c_uint32),
        ("lease", ctypes.c_uint64),
    ]


class WorkCounts(NamedTuple):
    """How many jobs are where; from ``pushed`` on: since the queue was made."""

    ready: int
    leased: int
    delayed: int
    grouped: int
    """Behind another one of their group."""
    dead: int
    handles: int
    pushed: int
    taken: int
    completed: int
    returned: int
    rejected: int
    deaths: int
    dead_lettered: int
    duplicates: int


class _Counts(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint64)] + [
        (name, ctypes.c_uint64) for name in WorkCounts._fields
    ]


def _texts(address: Optional[int], length: int) -> Optional[str]:
    return ctypes.string_at(address, length).decode("utf-8", "replace") if address else None


def _error_bytes(error: Optional[str]) -> Optional[bytes]:
    return None if error is None else error.encode("utf-8", "backslashreplace").replace(b"\0", b" ")


class Job:
    """A job in hand. ``with`` completes it; if the block raises, it is tried again, and the exception goes on.

    What is not settled goes to somebody else when this process dies or its queue is closed.
    """

    __slots__ = (
        "_work",
        "_raw",
        "_settled",
        "data",
        "id",
        "group",
        "priority",
        "attempt",
        "acquired",
        "token",
        "pushed_at",
        "traceparent",
    )

    data: bytes
    """A copy of the payload."""
    id: Optional[str]
    group: Optional[str]
    attempt: int
    """1 the first time."""
    acquired: int
    """How often somebody had it in hand."""
    token: int
    """Grows with each lease: for fencing."""
    pushed_at: int
    """Nanoseconds since 1970."""
    traceparent: str
    """As W3C writes it; "": none."""

    def __init__(self, work: "WorkQueue", raw: _Job) -> None:
        self._work = work
        self._raw = raw
        self._settled = False
        self.data = ctypes.string_at(raw.data, raw.length) if raw.length else b""
        self.id = _texts(raw.id, raw.id_length)
        self.group = _texts(raw.group, raw.group_length)
        self.priority: int = raw.priority
        self.attempt = raw.attempt
        self.acquired = raw.acquired
        self.token = raw.token
        self.pushed_at = raw.pushed_at
        self.traceparent = raw.traceparent.decode("ascii", "replace")

    def _settle(self, code: int) -> None:
        # LEASE_LOST says as well that there is nothing left to be done with it.
        if code == OK or code == LEASE_LOST or code == RELEASED:
            self._settled = True
        check(code)

    def complete(self) -> None:
        """It is done. LeaseLostError: it is somebody else's by now. ReleasedError: it was settled before."""
        self._settle(_complete(self._work._address, ctypes.addressof(self._raw)))

    def release(self, delay: float = 0) -> None:
        """Gives it back, to be taken after so many seconds; the attempt does not count."""
        ns = nanoseconds(delay, "delay")
        self._settle(_release(self._work._address, ctypes.addressof(self._raw), ns))

    def retry(self, delay: float = 0, error: Optional[str] = None) -> None:
        """It failed, and is to be tried again after so many seconds. After its last attempt it is a dead letter."""
        ns = nanoseconds(delay, "delay")
        raw = ctypes.addressof(self._raw)
        self._settle(_retry(self._work._address, raw, ns, _error_bytes(error)))

    def reject(self, error: Optional[str] = None) -> None:
        """It is a dead letter at once."""
        raw = ctypes.addressof(self._raw)
        self._settle(_reject(self._work._address, raw, _error_bytes(error)))

    def extend(self, seconds: float) -> None:
        """The lease holds for so long from now on."""
        ns = nanoseconds(seconds, "seconds")
        check(_extend(self._work._address, ctypes.addressof(self._raw), ns))

    @property
    def held(self) -> bool:
        """Is it ours still?"""
        return check(_holds(self._work._address, ctypes.addressof(self._raw))) == 1

    def forward(
        self,
        to: "WorkQueue",
        payload: Bytes,
        *,
        priority: int = 0,
        id: Optional[str] = None,
        delay: float = 0,
        ttl: float = 0,
    ) -> Optional[bool]:
        """Done here, and ``payload`` is a job of ``to``: both or neither, whoever dies.

        True: done. False: a job of that id was there, and is done here. None: there is no room there now.
        """
        options = _push_options(priority, id, None, None, delay, ttl)
        held, pointer, length = lend(payload)
        code = _forward(
            self._work._address,
            ctypes.addressof(self._raw),
            to._address,
            pointer,
            length,
            ctypes.addressof(options),
        )
        del held
        if code == WOULD_BLOCK:
            return None
        if code < 0:
            raise failure(code)
        self._settled = True
        return code == 0

    def __enter__(self) -> "Job":
        return self

    def __exit__(
        self,
        kind: Optional[type],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if self._settled:
            return
        if error is None:
            self.complete()
            return
        try:
            self.retry(error=f"{type(error).__name__}: {error}")
        except (ClosedError, ForkedError, LeaseLostError, ReleasedError):
            self._settled = True  # it is somebody else's: what went wrong is what is to be told

    def __repr__(self) -> str:
        return f"<Job {self.id or ''} of {self._work._name!r}, attempt {self.attempt}>"


class _Letters(Address):
    """A list of dead letters of the library."""

    __slots__ = ()
    free = _letters_free


class DeadLetter:
    """A job that was given up."""

    __slots__ = (
        "_work",
        "_letters",
        "_raw",
        "data",
        "id",
        "group",
        "error",
        "reason",
        "pushed_at",
        "died_at",
        "acquired",
        "attempts",
        "priority",
    )

    def __init__(self, work: "WorkQueue", letters: int, address: int) -> None:
        raw = _Letter.from_address(address)
        self._work = work
        self._letters = letters
        self._raw = address
        self.data: bytes = ctypes.string_at(raw.data, raw.length) if raw.length else b""
        self.id: str = (raw.id or b"").decode("utf-8", "replace")
        self.group: str = (raw.group or b"").decode("utf-8", "replace")
        self.error: str = (raw.error or b"").decode("utf-8", "replace")
        self.reason: str = _REASONS[raw.reason]
        self.pushed_at: int = raw.pushed_at
        self.died_at: int = raw.died_at
        self.acquired: int = raw.acquired
        self.attempts: int = raw.attempts
        self.priority: int = raw.priority

    def redrive(self) -> bool:
        """Sends it round again, with all its attempts. False: it is no dead letter any more."""
        return check(_redrive(self._work._address, self._raw)) == 1

    def purge(self) -> bool:
        """Sends it away. False: it is no dead letter any more."""
        return check(_purge(self._work._address, self._raw)) == 1


def _push_options(
    priority: int,
    id: Optional[str],
    group: Optional[str],
    traceparent: Optional[str],
    delay: float,
    ttl: float,
) -> _PushOptions:
    options = _PushOptions()
    options.size = ctypes.sizeof(options)
    options.priority = whole("priority", priority, 0xFFFF_FFFF)
    options.delay_ns = nanoseconds(delay, "delay")
    options.ttl_ns = nanoseconds(ttl, "ttl")
    for name, text in (("id", id), ("group", group), ("traceparent", traceparent)):
        if text is not None:
            raw = text.encode("utf-8")
            setattr(options, name, raw)
            setattr(options, name + "_length", len(raw))
    return options


class WorkQueue(Handle):
    """Jobs. In TypeScript: ``WorkQueue``.

    ``for job in work: with job: ...`` works until this handle is closed; ``async for`` does so in the event loop.
    GeometryError: there is one with other properties. What is 0 or None is what the queue has, or the default.

    Args:
        place: a name, ``file:PATH``, a path object (a mapped file), or ``fd:NUMBER``.
        bytes: of all payloads.
        jobs: that there can be.
        priorities: how many there are.
        seats: handles that can be open at once.
        max_attempts: 1 to 255; -1: without end.
        dead_jobs: dead letters that are kept; -1: none.
        dead_bytes: of these.
        dedup_ids, dedup_window: how many ids are remembered, and for how many seconds.
        lease_timeout: seconds after which a job that is neither settled nor extended is somebody else's.
        groups: that may have jobs at a time; -1: none.
        durability: ``memory``, ``file`` or ``disk``.
        open_only: NotFoundError if there is none.
    """

    __slots__ = ()
    _free = function("work_free")
    _close = function("work_close")
    _fd = function("work_fd")
    _disarm = function("work_disarm")

    def __init__(
        self,
        place: Place,
        *,
        bytes: int = 0,
        jobs: int = 0,
        priorities: int = 0,
        seats: int = 0,
        max_attempts: int = 0,
        dead_jobs: int = 0,
        dead_bytes: int = 0,
        dedup_ids: int = 0,
        dedup_window: float = 0,
        lease_timeout: float = 0,
        groups: int = 0,
        durability: str = "any",
        keep: bool = False,
        open_only: bool = False,
        mode: int = 0o600,
        owner: Optional[int] = None,
        spin: Optional[float] = None,
        memory: Memory = Memory.PLAIN,
    ) -> None:
        if durability not in _DURABILITIES:
            raise invalid(f"durability is {durability!r}; it is one of {', '.join(_DURABILITIES)}")
        options = fill(
            _WorkOptions(),
            flags=(KEEP if keep else 0) | (OPEN_ONLY if open_only else 0) | int(memory),
            mode=mode,
            owner=owner,
            spin=spin,
            bytes=bytes,
            jobs=jobs,
            priorities=priorities,
            seats=seats,
            max_attempts=0xFFFF_FFFF if max_attempts == -1 else max_attempts,
            dead_jobs=0xFFFF_FFFF if dead_jobs == -1 else dead_jobs,
            dead_bytes=dead_bytes,
            dedup_ids=dedup_ids,
            dedup_window_ms=nanoseconds(dedup_window, "dedup_window") // 1_000_000,
            lease_timeout_ms=nanoseconds(lease_timeout, "lease_timeout") // 1_000_000,
            groups=0xFFFF_FFFF if groups == -1 else groups,
            durability=_DURABILITIES.index(durability),
        )
        out = ctypes.c_void_p()
        check(_open(place_bytes(place), ctypes.addressof(options), ctypes.addressof(out)))
        self._opened(place, out)

    def try_push(
        self,
        payload: Bytes,
        *,
        priority: int = 0,
        id: Optional[str] = None,
        group: Optional[str] = None,
        traceparent: Optional[str] = None,
        delay: float = 0,
        ttl: float = 0,
    ) -> Optional[bool]:
        """As ``push``, but None: there is no room now. With durability ``disk`` it does not wait for the disk: ``flush`` does."""
        options = _push_options(priority, id, group, traceparent, delay, ttl)
        held, pointer, length = lend(payload)
        code = _try_push(self._address, pointer, length, ctypes.addressof(options))
        del held
        if code == WOULD_BLOCK:
            return None
        if code < 0:
            raise failure(code)
        return code == OK

    def push(
        self,
        payload: Bytes,
        *,
        priority: int = 0,
        id: Optional[str] = None,
        group: Optional[str] = None,
        traceparent: Optional[str] = None,
        delay: float = 0,
        ttl: float = 0,
        timeout: Optional[float] = None,
    ) -> bool:
        """A copy of the payload is a job. Blocks until there is room. False: a job of that id was pushed lately, this one was not.

        Args:
            priority: higher first.
            id: of several pushes of one id within the window one counts.
            group: jobs of a group are done one at a time, in order.
            traceparent: as W3C writes it.
            delay: seconds until it can be taken.
            ttl: seconds after which it is a dead letter; 0: none.
        """
        options = _push_options(priority, id, group, traceparent, delay, ttl)
        given = ctypes.addressof(options)
        held, pointer, length = lend(payload)
        code = wait(
            lambda ns: _push(self._address, pointer, length, given, ns),
            timeout,
            f"room in work queue '{self._name}'",
        )
        del held
        return code == OK

    async def push_async(
        self,
        payload: Bytes,
        *,
        priority: int = 0,
        id: Optional[str] = None,
        group: Optional[str] = None,
        traceparent: Optional[str] = None,
        delay: float = 0,
        ttl: float = 0,
        timeout: Optional[float] = None,
    ) -> bool:
        """As ``push``, but waits in the event loop. With durability ``disk`` call ``flush`` to know that it is there."""

        def attempt() -> Any:
            pushed = self.try_push(
                payload,
                priority=priority,
                id=id,
                group=group,
                traceparent=traceparent,
                delay=delay,
                ttl=ttl,
            )
            return NOTHING if pushed is None else pushed

        if self._in_turn(FOR_ROOM):
            pushed = attempt()
            if pushed is not NOTHING:
                return bool(pushed)
        return bool(
            await self._until_room(attempt, _arm, timeout, f"room in work queue '{self._name}'")
        )

    def _took(self, code: int, raw: _Job) -> Optional[Job]:
        if code == OK:
            return Job(self, raw)
        if code == WOULD_BLOCK:
            return None
        raise failure(code)

    def try_take(self) -> Optional[Job]:
        """A job; None: there is none now."""
        raw = _Job()
        return self._took(_try_take(self._address, ctypes.addressof(raw)), raw)

    def take(self, timeout: Optional[float] = None) -> Job:
        """Takes a job; blocks until there is one. It goes to somebody else if this process dies. TimeoutError."""
        raw = _Job()
        out = ctypes.addressof(raw)
        wait(
            lambda ns: _take(self._address, ns, out),
            timeout,
            f"a job of work queue '{self._name}'",
        )
        return Job(self, raw)

    async def take_async(self, timeout: Optional[float] = None) -> Job:
        """As ``take``, but waits in the event loop. A call that is cancelled takes nothing."""
        if self._in_turn(FOR_MESSAGES):
            job = self.try_take()
            if job is not None:
                return job
        taken: Job = await self._until(
            lambda: self.try_take() or NOTHING,
            lambda what: _arm(self._address, what),
            timeout,
            f"a job of work queue '{self._name}'",
            FOR_MESSAGES,
        )
        return taken

    def __iter__(self) -> Iterator[Job]:
        try:
            while True:
                yield self.take()
        except ClosedError:
            return

    async def __aiter__(self) -> AsyncIterator[Job]:
        count = 0
        try:
            while True:
                yield await self.take_async()
                count += 1
                if count % FAIR == 0:
                    await asyncio.sleep(0)
        except ClosedError:
            return

    def dead_letters(self, limit: int = 0) -> List[DeadLetter]:
        """The oldest dead letters, so many at most; 0: all. BusyError: another process has them in hand."""
        out = ctypes.c_void_p()
        check(
            _dead_letters(
                self._address, whole("limit", limit, (1 << 64) - 1), ctypes.addressof(out)
            )
        )
        letters = owned(_Letters, out.value)
        return [
            DeadLetter(self, letters, _letters_at(letters, index))
            for index in range(_letters_count(letters))
        ]

    @property
    def counts(self) -> WorkCounts:
        """How many jobs are where."""
        told = _Counts()
        told.size = ctypes.sizeof(told)
        check(_counts_of(self._address, ctypes.addressof(told)))
        return WorkCounts(*[getattr(told, name) for name in WorkCounts._fields])

    def flush(self) -> None:
        """Returns when all that this handle has done is on the disk; of a queue in memory at once."""
        check(_flush(self._address))

    @property
    def max_bytes(self) -> int:
        """Of the longest payload."""
        return check(_max_bytes(self._address))

    def arm(self, messages: bool = True, room: bool = False) -> bool:
        """For an event loop of your own, see ``fileno``. True: look again at once.

        For room try once more after that, before you wait: how much is needed this does not know.
        """
        what = (FOR_MESSAGES if messages else 0) | (FOR_ROOM if room else 0)
        return check(_arm(self._address, what)) == READY

    def close(self) -> None:
        """Leaves. Jobs in hand go back, which counts as an attempt."""
        super().close()
