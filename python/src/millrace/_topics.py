"""Topics: messages under subjects, for all who want them."""

from __future__ import annotations

import asyncio
import ctypes
from types import TracebackType
from typing import Any, AsyncIterator, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from ._buffers import Bytes, Scratch, lend
from ._errors import CLOSED, FORKED, READY, TOO_LARGE, WOULD_BLOCK, ClosedError, invalid, make_error
from ._handle import FAIR, FOR_MESSAGES, FOR_ROOM, NOTHING, Handle, wait
from ._library import check, failure, function
from ._options import KEEP, OPEN_ONLY, Memory, Options, Place, fill, place_bytes, whole, without_nul

_open = function("topics_open")
_subject = function("topics_subject")
_subject_text = function("topics_subject_text")
_publish = function("topics_publish")
_try_publish = function("topics_try_publish")
_subscribe = function("topics_subscribe")
_unsubscribe = function("topics_unsubscribe")
_read = function("topics_read")
_try_read = function("topics_try_read")
_release = function("topics_release")
_missed = function("topics_missed")
_headers_next = function("headers_next")
_counts_of = function("topics_counts_of")
_arm = function("topics_arm")

_POLICIES = ("wait", "overwrite")
_COPIED = 1 << 16
_NO_PIN = 0xFFFF_FFFF


class _TopicsOptions(ctypes.Structure):
    _fields_ = [
        *Options._fields_,
        ("bytes", ctypes.c_uint64),
        ("messages", ctypes.c_uint32),
        ("subjects", ctypes.c_uint32),
        ("subscriptions", ctypes.c_uint32),
        ("seats", ctypes.c_uint32),
    ]


class _Header(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("value", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("value_length", ctypes.c_uint32),
    ]


class _SubscribeOptions(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_uint64),
        ("policy", ctypes.c_uint32),
        ("depth", ctypes.c_uint32),
        ("replay", ctypes.c_uint32),
        ("replay_last", ctypes.c_uint32),
    ]


class _Message(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_uint64),
        ("headers", ctypes.c_void_p),
        ("headers_length", ctypes.c_uint64),
        ("index", ctypes.c_uint64),
        ("published_at", ctypes.c_uint64),
        ("missed", ctypes.c_uint64),
        ("subject", ctypes.c_uint32),
        ("pin", ctypes.c_uint32),
    ]


class TopicMessage(NamedTuple):
    """A copy of a message."""

    subject: str
    data: bytes
    headers: Dict[str, str]
    """The trace context is ``traceparent``."""
    number: int
    """In the one order of all messages."""
    published_at: int
    """Nanoseconds since 1970."""
    missed: int
    """Messages that this subscription missed just before this one."""


class TopicsCounts(NamedTuple):
    """What is there; from ``published`` on: since they were made."""

    messages: int
    subjects: int
    subscriptions: int
    handles: int
    published: int
    matched: int
    evicted: int
    waits: int
    deaths: int


class _Counts(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint64)] + [
        (name, ctypes.c_uint64) for name in TopicsCounts._fields
    ]


def _pack(headers: Optional[Mapping[str, str]]) -> Tuple[Any, Any, int]:
    """What to hold on to, the address, and how many."""
    if not headers:
        return None, None, 0
    table = (_Header * len(headers))()
    held: List[Any] = [table]
    for entry, (name, value) in zip(table, headers.items()):
        raw_name, raw_value = name.encode("utf-8"), value.encode("utf-8")
        kept_name = ctypes.create_string_buffer(raw_name)
        kept_value = ctypes.create_string_buffer(raw_value)
        held += [kept_name, kept_value]
        entry.name, entry.name_length = ctypes.addressof(kept_name), len(raw_name)
        entry.value, entry.value_length = ctypes.addressof(kept_value), len(raw_value)
    return held, ctypes.addressof(table), len(headers)


def _unpack(address: Optional[int], length: int) -> Dict[str, str]:
    found: Dict[str, str] = {}
    if not address or not length:
        return found
    at, trace, header = ctypes.c_uint64(0), ctypes.create_string_buffer(56), _Header()
    while (
        check(_headers_next(address, length, ctypes.addressof(at), trace, ctypes.addressof(header)))
        == 1
    ):
        name = ctypes.string_at(header.name, header.name_length).decode("utf-8", "replace")
        found[name] = ctypes.string_at(header.value, header.value_length).decode("utf-8", "replace")
    return found


class Topics(Handle):
    """Publishes and subscribes. In TypeScript: ``Topics``. What is 0 is what the topics have, or the default.

    Args:
        place: a name, ``file:PATH``, a path object (a mapped file), or ``fd:NUMBER``.
        bytes: of all messages.
        messages, subjects, subscriptions: that there can be.
        seats: handles that can be open at once.
        open_only: NotFoundError if there are none.
    """

    __slots__ = ("_numbers", "_texts", "_scratches")
    _free = function("topics_free")
    _close = function("topics_close")
    _fd = function("topics_fd")
    _disarm = function("topics_disarm")

    def __init__(
        self,
        place: Place,
        *,
        bytes: int = 0,
        messages: int = 0,
        subjects: int = 0,
        subscriptions: int = 0,
        seats: int = 0,
        keep: bool = False,
        open_only: bool = False,
        mode: int = 0o600,
        owner: Optional[int] = None,
        spin: Optional[float] = None,
        memory: Memory = Memory.PLAIN,
    ) -> None:
        options = fill(
            _TopicsOptions(),
            flags=(KEEP if keep else 0) | (OPEN_ONLY if open_only else 0) | int(memory),
            mode=mode,
            owner=owner,
            spin=spin,
            bytes=bytes,
            messages=messages,
            subjects=subjects,
            subscriptions=subscriptions,
            seats=seats,
        )
        out = ctypes.c_void_p()
        check(_open(place_bytes(place), ctypes.addressof(options), ctypes.addressof(out)))
        # Numbers hold for as long as there are these topics.
        self._numbers: Dict[str, int] = {}
        self._texts: Dict[int, str] = {}
        self._scratches: List[Scratch] = []
        self._opened(place, out)

    def _number(self, subject: str) -> int:
        number = self._numbers.get(subject)
        if number is None:
            raw = without_nul("a subject", subject)
            out = ctypes.c_uint32()
            check(_subject(self._address, raw, ctypes.addressof(out)))
            number = self._numbers[subject] = out.value
        return number

    def _text(self, number: int) -> str:
        text = self._texts.get(number)
        if text is None:
            buffer = ctypes.create_string_buffer(4096)
            length = check(_subject_text(self._address, number, buffer, 4096))
            text = self._texts[number] = buffer.raw[:length].decode("utf-8", "replace")
        return text

    def try_publish(
        self, subject: str, payload: Bytes, headers: Optional[Mapping[str, str]] = None
    ) -> Optional[int]:
        """As ``publish``, but None: there is no room now, or a subscription holds it up."""
        held, pointer, length = lend(payload)
        kept, table, count = _pack(headers)
        code = _try_publish(self._address, self._number(subject), pointer, length, table, count)
        del held, kept
        if code == WOULD_BLOCK:
            return None
        return check(code)

    def publish(
        self,
        subject: str,
        payload: Bytes,
        headers: Optional[Mapping[str, str]] = None,
        timeout: Optional[float] = None,
    ) -> int:
        """Publishes a copy of the payload; blocks until there is room. Returns the number of subscriptions that it is for.

        ``headers``: short texts that go with it; names have 1 to 255 bytes, all together 1024 at most.
        """
        held, pointer, length = lend(payload)
        kept, table, count = _pack(headers)
        number = self._number(subject)
        code = wait(
            lambda ns: _publish(self._address, number, pointer, length, table, count, ns),
            timeout,
            f"room in topics '{self._name}'",
        )
        del held, kept
        return code

    async def publish_async(
        self,
        subject: str,
        payload: Bytes,
        headers: Optional[Mapping[str, str]] = None,
        timeout: Optional[float] = None,
    ) -> int:
        """As ``publish``, but waits in the event loop."""

        def attempt() -> Any:
            matched = self.try_publish(subject, payload, headers)
            return NOTHING if matched is None else matched

        if self._in_turn(FOR_ROOM):
            found = attempt()
            if found is not NOTHING:
                return int(found)
        return int(await self._until_room(attempt, _arm, timeout, f"room in topics '{self._name}'"))

    def subscribe(
        self,
        *filters: str,
        policy: str = "wait",
        depth: int = 0,
        replay: int = 0,
        replay_last: bool = False,
    ) -> "Subscription":
        """All messages whose subject matches one of the filters (``a.*.c``, ``a.>``) from now on.

        Args:
            policy: ``wait``: who publishes waits for this subscription; ``overwrite``: it misses the oldest, and is told how many.
            depth: messages that it may lag behind; 0: as many as there are.
            replay: so many of the newest messages that are there already.
            replay_last: the last message of each subject first.
        """
        if policy not in _POLICIES:
            raise invalid(f"policy is {policy!r}; it is one of {', '.join(_POLICIES)}")
        options = _SubscribeOptions()
        options.size = ctypes.sizeof(options)
        options.policy = _POLICIES.index(policy)
        options.depth = whole("depth", depth, 0xFFFF_FFFF)
        options.replay = whole("replay", replay, 0xFFFF_FFFF)
        options.replay_last = int(replay_last)
        table = (ctypes.c_char_p * len(filters))(
            *[without_nul("a filter", text) for text in filters]
        )
        out = ctypes.c_uint32()
        check(
            _subscribe(
                self._address, table, len(filters), ctypes.addressof(options), ctypes.addressof(out)
            )
        )
        return Subscription(self, out.value)

    @property
    def counts(self) -> TopicsCounts:
        """What is there, and what has been done."""
        told = _Counts()
        told.size = ctypes.sizeof(told)
        check(_counts_of(self._address, ctypes.addressof(told)))
        return TopicsCounts(*[getattr(told, name) for name in TopicsCounts._fields])

    def arm(self, messages: bool = True, room: bool = False) -> bool:
        """For an event loop of your own, see ``fileno``. True: look again at once.

        For room try once more after that, before you wait: how much is needed this does not know.
        """
        what = (FOR_MESSAGES if messages else 0) | (FOR_ROOM if room else 0)
        return check(_arm(self._address, what)) == READY


class Subscription:
    """What a subscription gets. ``for message in subscription``, ``async for``; ``with`` ends it."""

    __slots__ = ("_topics", "_number", "_ended")

    def __init__(self, topics: Topics, number: int) -> None:
        self._topics = topics
        self._number = number
        self._ended = False

    def _copy(self, raw: _Message) -> TopicMessage:
        topics = self._topics
        message = TopicMessage(
            topics._text(raw.subject),
            ctypes.string_at(raw.data, raw.length) if raw.length else b"",
            _unpack(raw.headers, raw.headers_length),
            raw.index,
            raw.published_at,
            raw.missed,
        )
        if raw.pin != _NO_PIN:
            check(_release(topics._address, ctypes.addressof(raw)))
        return message

    def _take(self, ask: Any, *more: Any) -> Optional[TopicMessage]:
        """One call of try_read or read, for one message."""
        topics = self._topics
        try:
            scratch = topics._scratches.pop()
        except IndexError:
            scratch = Scratch(_COPIED, 1)
        raw = _Message()
        code = ask(
            topics._address,
            self._number,
            scratch.address,
            scratch.size,
            ctypes.addressof(raw),
            1,
            *more,
            ctypes.addressof(scratch.tell),
        )
        if code == TOO_LARGE:
            topics._scratches.append(Scratch(scratch.tell[0], 1))
            return self._take(_try_read)
        message = None
        if code == 1:
            message = self._copy(raw)
        topics._scratches.append(scratch)
        if code < 0 and code != WOULD_BLOCK:
            raise failure(code)
        return message

    def try_read(self) -> Optional[TopicMessage]:
        """The next message; None: there is none now."""
        self._check()
        return self._take(_try_read)

    def read(self, timeout: Optional[float] = None) -> TopicMessage:
        """The next message; blocks this thread until there is one. TimeoutError."""
        message = self.try_read()
        if message is not None:
            return message
        topics = self._topics
        words = f"a message of topics '{topics._name}'"
        raw, needed = _Message(), ctypes.c_uint64()
        scratch = Scratch(_COPIED, 1)
        out, told = ctypes.addressof(raw), ctypes.addressof(needed)
        place = [scratch]

        def step(ns: int) -> int:
            room = place[0]
            code: int = _read(
                topics._address, self._number, room.address, room.size, out, 1, ns, told
            )
            if code == TOO_LARGE:
                room = place[0] = Scratch(needed.value, 1)
                code = _read(
                    topics._address, self._number, room.address, room.size, out, 1, 0, told
                )
            return code

        wait(step, timeout, words)
        return self._copy(raw)

    async def read_async(self, timeout: Optional[float] = None) -> TopicMessage:
        """As ``read``, but waits in the event loop. A call that is cancelled takes nothing."""
        topics = self._topics
        message = self.try_read()
        if message is not None:
            return message
        found: TopicMessage = await topics._until_any(
            lambda: self.try_read() or NOTHING,
            lambda what: _arm(topics._address, what),
            timeout,
            f"a message of topics '{topics._name}'",
        )
        return found

    def __iter__(self) -> Iterator[TopicMessage]:
        try:
            while True:
                yield self.read()
        except ClosedError:
            return

    async def __aiter__(self) -> AsyncIterator[TopicMessage]:
        count = 0
        try:
            while True:
                yield await self.read_async()
                count += 1
                if count % FAIR == 0:
                    await asyncio.sleep(0)
        except ClosedError:
            return

    @property
    def missed(self) -> int:
        """Messages that it has missed so far."""
        self._check()
        return check(_missed(self._topics._address, self._number))

    def _check(self) -> None:
        if self._ended:
            raise make_error(CLOSED, "the subscription was ended; subscribe again")

    def close(self) -> None:
        """Ends it. Once is enough."""
        if self._ended:
            return
        self._ended = True
        code = _unsubscribe(self._topics._address, self._number)
        if code != CLOSED and code != FORKED:
            check(code)
        waiter = self._topics._waiter
        if waiter is not None:
            waiter.end()

    def __enter__(self) -> "Subscription":
        return self

    def __exit__(
        self,
        kind: Optional[type],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()
