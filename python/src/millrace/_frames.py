"""Frames: one writer, up to 62 readers, who look at each frame where it was written.

What a view or an array of a frame shows lies in shared memory. It stays mapped until the last of them is gone, whatever was
released or closed before, so that nothing crashes. But after the release of its frame a view that was kept shows whatever the
writer writes there next.
"""

from __future__ import annotations

import asyncio
import ctypes
import time
from collections import deque
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    AsyncIterator,
    Callable,
    ClassVar,
    Deque,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    TypeVar,
)

from ._buffers import Bytes, lend
from ._errors import (
    BUSY,
    END,
    INTERRUPTED,
    NOT_FOUND,
    OK,
    READY,
    TIMEOUT,
    TOO_LARGE,
    TOO_MANY_HELD,
    WOULD_BLOCK,
    ClosedError,
    invalid,
    make_error,
)
from ._handle import FAIR, NOTHING, Handle, Peer, look_until, peer_of, wait
from ._inplace import InPlace, Shape, array_over, exporter_of
from ._library import check, failure, function
from ._options import (
    HAS_AFTER,
    KEEP,
    REPLACE,
    Memory,
    Options,
    Place,
    fill,
    nanoseconds,
    place_bytes,
    whole,
)
from ._spinning import Spinning, now

if TYPE_CHECKING:
    import numpy

_writer_open = function("frame_writer_open")
_acquire = function("frame_acquire")
_try_acquire = function("frame_try_acquire")
_publish = function("frame_publish")
_discard = function("frame_discard")
_send = function("frame_send")
_writer_readers = function("frame_writer_readers")
_writer_wait_readers = function("frame_writer_wait_readers")
_writer_sequence = function("frame_writer_sequence")
_writer_arm = function("frame_writer_arm")
_writer_abort = function("frame_writer_abort")
_reader_open = function("frame_reader_open")
_next = function("frame_next")
_try_next = function("frame_try_next")
_newest = function("frame_newest")
_try_newest = function("frame_try_newest")
_release = function("frame_release")
_reader_counts_of = function("frame_reader_counts_of")
_reader_peer = function("frame_reader_peer")
_reader_slot_bytes = function("frame_reader_slot_bytes")
_reader_instance = function("frame_reader_instance")
_reader_arm = function("frame_reader_arm")

HEADER_BYTES = 64
_MOST = (1 << 64) - 1
# Opening comes back so often to let Python look for signals.
_OPENING_NS = 50_000_000
_POLICIES = ("wait", "drop-newest", "overwrite-oldest")

# millrace_slot and millrace_frame, as words: data, capacity, header, slot, and here the sequence that publish tells; data, length, header,
# sequence, timestamp, missed, slot.
_Slot = ctypes.c_uint64 * 5
_SEQUENCE = 4
_SEQUENCE_AT = 8 * _SEQUENCE
_Received = ctypes.c_uint64 * 7
_Header = exporter_of(HEADER_BYTES)

Self = TypeVar("Self", bound="_Memory")


class _WriterOptions(ctypes.Structure):
    _fields_ = [
        *Options._fields_,
        ("slot_bytes", ctypes.c_uint64),
        ("slots", ctypes.c_uint32),
        ("readers", ctypes.c_uint32),
        ("history", ctypes.c_uint32),
        ("alignment", ctypes.c_uint32),
    ]


class _ReaderOptions(ctypes.Structure):
    _fields_ = [
        *Options._fields_,
        ("policy", ctypes.c_uint32),
        ("depth", ctypes.c_uint32),
        ("history", ctypes.c_uint32),
        ("max_held", ctypes.c_uint32),
        ("after", ctypes.c_uint64),
        ("after_instance", ctypes.c_uint64),
    ]


class _Counts(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_uint64),
        ("received", ctypes.c_uint64),
        ("lost", ctypes.c_uint64),
        ("skipped", ctypes.c_uint64),
        ("waiting", ctypes.c_uint64),
        ("held", ctypes.c_uint64),
        ("joined_after", ctypes.c_uint64),
    ]


class ReaderCounts(NamedTuple):
    """What has become of the frames of a reader."""

    received: int
    lost: int
    """The writer could not deliver them: dropped or taken back, as the policy says."""
    skipped: int
    """Passed over by ``newest``."""
    waiting: int
    """Queued for this reader."""
    held: int
    joined_after: int
    """Sequence of the last frame before it joined."""


class _Memory(InPlace):
    """Bytes of a slot, which goes back when nothing is left of them."""

    __slots__ = ("_raw",)

    def __init__(self, handle: Any, raw: Any) -> None:
        super().__init__(handle)
        self._raw = raw

    def _give_back(self) -> None:
        self._released = True
        if self._views:
            self._forget()
        self._handle._give(self._raw)

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: Optional[type],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if not self._released:
            self._give_back()

    def __del__(self) -> None:
        if not self._released:
            self._released = True
            self._handle._give(self._raw)


class _Slots(Handle):
    """A handle whose slots are given back by whoever drops them last, in whatever thread."""

    __slots__ = ("_slot_type", "_late")
    _back: ClassVar[Callable[..., int]]
    _slot_type: Any

    def _opened(self, name: Any, out: ctypes.c_void_p) -> None:
        super()._opened(name, out)
        self._late: Deque[Any] = deque()

    def _give(self, raw: Any) -> None:
        """Gives a slot back: now, or, if another thread is in this handle, before that thread looks next."""
        if type(self)._back(self._address, raw) == BUSY:
            self._late.append(raw)

    def _settle(self) -> None:
        """Gives back what came while somebody was in this handle."""
        late = self._late
        for _ in range(len(late)):
            try:
                self._give(late.popleft())
            except IndexError:
                return  # another thread was faster

    def _step(self, step: Callable[[int], int]) -> Callable[[int], int]:
        """A step of wait() that does so first."""

        def after(ns: int) -> int:
            if self._late:
                self._settle()
            code = step(ns)
            if code == TOO_MANY_HELD and self._late:  # some came meanwhile
                self._settle()
                code = step(ns)
            return code

        return after


class Loan(_Memory):
    """A slot to be filled and published. ``with`` gives it back unless it was published; so does the garbage collector."""

    __slots__ = ()
    _handle: "FrameWriter"

    @property
    def capacity(self) -> int:
        """Bytes of the slot."""
        return int(self._raw[1])

    @property
    def data(self) -> memoryview:
        """The bytes of the slot, to be written. They hold what was there last. After ``publish`` the view is void."""
        return self._view(self._handle._slot_type, self._raw[0], self._raw[1], True)

    @property
    def header(self) -> memoryview:
        """64 bytes beside the frame, for facts about it."""
        return self._view(_Header, self._raw[2], HEADER_BYTES, True)

    def array(
        self, dtype: Any = "uint8", shape: Optional[Shape] = None, offset: int = 0
    ) -> "numpy.ndarray[Any, Any]":
        """The slot as a numpy array, without a copy. By default all of it, in one dimension.

        ``publish`` makes the array read-only. Arrays that were derived from it (slices, reshaped ones) stay writable: do not write through
        these after that, the readers would see it.
        """
        return self._written(self.data, dtype, shape, offset)

    def publish(self, length: Optional[int] = None, timestamp: int = 0) -> int:
        """Hands the first ``length`` bytes, by default all, to all readers. Returns the number of the frame. Never blocks.

        ``timestamp``: nanoseconds of CLOCK_MONOTONIC, as ``millrace.now()``; 0: now.
        """
        if self._released:
            raise self._gone()
        if length is None:
            length = self._raw[1]
        else:
            length = whole("length", length, self._raw[1])
        if timestamp:
            timestamp = whole("timestamp", timestamp, _MOST)
        raw = self._raw
        told = ctypes.addressof(raw) + _SEQUENCE_AT
        code = _publish(self._handle._address, raw, length, timestamp, told)
        if code != OK:
            raise failure(code)
        self._released = True
        if self._views:
            self._forget()
        return int(raw[_SEQUENCE])

    def discard(self) -> None:
        """Gives the slot back. Does nothing after ``publish``."""
        if not self._released:
            self._give_back()


class FrameWriter(_Slots):
    """Publishes frames. In TypeScript: ``FrameWriter.create``.

    RoleTakenError: there is a writer that lives. GeometryError: readers are on a channel with other sizes.

    Args:
        place: a name, ``file:PATH``, a path object (a mapped file), or ``fd:NUMBER``.
        slot_bytes: of the largest frame.
        slots: frames in flight together, 2 to 4096; by default 8.
        readers: at the same time, 1 to 62; by default 8.
        history: newest frames that are kept for readers to come.
        alignment: of frames in memory: 64 to the size of a page, a power of two.
        keep: the channel stays when everybody has gone.
        replace: leave a channel of other sizes to its readers, and begin a new one.
        schema, mode, owner, spin, memory: as of a QueueProducer.
    """

    __slots__ = ()
    _back = _discard
    _free = function("frame_writer_free")
    _close = function("frame_writer_close")
    _fd = function("frame_writer_fd")
    _disarm = function("frame_writer_disarm")

    def __init__(
        self,
        place: Place,
        slot_bytes: int,
        *,
        slots: int = 0,
        readers: int = 0,
        history: int = 0,
        alignment: int = 0,
        keep: bool = False,
        replace: bool = False,
        schema: int = 0,
        mode: int = 0o600,
        spin: Optional[float] = None,
        memory: Memory = Memory.PLAIN,
    ) -> None:
        options = fill(
            _WriterOptions(),
            flags=(KEEP if keep else 0) | (REPLACE if replace else 0) | int(memory),
            mode=mode,
            spin=spin,
            schema=schema,
            slot_bytes=slot_bytes,
            slots=slots,
            readers=readers,
            history=history,
            alignment=alignment,
        )
        out = ctypes.c_void_p()
        check(_writer_open(place_bytes(place), ctypes.addressof(options), ctypes.addressof(out)))
        self._opened(place, out)
        self._slot_type = exporter_of(options.slot_bytes)

    def try_loan(self) -> Optional[Loan]:
        """A slot to write into. None: readers have all at this moment."""
        raw = _Slot()
        if self._late:
            self._settle()
        code = _try_acquire(self._address, raw)
        if code == OK:
            return Loan(self, raw)
        if code == WOULD_BLOCK:
            return None
        raise failure(code)

    def loan(self, timeout: Optional[float] = None) -> Loan:
        """A slot to write into; blocks this thread until there is one. Several may be out at once. TimeoutError."""
        raw = _Slot()
        if self._late:
            self._settle()
        code = _try_acquire(self._address, raw)
        if code != OK:
            if code != WOULD_BLOCK:
                raise failure(code)
            wait(
                self._step(lambda ns: _acquire(self._address, ns, raw)),
                timeout,
                f"a free slot of '{self._name}'",
            )
        return Loan(self, raw)

    async def loan_async(self, timeout: Optional[float] = None) -> Loan:
        """As ``loan``, but waits in the event loop."""
        if self._in_turn():
            loan = self.try_loan()
            if loan is not None:
                return loan
        found: Loan = await self._until(
            lambda: self.try_loan() or NOTHING,
            lambda what: _writer_arm(self._address),
            timeout,
            f"a free slot of '{self._name}'",
        )
        return found

    def send(
        self, data: Bytes, header: Optional[bytes] = None, timeout: Optional[float] = None
    ) -> int:
        """Publishes a copy of the data. ``header``: up to 64 bytes. Returns the number of the frame. Blocks until a slot is free."""
        held, pointer, length = lend(data)
        beside = _header(header)
        sequence = ctypes.c_uint64()
        told = ctypes.addressof(sequence)
        wait(
            self._step(lambda ns: _send(self._address, pointer, length, beside, ns, told)),
            timeout,
            f"a free slot of '{self._name}'",
        )
        del held
        return sequence.value

    async def send_async(
        self, data: Bytes, header: Optional[bytes] = None, timeout: Optional[float] = None
    ) -> int:
        """As ``send``, but waits in the event loop."""
        beside = _header(header)
        with await self.loan_async(timeout) as loan:
            raw = data.encode("utf-8") if isinstance(data, str) else memoryview(data)
            if not isinstance(raw, bytes):
                raw = raw.cast("B") if raw.c_contiguous else raw.tobytes()
            if len(raw) > loan.capacity:
                raise make_error(
                    TOO_LARGE,
                    f"a frame of {len(raw)} bytes does not fit slots of {loan.capacity} bytes",
                )
            loan.data[: len(raw)] = raw
            loan.header[:] = beside or bytes(HEADER_BYTES)
            return loan.publish(len(raw))

    def wait_for_readers(self, count: int = 1, timeout: Optional[float] = None) -> None:
        """Blocks until so many readers are attached and alive."""
        wanted = whole("count", count, 62)
        wait(
            lambda ns: _writer_wait_readers(self._address, wanted, ns),
            timeout,
            f"{count} readers on frame channel '{self._name}'",
        )

    async def wait_for_readers_async(self, count: int = 1, timeout: Optional[float] = None) -> None:
        """Waits in the event loop until so many readers are attached and alive."""
        wanted = whole("count", count, 62)
        await look_until(
            lambda: self.readers >= wanted,
            timeout,
            f"{count} readers on frame channel '{self._name}'",
        )

    @property
    def readers(self) -> int:
        """Readers that are attached and alive; a system call for each."""
        return check(_writer_readers(self._address))

    @property
    def sequence(self) -> int:
        """Of the frame published last, by this writer or one before it; 0: none."""
        return check(_writer_sequence(self._address))

    def arm(self) -> bool:
        """For an event loop of your own, see ``fileno``: for a free slot. True: look again at once."""
        return check(_writer_arm(self._address)) == READY

    def abort(self, reason: str = "") -> None:
        """Closes, and readers get PeerFailedError with the reason (200 bytes of it) after what is queued for them."""
        self._leave(_writer_abort, reason.encode("utf-8").replace(b"\0", b" "))


def _header(header: Optional[bytes]) -> Optional[bytes]:
    if header is None:
        return None
    raw = bytes(memoryview(header))
    if len(raw) > HEADER_BYTES:
        raise invalid(f"a header has {HEADER_BYTES} bytes at most, not {len(raw)}")
    return raw.ljust(HEADER_BYTES, b"\0")


class Frame(_Memory):
    """A received frame, where it lies. It is read only.

    It goes back to the writer by ``release``, at the end of its ``with``, when a loop over the reader goes on, and when it and
    all its views and arrays are gone. After that its properties raise ReleasedError. memoryviews that it gave are void then;
    arrays, and what was derived from a view, stay: these show what is written to the slot next.
    """

    __slots__ = ()
    _handle: "FrameReader"

    @property
    def sequence(self) -> int:
        """Frames count from 1 on, over the life of the channel."""
        return int(self._raw[3])

    @property
    def timestamp(self) -> int:
        """Nanoseconds of CLOCK_MONOTONIC, as ``millrace.now()``, unless the writer said otherwise."""
        return int(self._raw[4])

    @property
    def missed(self) -> int:
        """Frames that this reader did not get between the one received before and this one."""
        return int(self._raw[5])

    def __len__(self) -> int:
        return int(self._raw[1])

    @property
    def data(self) -> memoryview:
        """The bytes of the frame, read-only, without a copy."""
        return self._view(self._handle._slot_type, self._raw[0], self._raw[1], False)

    @property
    def header(self) -> memoryview:
        """The writer's 64 bytes, read-only."""
        return self._view(_Header, self._raw[2], HEADER_BYTES, False)

    def array(
        self, dtype: Any = "uint8", shape: Optional[Shape] = None, offset: int = 0
    ) -> "numpy.ndarray[Any, Any]":
        """The frame as a numpy array, read-only, without a copy. By default all of it, in one dimension.

        The array keeps the frame: a frame that is not released otherwise goes back when the last array of it is gone.
        """
        array: "numpy.ndarray[Any, Any]" = array_over(self.data, dtype, shape, offset)
        return array

    def __bytes__(self) -> bytes:
        return self.data.tobytes()

    def __buffer__(self, flags: int) -> memoryview:
        return self.data

    @property
    def released(self) -> bool:
        return self._released

    def release(self) -> None:
        """Gives the frame back to the writer. ReleasedError: that was done before."""
        if self._released:
            raise self._gone()
        self._give_back()

    def __repr__(self) -> str:
        return f"<Frame {self.sequence} of {self._handle._name!r}{', released' * self._released}>"


class FrameReader(_Slots):
    """Receives frames. In TypeScript: ``FrameReader.open``.

    ``for frame in reader`` receives frames until the writer has closed; each is released when the loop goes on.
    ``async for`` does so in the event loop.

    Args:
        place: as of a FrameWriter.
        policy: what becomes of frames when this reader is too slow: ``wait`` (the writer waits), ``drop-newest``, ``overwrite-oldest``.
        depth: frames that may queue up; 0: what suits the policy.
        history: past frames that are wanted on joining.
        max_held: frames held at once; 0: all slots but two.
        after: only frames behind that sequence, as far back as the history goes.
        after_instance: of the channel that ``after`` is of (``instance``); 0: this one.
        timeout: seconds to wait for a channel with a writer, NotFoundError then; None: as long as it takes.
        schema, mode, owner, spin, memory: as of a QueueProducer; of the memory LOCK and PREFAULT alone.
    """

    __slots__ = ("_ended", "_spinning")
    _back = _release
    _free = function("frame_reader_free")
    _close = function("frame_reader_close")
    _fd = function("frame_reader_fd")
    _disarm = function("frame_reader_disarm")

    def __init__(
        self,
        place: Place,
        *,
        policy: str = "wait",
        depth: int = 0,
        history: int = 0,
        max_held: int = 0,
        after: Optional[int] = None,
        after_instance: int = 0,
        timeout: Optional[float] = 5.0,
        schema: int = 0,
        mode: int = 0o600,
        owner: Optional[int] = None,
        spin: Optional[float] = None,
        memory: Memory = Memory.PLAIN,
    ) -> None:
        options = _reader_options(
            policy,
            depth,
            history,
            max_held,
            after,
            after_instance,
            schema,
            mode,
            owner,
            spin,
            memory,
        )
        out = ctypes.c_void_p()
        name = place_bytes(place)
        given, told = ctypes.addressof(options), ctypes.addressof(out)
        _wait_open(lambda ns: int(_reader_open(name, given, ns, told)), timeout, str(place))
        self._opened(place, out)
        self._slot_type = exporter_of(max(check(_reader_slot_bytes(out)), 1))
        self._ended = False
        self._spinning = Spinning(spin)

    def _look(
        self,
        ask: Callable[..., int],
        block: Optional[Callable[..., int]] = None,
        timeout: Optional[float] = None,
    ) -> Optional[Frame]:
        """One call of ask, and of block unless that finds something."""
        raw = _Received()
        if self._late:
            self._settle()
        code = ask(self._address, raw)
        if code == WOULD_BLOCK and block is not None:
            call, address = block, self._address
            step = self._step(lambda ns: call(address, ns, raw))
            code = wait(step, timeout, f"a frame of '{self._name}'")
        if code == OK:
            self._ended = False
            return Frame(self, raw)
        if code == WOULD_BLOCK or code == END:
            self._ended = code == END
            return None
        raise failure(code)

    def try_next(self) -> Optional[Frame]:
        """The oldest frame that was not received. None: there is none now; ``ended`` tells whether the writer has closed.

        TooManyHeldError: release some. PeerFailedError, PeerGoneError: the writer has left so, and all it published is received.
        """
        return self._look(_try_next)

    def try_newest(self) -> Optional[Frame]:
        """As ``try_next``, but the newest; older ones are passed over and counted."""
        return self._look(_try_newest)

    def next(self, timeout: Optional[float] = None) -> Optional[Frame]:
        """The oldest frame that was not received; blocks this thread until there is one. None: the writer has closed. TimeoutError."""
        return self._look(_try_next, _next, timeout)

    def newest(self, timeout: Optional[float] = None) -> Optional[Frame]:
        """As ``next``, but the newest; older ones are passed over and counted."""
        return self._look(_try_newest, _newest, timeout)

    async def next_async(self, timeout: Optional[float] = None) -> Optional[Frame]:
        """As ``next``, but waits in the event loop. A call that is cancelled takes nothing."""
        return await self._receive_async(self.try_next, _next, timeout)

    async def newest_async(self, timeout: Optional[float] = None) -> Optional[Frame]:
        """As ``newest``, but waits in the event loop."""
        return await self._receive_async(self.try_newest, _newest, timeout)

    async def _receive_async(
        self, ask: Any, block: Callable[..., int], timeout: Optional[float]
    ) -> Optional[Frame]:
        spinning = self._spinning
        if spinning.turn_is_due:
            await asyncio.sleep(0)
            spinning.turned()
        tried = self._in_turn()
        if tried:
            ns = spinning.budget(timeout)
            frame: Optional[Frame] = ask() if ns == 0 else self._spin(block, ns)
            if frame is not None or self._ended:
                return frame

        def attempt() -> object:
            found = ask()
            return NOTHING if found is None and not self._ended else found

        received: Optional[Frame] = await self._until(
            attempt, self._arm, timeout, f"a frame of '{self._name}'", tried=tried
        )
        return received

    def _spin(self, block: Callable[..., int], ns: int) -> Optional[Frame]:
        """As try_next or try_newest, but looks for so long."""
        raw = _Received()
        if self._late:
            self._settle()
        began = now()
        code = block(self._address, ns, raw)
        if code == TIMEOUT:
            self._spinning.lost(began)
        else:
            self._spinning.paid(began)
        if code == OK:
            self._ended = False
            return Frame(self, raw)
        if code == TIMEOUT or code == INTERRUPTED or code == END:
            self._ended = code == END
            return None
        raise failure(code)

    def _arm(self, what: int) -> int:
        code: int = _reader_arm(self._address)
        return code

    def __iter__(self) -> Iterator[Frame]:
        address = self._address
        try:
            while True:
                raw = _Received()
                if not self._late and _try_next(address, raw) == OK:
                    frame = Frame(self, raw)
                else:
                    found = self.next()
                    if found is None:
                        return
                    frame = found
                try:
                    yield frame
                finally:
                    if not frame._released:
                        frame._give_back()
        except ClosedError:
            return

    async def __aiter__(self) -> AsyncIterator[Frame]:
        count = 0
        try:
            while True:
                frame = await self.next_async()
                if frame is None:
                    return
                try:
                    yield frame
                finally:
                    if not frame._released:
                        frame._give_back()
                count += 1
                if count % FAIR == 0:
                    await asyncio.sleep(0)
        except ClosedError:
            return

    @property
    def ended(self) -> bool:
        """The last look has found that the writer has closed, and that all it published is received."""
        return self._ended

    @property
    def counts(self) -> ReaderCounts:
        """What has become of the frames."""
        if self._late:
            self._settle()
        told = _Counts()
        told.size = ctypes.sizeof(told)
        check(_reader_counts_of(self._address, ctypes.addressof(told)))
        return ReaderCounts(
            told.received, told.lost, told.skipped, told.waiting, told.held, told.joined_after
        )

    @property
    def peer(self) -> Peer:
        """How the writer is doing."""
        return peer_of(_reader_peer, self._address)

    @property
    def slot_bytes(self) -> int:
        """Bytes of the longest frame there can be."""
        return ctypes.sizeof(self._slot_type)

    @property
    def instance(self) -> int:
        """A random number of this channel, for ``after_instance``. 0 once closed."""
        return int(_reader_instance(self._address))

    def arm(self) -> bool:
        """For an event loop of your own, see ``fileno``. True: look again at once."""
        return check(_reader_arm(self._address)) == READY


def _reader_options(
    policy: str,
    depth: int,
    history: int,
    max_held: int,
    after: Optional[int],
    after_instance: int,
    schema: int,
    mode: int,
    owner: Optional[int],
    spin: Optional[float],
    memory: Memory,
) -> _ReaderOptions:
    if policy not in _POLICIES:
        raise invalid(f"policy is {policy!r}; it is one of {', '.join(_POLICIES)}")
    options: _ReaderOptions = fill(
        _ReaderOptions(),
        flags=int(memory) | (0 if after is None else HAS_AFTER),
        mode=mode,
        owner=owner,
        spin=spin,
        schema=schema,
        policy=_POLICIES.index(policy),
        depth=depth,
        history=history,
        max_held=max_held,
        after=after or 0,
        after_instance=after_instance,
    )
    return options


def _wait_open(step: Callable[[int], int], timeout: Optional[float], place: str) -> None:
    """Opening waits in slices too, but says NOT_FOUND at the end of each."""
    end = None if timeout is None else time.monotonic_ns() + nanoseconds(timeout)
    while True:
        left = _OPENING_NS if end is None else max(end - time.monotonic_ns(), 0)
        code = step(min(left, _OPENING_NS))
        if code >= 0:
            return
        if code == INTERRUPTED:
            continue
        if code != NOT_FOUND:
            raise failure(code)
        if timeout is not None and left <= _OPENING_NS:
            raise make_error(
                NOT_FOUND,
                f"no writer appeared on frame channel '{place}' within {timeout:g} s: start it, or allow more time",
            )
