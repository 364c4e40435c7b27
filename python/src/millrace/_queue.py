"""Queues: one producer, one consumer, messages of any length in order."""

from __future__ import annotations

import ctypes
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any, AsyncIterator, Callable, Iterable, Iterator, List, Optional

import asyncio

from ._buffers import Bytes, Scratch, lend, new_bytes
from ._errors import (
    CLOSED,
    END,
    INTERRUPTED,
    OK,
    READY,
    TIMEOUT,
    TOO_LARGE,
    WOULD_BLOCK,
    ClosedError,
    MillraceError,
)
from ._handle import FAIR, NOTHING, Handle, Peer, look_until, peer_of, wait
from ._inplace import InPlace, Shape, array_over, exporter_for
from ._library import check, failure, function
from ._options import FRESH, KEEP, Memory, Options, Place, fill, place_bytes, whole
from ._spinning import Spinning, now

if TYPE_CHECKING:
    import numpy

_producer_open = function("queue_producer_open")
_push = function("queue_push")
_try_push = function("queue_try_push")
_try_push_quick = function("queue_try_push", quick=True)
_try_push_many = function("queue_try_push_many")
_reserve = function("queue_reserve")
_try_reserve = function("queue_try_reserve")
_commit = function("queue_commit")
_end = function("queue_end")
_producer_wait_peer = function("queue_producer_wait_peer")
_producer_peer = function("queue_producer_peer")
_producer_capacity = function("queue_producer_capacity")
_producer_max_message = function("queue_producer_max_message")
_producer_room = function("queue_producer_room")
_producer_discarded = function("queue_producer_discarded")
_producer_arm = function("queue_producer_arm")
_producer_abort = function("queue_producer_abort")
_consumer_open = function("queue_consumer_open")
_pop = function("queue_pop")
_try_pop = function("queue_try_pop")
_try_pop_large = function("queue_try_pop", quick=False)
_try_pop_many = function("queue_try_pop_many")
_peek = function("queue_peek")
_try_peek = function("queue_try_peek")
_release = function("queue_release")
_consumer_wait_peer = function("queue_consumer_wait_peer")
_consumer_peer = function("queue_consumer_peer")
_consumer_available = function("queue_consumer_available")
_consumer_discarded = function("queue_consumer_discarded")
_consumer_arm = function("queue_consumer_arm")
_consumer_abort = function("queue_consumer_abort")

# Messages up to here are copied with the interpreter locked.
_QUICK_BYTES = 16 * 1024
_SCRATCH_BYTES = 64 * 1024
_MANY = 1024
_KEPT = 1
_MOST = (1 << 64) - 1


class _QueueOptions(ctypes.Structure):
    _fields_ = [*Options._fields_, ("capacity", ctypes.c_uint64)]


def _options(
    capacity: int,
    keep: bool,
    fresh: bool,
    schema: int,
    mode: int,
    owner: Optional[int],
    spin: Optional[float],
    memory: Memory,
) -> _QueueOptions:
    flags = (KEEP if keep else 0) | (FRESH if fresh else 0) | int(memory)
    options: _QueueOptions = fill(
        _QueueOptions(),
        flags=flags,
        mode=mode,
        owner=owner,
        spin=spin,
        schema=schema,
        capacity=capacity,
    )
    return options


_Place = ctypes.c_uint64 * 2


class _Side(Handle):
    """A handle that gives out one message in place at a time: what comes next takes the last one's place."""

    __slots__ = ("_out",)
    _out: "Optional[weakref.ref[InPlace]]"

    def _opened(self, name: Any, out: ctypes.c_void_p) -> None:
        super()._opened(name, out)
        self._out = None

    def _put_out(self, given: InPlace) -> None:
        self._take_back()
        self._out = weakref.ref(given)

    def _take_back(self) -> None:
        """What is out is void."""
        out = self._out
        if out is not None:
            self._out = None
            given = out()
            if given is not None and not given._released:
                given._forget()

    def _leave(self, leave: Callable[..., int], *arguments: Any) -> None:
        self._take_back()
        super()._leave(leave, *arguments)


class Room(InPlace):
    """Room in a queue for a message that is not sent yet. ``with`` gives it up unless it was committed.

    One at a time: the next reservation takes its place, and so does what is pushed meanwhile.
    """

    __slots__ = ("_address", "_length")
    _handle: "QueueProducer"

    def __init__(self, producer: "QueueProducer", address: int, length: int) -> None:
        super().__init__(producer)
        self._address = address
        self._length = length
        producer._put_out(self)

    def __len__(self) -> int:
        return self._length

    @property
    def data(self) -> memoryview:
        """The bytes, to be written. They hold anything. After ``commit`` the view is void."""
        return self._view(exporter_for(self._length), self._address, self._length, True)

    def array(
        self, dtype: Any = "uint8", shape: Optional[Shape] = None, offset: int = 0
    ) -> "numpy.ndarray[Any, Any]":
        """The bytes as a numpy array, without a copy. ``commit`` makes it read-only; do not write to others that were made of it after that."""
        return self._written(self.data, dtype, shape, offset)

    def commit(self, length: Optional[int] = None) -> None:
        """Sends the first ``length`` bytes, by default all."""
        if self._released:
            raise self._gone()
        length = self._length if length is None else whole("length", length, self._length)
        code = _commit(self._handle._address, length)
        if code != OK:
            raise failure(code)
        self._forget()

    def discard(self) -> None:
        """Sends nothing. Does nothing after ``commit``."""
        if not self._released:
            self._forget()

    def __enter__(self) -> "Room":
        return self

    def __exit__(
        self,
        kind: Optional[type],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.discard()


class PeekedMessage(InPlace):
    """The oldest message of a queue, where it lies. It is read only.

    ``release`` takes it off the queue, and so does the end of a ``with`` unless it raises: then it stays, and is the next one
    again, as it is when it is dropped without a release. One at a time: whatever is popped or peeked next makes it void.
    """

    __slots__ = ("_address", "_length")
    _handle: "QueueConsumer"

    def __init__(self, consumer: "QueueConsumer", address: int, length: int) -> None:
        super().__init__(consumer)
        self._address = address
        self._length = length
        consumer._put_out(self)

    def __len__(self) -> int:
        return self._length

    @property
    def data(self) -> memoryview:
        """The bytes, read-only, without a copy. After the release the view is void."""
        return self._view(exporter_for(self._length), self._address, self._length, False)

    def array(
        self, dtype: Any = "uint8", shape: Optional[Shape] = None, offset: int = 0
    ) -> "numpy.ndarray[Any, Any]":
        """The message as a numpy array, read-only, without a copy: copy what is needed beyond the release."""
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
        """Takes it off the queue: its memory is the producer's again. ReleasedError: that was done before."""
        if self._released:
            raise self._gone()
        code = _release(self._handle._address)
        if code != OK:
            raise failure(code)
        self._forget()

    def __enter__(self) -> "PeekedMessage":
        return self

    def __exit__(
        self,
        kind: Optional[type],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if self._released:
            return
        if kind is None:
            self.release()
        else:
            self._forget()


class QueueProducer(_Side):
    """The side that sends. In TypeScript: ``SpscQueue.producer``.

    It waits for no consumer: either side may come first. RoleTakenError: there is a producer that lives.

    Args:
        place: a name, ``file:PATH``, a path object (a mapped file), or ``fd:NUMBER``.
        capacity: bytes of the ring; 0: what is there, or what the other side says, else 256 KiB.
        keep: unread messages outlive the death of all sides.
        fresh: begin without what an earlier session left.
        schema: fingerprint of what the messages are; SchemaError if the other side states another one.
        mode: 0o600, 0o640 or 0o660, of a new queue; the widest that is accepted of one that is there.
        owner: user id whose queue is accepted; by default this user's.
        spin: seconds that a call that blocks looks before it sleeps.
        memory: huge pages, locking, ...
    """

    __slots__ = ()
    _free = function("queue_producer_free")
    _close = function("queue_producer_close")
    _fd = function("queue_producer_fd")
    _disarm = function("queue_producer_disarm")

    def __init__(
        self,
        place: Place,
        *,
        capacity: int = 0,
        keep: bool = False,
        fresh: bool = False,
        schema: int = 0,
        mode: int = 0o600,
        owner: Optional[int] = None,
        spin: Optional[float] = None,
        memory: Memory = Memory.PLAIN,
    ) -> None:
        options = _options(capacity, keep, fresh, schema, mode, owner, spin, memory)
        out = ctypes.c_void_p()
        check(_producer_open(place_bytes(place), ctypes.addressof(options), ctypes.addressof(out)))
        self._opened(place, out)

    def try_push(self, message: Bytes) -> bool:
        """Sends a copy of the message, or says False: there is no room now.

        TooLargeError: longer than ``max_message``. ClosedError, PeerFailedError, PeerGoneError: there is no room, and the consumer has left.
        """
        if self._out is not None:
            self._take_back()
        if type(message) is bytes and len(message) <= _QUICK_BYTES:
            code = _try_push_quick(self._address, message, len(message))
            if code == OK:
                return True
        else:
            held, pointer, length = lend(message)
            code = _try_push(self._address, pointer, length)
            del held
        if code == OK:
            return True
        if code == WOULD_BLOCK:
            return False
        raise failure(code)

    def push(self, message: Bytes, timeout: Optional[float] = None) -> None:
        """Sends a copy of the message; blocks this thread until there is room. Errors as ``try_push``; TimeoutError."""
        if self._out is not None:
            self._take_back()
        if type(message) is bytes and len(message) <= _QUICK_BYTES:
            code = _try_push_quick(self._address, message, len(message))
            if code == OK:
                return
            if code != WOULD_BLOCK:
                raise failure(code)
        held, pointer, length = lend(message)
        wait(
            lambda ns: _push(self._address, pointer, length, ns),
            timeout,
            f"room in queue '{self._name}'",
        )
        del held

    def try_push_many(self, messages: Iterable[Bytes]) -> int:
        """Sends as many of the messages as there is room for, from the first on, at once. Returns how many."""
        self._take_back()
        packed = [lend(message) for message in messages]
        lengths = (ctypes.c_uint32 * len(packed))(*[length for _, _, length in packed])
        joined = b"".join([_joinable(held) for held, _, _ in packed])
        return check(
            _try_push_many(
                self._address, joined, len(joined), ctypes.addressof(lengths), len(packed)
            )
        )

    def push_many(self, messages: Iterable[Bytes], timeout: Optional[float] = None) -> None:
        """Sends all of the messages, in order, in as few steps as there is room. ``timeout`` is that of each step."""
        rest = list(messages)
        while rest:
            sent = self.try_push_many(rest[:_MANY])
            if sent == 0:
                self.push(rest[0], timeout)
                sent = 1
            del rest[:sent]

    def try_reserve(self, length: int) -> Optional[Room]:
        """Room in the queue itself for a message of at most so many bytes. None: there is none now. Errors as ``try_push``."""
        length = whole("length", length, _MOST)
        at = ctypes.c_uint64()
        self._take_back()
        code = _try_reserve(self._address, length, ctypes.addressof(at))
        if code == OK:
            return Room(self, at.value, length)
        if code == WOULD_BLOCK:
            return None
        raise failure(code)

    def reserve(self, length: int, timeout: Optional[float] = None) -> Room:
        """As ``try_reserve``, but blocks this thread until there is room. TimeoutError."""
        room = self.try_reserve(length)
        if room is None:
            at = ctypes.c_uint64()
            told = ctypes.addressof(at)
            wait(
                lambda ns: _reserve(self._address, length, ns, told),
                timeout,
                f"room in queue '{self._name}'",
            )
            room = Room(self, at.value, length)
        return room

    async def reserve_async(self, length: int, timeout: Optional[float] = None) -> Room:
        """As ``reserve``, but waits in the event loop. What is pushed or reserved next takes its place."""
        if self._in_turn():
            room = self.try_reserve(length)
            if room is not None:
                return room
        found: Room = await self._until(
            lambda: NOTHING if (room := self.try_reserve(length)) is None else room,
            lambda what: _producer_arm(self._address, length),
            timeout,
            f"room in queue '{self._name}'",
        )
        return found

    async def push_async(self, message: Bytes, timeout: Optional[float] = None) -> None:
        """As ``push``, but waits in the event loop. Calls are served in their order. Do not change the bytes before it returns."""
        if self._in_turn() and self.try_push(message):
            return
        length = (
            len(message.encode("utf-8")) if isinstance(message, str) else memoryview(message).nbytes
        )
        await self._until(
            lambda: None if self.try_push(message) else NOTHING,
            lambda what: _producer_arm(self._address, length),
            timeout,
            f"room in queue '{self._name}'",
        )

    def end(self, timeout: Optional[float] = None) -> None:
        """Waits until the consumer has read everything, and closes. It stays open if that fails."""
        wait(
            lambda ns: _end(self._address, ns),
            timeout,
            f"reading everything in queue '{self._name}'",
        )

    async def end_async(self, timeout: Optional[float] = None) -> None:
        """As ``end``, but waits in the event loop."""
        whole = self.max_message

        def attempt() -> object:
            code = _end(self._address, 0)
            if code == TIMEOUT:
                return NOTHING
            check(code)
            return None

        await self._until(
            attempt,
            lambda what: _producer_arm(self._address, whole),
            timeout,
            f"reading everything in queue '{self._name}'",
        )
        self.close()

    def wait_for_peer(self, timeout: Optional[float] = None) -> None:
        """Blocks until there is a consumer."""
        wait(
            lambda ns: _producer_wait_peer(self._address, ns),
            timeout,
            f"a peer on queue '{self._name}'",
        )

    async def wait_for_peer_async(self, timeout: Optional[float] = None) -> None:
        """Waits in the event loop until there is a consumer."""
        await look_until(
            lambda: self.peer.state == "attached", timeout, f"a peer on queue '{self._name}'"
        )

    @property
    def peer(self) -> Peer:
        """How the consumer is doing."""
        return peer_of(_producer_peer, self._address)

    @property
    def capacity(self) -> int:
        """Bytes of the ring. A message takes its length and 8, rounded up to 8. To ask decides it, if nobody has."""
        return check(_producer_capacity(self._address))

    @property
    def max_message(self) -> int:
        """Bytes of the longest message."""
        return check(_producer_max_message(self._address))

    @property
    def room(self) -> int:
        """Bytes of the ring that are free."""
        return check(_producer_room(self._address))

    @property
    def discarded(self) -> int:
        """Messages that opening with ``fresh`` has dropped."""
        return check(_producer_discarded(self._address))

    def arm(self, length: int = 0) -> bool:
        """For an event loop of your own, see ``fileno``: for room for a message of so many bytes. True: look again at once."""
        return check(_producer_arm(self._address, whole("length", length, _MOST))) == READY

    def close(self, discard: bool = False) -> None:
        """Leaves. What is unread waits for the next consumer, or is dropped with ``discard``, if nobody is there."""
        self._leave(type(self)._close, int(discard))

    def abort(self, reason: str = "") -> None:
        """Closes, and the consumer gets PeerFailedError with the reason (200 bytes of it) when it has read what was sent."""
        self._leave(_producer_abort, reason.encode("utf-8").replace(b"\0", b" "))


def _joinable(held: object) -> bytes:
    if isinstance(held, bytes):
        return held
    return ctypes.string_at(held.address, held.length)  # type: ignore[attr-defined]


class QueueConsumer(_Side):
    """The side that receives. In TypeScript: ``SpscQueue.consumer``. Its arguments are those of QueueProducer.

    ``for message in consumer`` receives messages until the producer has closed, and everything is read;
    ``async for`` does so in the event loop. RoleTakenError: there is a consumer that lives.
    """

    __slots__ = ("_scratches", "_ended", "_spinning")
    _free = function("queue_consumer_free")
    _close = function("queue_consumer_close")
    _fd = function("queue_consumer_fd")
    _disarm = function("queue_consumer_disarm")

    def __init__(
        self,
        place: Place,
        *,
        capacity: int = 0,
        keep: bool = False,
        fresh: bool = False,
        schema: int = 0,
        mode: int = 0o600,
        owner: Optional[int] = None,
        spin: Optional[float] = None,
        memory: Memory = Memory.PLAIN,
    ) -> None:
        options = _options(capacity, keep, fresh, schema, mode, owner, spin, memory)
        out = ctypes.c_void_p()
        check(_consumer_open(place_bytes(place), ctypes.addressof(options), ctypes.addressof(out)))
        self._opened(place, out)
        # Taken out of the list while a call uses it: two threads that come at once have one each.
        self._scratches: List[Scratch] = []
        self._ended = False
        self._spinning = Spinning(spin)

    def _scratch(self) -> Scratch:
        if self._out is not None:
            self._take_back()
        try:
            return self._scratches.pop()
        except IndexError:
            return Scratch(_SCRATCH_BYTES, _MANY)

    def _took(self, code: int, scratch: Scratch) -> Optional[bytes]:
        """What a try_pop that was not OK comes to: None if there is nothing."""
        while code == TOO_LARGE:
            length = scratch.tell[0]
            large = new_bytes(length)
            code = _try_pop_large(self._address, large, length, scratch.tell)
            if code == OK:
                self._ended = False
                # Nobody else pops, so it is the one that was measured; or it was another thread: then it may be shorter.
                return large if scratch.tell[0] == length else large[: scratch.tell[0]]
        if code == WOULD_BLOCK or code == END:
            self._ended = code == END
            return None
        raise failure(code)

    def try_pop(self) -> Optional[bytes]:
        """The oldest message; None: there is none now. After the last message of a producer that has closed, ``ended`` is True.

        PeerFailedError, PeerGoneError: the producer has left so, and everything is read.
        """
        scratch = self._scratch()
        code = _try_pop(self._address, scratch.address, _SCRATCH_BYTES, scratch.tell_at)
        if code == OK:
            message: Optional[bytes] = scratch.view[: scratch.tell[0]].tobytes()
            self._ended = False
        else:
            message = self._took(code, scratch)
        self._scratches.append(scratch)
        return message

    def pop(self, timeout: Optional[float] = None) -> Optional[bytes]:
        """The oldest message; blocks this thread until there is one. None: the producer has closed, and everything is read.

        PeerFailedError, PeerGoneError: the producer has left so, and everything is read. TimeoutError.
        """
        message = self.try_pop()
        if message is not None or self._ended:
            return message
        scratch = self._scratch()
        tell = scratch.tell_at
        code = wait(
            lambda ns: _kept(_pop(self._address, scratch.address, _SCRATCH_BYTES, tell, ns)),
            timeout,
            f"a message in queue '{self._name}'",
        )
        if code == OK:
            message = scratch.view[: scratch.tell[0]].tobytes()
            self._ended = False
        else:
            message = self._took(TOO_LARGE if code == _KEPT else code, scratch)
        self._scratches.append(scratch)
        return message

    def try_pop_many(self, most: int = _MANY) -> List[bytes]:
        """The messages that are there, up to so many and as far as they fit 64 KiB, with one call. [] if there is none now."""
        scratch = self._scratch()
        count = _try_pop_many(
            self._address,
            scratch.address,
            _SCRATCH_BYTES,
            ctypes.addressof(scratch.lengths),
            min(max(whole("most", most, _MOST), 1), _MANY),
        )
        messages: List[bytes] = []
        if count > 0:
            self._ended = False
            at = 0
            view = scratch.view
            for length in scratch.lengths[:count]:
                end = at + length
                messages.append(view[at:end].tobytes())
                at = end
        elif count == TOO_LARGE:
            one = self.try_pop()
            if one is not None:
                messages.append(one)
        else:
            self._took(count, scratch)
        self._scratches.append(scratch)
        return messages

    def pop_many(self, most: int = _MANY, timeout: Optional[float] = None) -> List[bytes]:
        """As ``try_pop_many``, but blocks until there is one at least. []: the producer has closed, and everything is read."""
        messages = self.try_pop_many(most)
        if not messages and not self._ended:
            first = self.pop(timeout)
            if first is None:
                return []
            messages = self._and_more(first, most)
        return messages

    def _and_more(self, first: bytes, most: int) -> List[bytes]:
        """What is there behind the first. What goes wrong then is told by the next call: the first is taken already."""
        try:
            return [first, *(self.try_pop_many(most - 1) if most > 1 else [])]
        except MillraceError:
            return [first]

    def try_peek(self) -> Optional[PeekedMessage]:
        """The oldest message, where it lies; None: there is none now, as of ``try_pop``. It stays in the queue until its release."""
        self._take_back()
        at = _Place()
        told = ctypes.addressof(at)
        return self._peeked(_try_peek(self._address, told, told + 8), at)

    def peek(self, timeout: Optional[float] = None) -> Optional[PeekedMessage]:
        """As ``try_peek``, but blocks this thread until there is one. None: the producer has closed, and everything is read."""
        message = self.try_peek()
        if message is not None or self._ended:
            return message
        at = _Place()
        told = ctypes.addressof(at)
        code = wait(
            lambda ns: _peek(self._address, told, told + 8, ns),
            timeout,
            f"a message in queue '{self._name}'",
        )
        return self._peeked(code, at)

    async def peek_async(self, timeout: Optional[float] = None) -> Optional[PeekedMessage]:
        """As ``peek``, but waits in the event loop."""
        if self._in_turn():
            message = self.try_peek()
            if message is not None:
                return message

        def attempt() -> object:
            message = self.try_peek()
            return NOTHING if message is None and not self._ended else message

        found: Optional[PeekedMessage] = await self._until(
            attempt, self._arm, timeout, f"a message in queue '{self._name}'"
        )
        return found

    def _peeked(self, code: int, at: Any) -> Optional[PeekedMessage]:
        if code == OK:
            self._ended = False
            return PeekedMessage(self, at[0], at[1])
        if code == WOULD_BLOCK or code == END:
            self._ended = code == END
            return None
        raise failure(code)

    async def pop_async(self, timeout: Optional[float] = None) -> Optional[bytes]:
        """As ``pop``, but waits in the event loop. Calls are served in their order; one that is cancelled takes nothing."""
        spinning = self._spinning
        if spinning.turn_is_due:
            await asyncio.sleep(0)
            spinning.turned()
        tried = self._in_turn()
        if tried:
            ns = spinning.budget(timeout)
            message = self.try_pop() if ns == 0 else self._spin(ns)
            if message is not None or self._ended:
                return message
        taken: Optional[bytes] = await self._until(
            self._attempt,
            self._arm,
            timeout,
            f"a message in queue '{self._name}'",
            tried=tried,
        )
        return taken

    def _spin(self, ns: int) -> Optional[bytes]:
        """As try_pop, but looks for so long."""
        scratch = self._scratch()
        began = now()
        code = _pop(self._address, scratch.address, _SCRATCH_BYTES, scratch.tell_at, ns)
        if code == TIMEOUT:
            self._spinning.lost(began)
        else:
            self._spinning.paid(began)
        if code == OK:
            message: Optional[bytes] = scratch.view[: scratch.tell[0]].tobytes()
            self._ended = False
        elif code == TIMEOUT or code == INTERRUPTED:
            message = None
        else:
            message = self._took(code, scratch)
        self._scratches.append(scratch)
        return message

    def _attempt(self) -> object:
        message = self.try_pop()
        return NOTHING if message is None and not self._ended else message

    def _arm(self, what: int) -> int:
        code: int = _consumer_arm(self._address)
        return code

    async def pop_many_async(
        self, most: int = _MANY, timeout: Optional[float] = None
    ) -> List[bytes]:
        """As ``pop_many``, but waits in the event loop."""
        first = await self.pop_async(timeout)
        if first is None:
            return []
        return self._and_more(first, most)

    def __iter__(self) -> Iterator[bytes]:
        try:
            while True:
                message = self.pop()
                if message is None:
                    return
                yield message
        except ClosedError:
            return

    async def __aiter__(self) -> AsyncIterator[bytes]:
        count = 0
        try:
            while True:
                message = await self.pop_async()
                if message is None:
                    return
                yield message
                count += 1
                if count % FAIR == 0:
                    await asyncio.sleep(0)
        except ClosedError:
            return

    def wait_for_peer(self, timeout: Optional[float] = None) -> None:
        """Blocks until there is a producer."""
        wait(
            lambda ns: _consumer_wait_peer(self._address, ns),
            timeout,
            f"a peer on queue '{self._name}'",
        )

    async def wait_for_peer_async(self, timeout: Optional[float] = None) -> None:
        """Waits in the event loop until there is a producer."""
        await look_until(
            lambda: self.peer.state == "attached", timeout, f"a peer on queue '{self._name}'"
        )

    @property
    def ended(self) -> bool:
        """The last look has found that the producer has closed, and that everything is read."""
        return self._ended

    @property
    def peer(self) -> Peer:
        """How the producer is doing."""
        return peer_of(_consumer_peer, self._address)

    @property
    def available(self) -> int:
        """Bytes of messages that are there, each with its header of 8, rounded up to 8."""
        return check(_consumer_available(self._address))

    @property
    def discarded(self) -> int:
        """Messages that opening with ``fresh`` has dropped."""
        return check(_consumer_discarded(self._address))

    def arm(self) -> bool:
        """For an event loop of your own, see ``fileno``. True: look again at once."""
        return check(_consumer_arm(self._address)) == READY

    def close(self, discard: bool = False) -> None:
        """Leaves. What is unread waits for the next consumer, or is dropped with ``discard``."""
        self._leave(type(self)._close, int(discard))

    def abort(self, reason: str = "") -> None:
        """Closes, and a producer that waits gets PeerFailedError with the reason (200 bytes of it)."""
        self._leave(_consumer_abort, reason.encode("utf-8").replace(b"\0", b" "))


def _kept(code: int) -> int:
    """TOO_LARGE is no error here: the message is where it was."""
    return _KEPT if code == TOO_LARGE else code
