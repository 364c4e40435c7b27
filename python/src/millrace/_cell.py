"""Cells: the newest value of one writer, for any number of readers."""

from __future__ import annotations

import ctypes
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any, AsyncIterator, Callable, Iterator, NamedTuple, Optional

from ._buffers import Bytes, lend
from ._errors import BUSY, END, OK, READY, TIMEOUT, WOULD_BLOCK, ClosedError
from ._handle import NOTHING, Handle, Peer, peer_of, wait
from ._inplace import InPlace, Shape, exporter_of
from ._library import check, failure, function
from ._options import KEEP, NO_TIMESTAMPS, Options, Place, fill, place_bytes, whole

if TYPE_CHECKING:
    import numpy

_writer_open = function("cell_writer_open")
_write = function("cell_write")
_begin = function("cell_begin")
_publish = function("cell_publish")
_writer_version = function("cell_writer_version")
_reader_open = function("cell_reader_open")
_read = function("cell_read")
_read_next = function("cell_read_next")
_reader_version = function("cell_reader_version")
_reader_max_bytes = function("cell_reader_max_bytes")
_reader_peer = function("cell_reader_peer")
_reader_arm = function("cell_reader_arm")

_MOST = (1 << 64) - 1


class _WriterOptions(ctypes.Structure):
    _fields_ = [
        *Options._fields_,
        ("max_bytes", ctypes.c_uint64),
        ("slots", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    ]


class _Told(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_uint64),
        ("length", ctypes.c_uint64),
        ("timestamp", ctypes.c_uint64),
    ]


class CellValue(NamedTuple):
    """A copy of a value."""

    data: bytes
    version: int
    """Values count from 1 on."""
    timestamp: int
    """When it was written, as ``millrace.now()``; 0: not said."""


class BegunValue(InPlace):
    """Memory of a cell for its next value, which nobody sees before ``publish``. ``with`` gives it up unless it was published.

    One at a time: whatever is begun or written next makes it void.
    """

    __slots__ = ("_address",)
    _handle: "CellWriter"

    def __init__(self, writer: "CellWriter", address: int) -> None:
        super().__init__(writer)
        self._address = address

    def __len__(self) -> int:
        return self._handle._max_bytes

    @property
    def data(self) -> memoryview:
        """``max_bytes`` bytes, to be written. After ``publish`` the view is void."""
        writer = self._handle
        return self._view(writer._value_type, self._address, writer._max_bytes, True)

    def array(
        self, dtype: Any = "uint8", shape: Optional[Shape] = None, offset: int = 0
    ) -> "numpy.ndarray[Any, Any]":
        """The bytes as a numpy array, without a copy. ``publish`` makes it read-only; do not write to others that were made of it after that."""
        return self._written(self.data, dtype, shape, offset)

    def publish(self, length: Optional[int] = None) -> None:
        """Makes the first ``length`` bytes, by default all, the newest value."""
        if self._released:
            raise self._gone()
        most = self._handle._max_bytes
        length = most if length is None else whole("length", length, most)
        code = _publish(self._handle._address, length)
        if code != OK:
            raise failure(code)
        self._forget()

    def discard(self) -> None:
        """Nothing becomes of it. Does nothing after ``publish``."""
        if not self._released:
            self._forget()

    def __enter__(self) -> "BegunValue":
        return self

    def __exit__(
        self,
        kind: Optional[type],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.discard()


class CellWriter(Handle):
    """Writes values. In TypeScript: ``Cell.writer``. RoleTakenError: there is a writer that lives.

    Args:
        place: a name, ``file:PATH``, a path object (a mapped file), or ``fd:NUMBER``.
        max_bytes: of a value.
        slots: 2 to 1024; 0: what is there, or 4.
        timestamps: values say when they were written.
        keep: the value stays when everybody has gone.
        schema, mode, owner: as of a QueueProducer.
    """

    __slots__ = ("_max_bytes", "_value_type", "_out")
    _out: "Optional[weakref.ref[BegunValue]]"
    _free = function("cell_writer_free")
    _close = function("cell_writer_close")

    def __init__(
        self,
        place: Place,
        max_bytes: int,
        *,
        slots: int = 0,
        timestamps: bool = True,
        keep: bool = False,
        schema: int = 0,
        mode: int = 0o600,
        owner: Optional[int] = None,
    ) -> None:
        options = fill(
            _WriterOptions(),
            flags=(KEEP if keep else 0) | (0 if timestamps else NO_TIMESTAMPS),
            mode=mode,
            owner=owner,
            schema=schema,
            max_bytes=max_bytes,
            slots=slots,
        )
        out = ctypes.c_void_p()
        check(_writer_open(place_bytes(place), ctypes.addressof(options), ctypes.addressof(out)))
        self._max_bytes: int = options.max_bytes
        self._value_type = exporter_of(self._max_bytes)
        self._out = None
        self._opened(place, out)

    def begin(self, copy: bool = False) -> BegunValue:
        """Memory for the next value, which ``publish`` shows. It holds the newest value with ``copy``, else anything."""
        self._take_back()
        at = ctypes.c_uint64()
        code = _begin(self._address, int(copy), ctypes.addressof(at), None)
        if code != OK:
            raise failure(code)
        begun = BegunValue(self, at.value)
        self._out = weakref.ref(begun)
        return begun

    def _take_back(self) -> None:
        out = self._out
        if out is not None:
            self._out = None
            begun = out()
            if begun is not None and not begun._released:
                begun._forget()

    def _leave(self, leave: Callable[..., int], *arguments: Any) -> None:
        self._take_back()
        super()._leave(leave, *arguments)

    def write(self, value: Bytes) -> None:
        """Makes it the newest value. Never blocks. TooLargeError: longer than ``max_bytes``."""
        if self._out is not None:
            self._take_back()
        held, pointer, length = lend(value)
        code = _write(self._address, pointer, length)
        del held
        if code != OK:
            raise failure(code)

    @property
    def version(self) -> int:
        """Of the newest value; 0: none was written."""
        return check(_writer_version(self._address))


class CellReader(Handle):
    """Reads values. In TypeScript: ``Cell.reader``. NotFoundError: there is no such cell.

    ``for value in reader`` gives each newest value, until the writer has closed; ``async for`` does so in the event loop.
    """

    __slots__ = ("_max_bytes",)
    _free = function("cell_reader_free")
    _close = function("cell_reader_close")
    _fd = function("cell_reader_fd")
    _disarm = function("cell_reader_disarm")

    def __init__(
        self,
        place: Place,
        *,
        schema: int = 0,
        mode: int = 0o600,
        owner: Optional[int] = None,
        spin: Optional[float] = None,
    ) -> None:
        options = fill(Options(), mode=mode, owner=owner, spin=spin, schema=schema)
        out = ctypes.c_void_p()
        check(_reader_open(place_bytes(place), ctypes.addressof(options), ctypes.addressof(out)))
        self._max_bytes = check(_reader_max_bytes(out))
        self._opened(place, out)

    def read(self) -> Optional[CellValue]:
        """A copy of the newest value; None: none was ever written. BusyError: the writer was faster than the copy, time and again."""
        buffer, told = ctypes.create_string_buffer(self._max_bytes or 1), _Told()
        code = _read(self._address, buffer, self._max_bytes, ctypes.addressof(told))
        if code == WOULD_BLOCK:
            return None
        if code != OK:
            raise failure(code)
        return _value(buffer, told)

    def read_next(self, since: int = 0, timeout: Optional[float] = None) -> Optional[CellValue]:
        """Blocks until the newest value has another version than ``since``. None: the writer has closed. PeerGoneError: it died."""
        since = whole("since", since, _MOST)
        buffer, told = ctypes.create_string_buffer(self._max_bytes or 1), _Told()
        out = ctypes.addressof(told)
        code = wait(
            lambda ns: _read_next(self._address, since, buffer, self._max_bytes, ns, out),
            timeout,
            f"a value of cell '{self._name}'",
        )
        return None if code == END else _value(buffer, told)

    async def read_next_async(
        self, since: int = 0, timeout: Optional[float] = None
    ) -> Optional[CellValue]:
        """As ``read_next``, but waits in the event loop."""
        since = whole("since", since, _MOST)
        buffer, told = ctypes.create_string_buffer(self._max_bytes or 1), _Told()
        out = ctypes.addressof(told)

        def attempt() -> object:
            if self.version == since and self.peer.state == "attached":
                return NOTHING
            code = _read_next(self._address, since, buffer, self._max_bytes, 0, out)
            if code == END:
                return None
            if code == BUSY or code == TIMEOUT:
                return NOTHING
            check(code)
            return _value(buffer, told)

        found: Optional[CellValue] = await self._until_any(
            attempt,
            lambda what: _reader_arm(self._address, since),
            timeout,
            f"a value of cell '{self._name}'",
        )
        return found

    def __iter__(self) -> Iterator[CellValue]:
        since = 0
        try:
            while True:
                value = self.read_next(since)
                if value is None:
                    return
                yield value
                since = value.version
        except ClosedError:
            return

    async def __aiter__(self) -> AsyncIterator[CellValue]:
        since = 0
        try:
            while True:
                value = await self.read_next_async(since)
                if value is None:
                    return
                yield value
                since = value.version
        except ClosedError:
            return

    @property
    def version(self) -> int:
        """Of the newest value; 0: none."""
        return check(_reader_version(self._address))

    @property
    def max_bytes(self) -> int:
        """Of the longest value there can be."""
        return self._max_bytes

    @property
    def peer(self) -> Peer:
        """How the writer is doing."""
        return peer_of(_reader_peer, self._address)

    def arm(self, since: int = 0) -> bool:
        """For an event loop of your own, see ``fileno``: for a version other than ``since``. True: look again at once."""
        return check(_reader_arm(self._address, whole("since", since, _MOST))) == READY


def _value(buffer: "ctypes.Array[ctypes.c_char]", told: _Told) -> CellValue:
    return CellValue(ctypes.string_at(buffer, told.length), told.version, told.timestamp)
