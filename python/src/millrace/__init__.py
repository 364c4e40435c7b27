"""Shared-memory channels between processes, whether these are written in Python, in TypeScript, or in C.

``docs/from-python.md`` of the project begins with a program. Handles are used by one thread at a time, and ``with`` closes them.
Times are seconds. What has the name ``…_async`` waits in asyncio's event loop, and so does ``async for``.
"""

from __future__ import annotations

from ._errors import (
    AbortedError,
    BusyError,
    CircuitOpenError,
    ClosedError,
    CorruptError,
    ExistsError,
    ForkedError,
    GeometryError,
    IncompleteError,
    InvalidArgumentError,
    InvalidNameError,
    LayoutError,
    LeaseLostError,
    MillraceError,
    MissingPeerError,
    NameTooLongError,
    NoLaneError,
    NoResponderError,
    NoSpaceError,
    NotFoundError,
    NotOursError,
    PeerFailedError,
    PeerGoneError,
    PermissionError,
    ProtocolError,
    ReleasedError,
    RoleTakenError,
    SchemaError,
    SystemCallError,
    TimeoutError,
    TooLargeError,
    TooManyHeldError,
    UnreachableError,
    UnsupportedError,
    UnsupportedPlatformError,
    UnsupportedRuntimeError,
)
from ._frames import Frame, FrameReader, FrameWriter, Loan, ReaderCounts
from ._handle import Peer
from ._library import check as _check
from ._library import function as _function
from ._library import now, path, version
from ._options import Memory
from ._queue import QueueConsumer, QueueProducer

__version__ = version
library_path = path
"""The library that is used."""

_unlink = _function("unlink")


def unlink(kind: str, name: str) -> bool:
    """Removes the name of a channel, whoever is on it: they go on, others get a new one. True: there was one.

    ``kind``: ``queue``, ``frames``, ``cell``, ``mutex``, ``rwlock``, ``event``, ``counter``, ``semaphore``, ``memory``, ``work`` or ``topics``.
    """
    return _check(_unlink(kind.encode("utf-8"), name.encode("utf-8"))) == 1
