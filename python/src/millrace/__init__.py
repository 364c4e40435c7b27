"""Shared-memory channels between processes, whether these are written in Python, in TypeScript, or in C.

``docs/from-python.md`` of the project begins with a program. Handles are used by one thread at a time, and ``with`` closes them.
Times are seconds. What has the name ``…_async`` waits in asyncio's event loop, and so does ``async for``.
"""

from __future__ import annotations

from ._cell import BegunValue, CellReader, CellValue, CellWriter
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
from ._library import now, version
from ._library import path as library_path
from ._locks import Hold, Mutex, RwLock
from ._options import Memory
from ._options import without_nul as _without_nul
from ._queue import PeekedMessage, QueueConsumer, QueueProducer, Room
from ._small import Counter, Event, Semaphore, SharedMemory
from ._topics import Subscription, TopicMessage, Topics, TopicsCounts
from ._work import DeadLetter, Job, WorkCounts, WorkQueue

__all__ = [
    "AbortedError",
    "BegunValue",
    "BusyError",
    "CellReader",
    "CellValue",
    "CellWriter",
    "CircuitOpenError",
    "ClosedError",
    "CorruptError",
    "Counter",
    "DeadLetter",
    "Event",
    "ExistsError",
    "ForkedError",
    "Frame",
    "FrameReader",
    "FrameWriter",
    "GeometryError",
    "Hold",
    "IncompleteError",
    "InvalidArgumentError",
    "InvalidNameError",
    "Job",
    "LayoutError",
    "LeaseLostError",
    "Loan",
    "Memory",
    "MillraceError",
    "MissingPeerError",
    "Mutex",
    "NameTooLongError",
    "NoLaneError",
    "NoResponderError",
    "NoSpaceError",
    "NotFoundError",
    "NotOursError",
    "PeekedMessage",
    "Peer",
    "PeerFailedError",
    "PeerGoneError",
    "PermissionError",
    "ProtocolError",
    "QueueConsumer",
    "QueueProducer",
    "ReaderCounts",
    "ReleasedError",
    "RoleTakenError",
    "Room",
    "RwLock",
    "SchemaError",
    "Semaphore",
    "SharedMemory",
    "Subscription",
    "SystemCallError",
    "TimeoutError",
    "TooLargeError",
    "TooManyHeldError",
    "TopicMessage",
    "Topics",
    "TopicsCounts",
    "UnreachableError",
    "UnsupportedError",
    "UnsupportedPlatformError",
    "UnsupportedRuntimeError",
    "WorkCounts",
    "WorkQueue",
    "library_path",
    "now",
    "unlink",
    "version",
]

__version__ = version
_unlink = _function("unlink")


def unlink(kind: str, name: str) -> bool:
    """Removes the name of a channel, whoever is on it: they go on, others get a new one. True: there was one.

    ``kind``: ``queue``, ``frames``, ``cell``, ``mutex``, ``rwlock``, ``event``, ``counter``, ``semaphore``, ``memory``, ``work`` or ``topics``.
    """
    return _check(_unlink(_without_nul("a kind", kind), _without_nul("a name", name))) == 1
