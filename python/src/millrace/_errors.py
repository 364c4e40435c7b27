"""What goes wrong, as exceptions. Each code of the library has a class of its own.

The codes are those of TypeScript (``ERR_MILLRACE_TIMEOUT``). Where Python has an exception for the same thing, the class is one
of these as well: ``except TimeoutError`` catches :class:`millrace.TimeoutError`.
"""

from __future__ import annotations

import builtins
from typing import Any, Dict, Optional, Tuple, Type


class MillraceError(Exception):
    """Every error of this package. Test ``code`` or the class, not the message, which names the cause and the cure for people."""

    code: str
    """Stable: ``ERR_MILLRACE_`` and the name."""
    message: str
    errno: int
    """Of the system call that failed; 0: none did."""
    syscall: Optional[str]
    """``"shm_open"``; None: no system call was involved."""
    path: Optional[str]
    """What it was about; None: nothing in particular."""

    def __init__(
        self,
        code: str,
        message: str,
        errno: int = 0,
        syscall: Optional[str] = None,
        path: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.errno = errno
        self.syscall = syscall
        self.path = path

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> Tuple[Any, ...]:
        return type(self), (self.code, self.message, self.errno, self.syscall, self.path)


class InvalidArgumentError(MillraceError, ValueError):
    """An argument cannot be what it is."""


class InvalidNameError(MillraceError, ValueError):
    """A name has other characters than A-Z a-z 0-9 . _ -, or begins with a dot."""


class NameTooLongError(MillraceError, ValueError):
    """A name has more than 240 characters."""


class ExistsError(MillraceError, FileExistsError):
    """There is one of that name already."""


class NotFoundError(MillraceError, FileNotFoundError):
    """There is none of that name (yet)."""


class PermissionError(MillraceError, builtins.PermissionError):
    """The system does not let this user at it."""


class NotOursError(MillraceError):
    """It belongs to another user, or more users could write to it than was said."""


class GeometryError(MillraceError):
    """What is there has other sizes than was asked for."""


class SchemaError(MillraceError):
    """The other side states another schema."""


class LayoutError(MillraceError):
    """It was made by a version of the package that lays memory out otherwise."""


class CorruptError(MillraceError):
    """The memory holds impossible values, or was cut short."""


class RoleTakenError(MillraceError):
    """Somebody who lives has that side."""


class NoLaneError(MillraceError):
    """As many are there as there may be."""


class PeerGoneError(MillraceError, ConnectionError):
    """The process at the other side died."""


class PeerFailedError(MillraceError, ConnectionError):
    """The process at the other side left saying that it failed."""


class NoResponderError(MillraceError):
    """Nobody answers calls there."""


class UnreachableError(MillraceError, ConnectionError):
    """Another host cannot be reached."""


class ProtocolError(MillraceError):
    """The other side speaks otherwise than was agreed."""


class ClosedError(MillraceError):
    """It is closed, here or at the other side."""


class BusyError(MillraceError):
    """Somebody else is in it at this moment, another thread perhaps."""


class TooLargeError(MillraceError, ValueError):
    """It never fits."""


class IncompleteError(MillraceError):
    """What was sent did not come whole."""


class NoSpaceError(MillraceError):
    """The machine has no memory, disk or descriptors left for it."""


class AbortedError(MillraceError):
    """The wait was given up."""


class TimeoutError(MillraceError, builtins.TimeoutError):
    """It did not happen within the time that was given."""


class ReleasedError(MillraceError):
    """A frame, loan, job or lock that was given back already."""


class TooManyHeldError(MillraceError):
    """This reader holds as many frames as it may."""


class LeaseLostError(MillraceError):
    """The job is somebody else's by now."""


class CircuitOpenError(MillraceError):
    """Too much has failed there lately."""


class MissingPeerError(MillraceError, ImportError):
    """Another package is needed for that."""


class UnsupportedError(MillraceError):
    """That cannot be done with it."""


class UnsupportedPlatformError(MillraceError):
    """That cannot be done on this system."""


class UnsupportedRuntimeError(MillraceError):
    """That cannot be done with this version of Python or of the library."""


class SystemCallError(MillraceError, OSError):
    """A system call failed for a reason that has no class of its own: ``errno`` and ``syscall`` tell."""


class ForkedError(MillraceError):
    """The handle is the parent's, from before the fork; the child opens its own."""


_CLASSES: Dict[int, Tuple[str, Type[MillraceError]]] = {
    -1: ("INVALID_ARGUMENT", InvalidArgumentError),
    -2: ("INVALID_NAME", InvalidNameError),
    -3: ("NAME_TOO_LONG", NameTooLongError),
    -4: ("EXISTS", ExistsError),
    -5: ("NOT_FOUND", NotFoundError),
    -6: ("PERMISSION", PermissionError),
    -7: ("NOT_OURS", NotOursError),
    -8: ("GEOMETRY", GeometryError),
    -9: ("SCHEMA", SchemaError),
    -10: ("LAYOUT", LayoutError),
    -11: ("CORRUPT", CorruptError),
    -12: ("ROLE_TAKEN", RoleTakenError),
    -13: ("NO_LANE", NoLaneError),
    -14: ("PEER_GONE", PeerGoneError),
    -15: ("PEER_FAILED", PeerFailedError),
    -16: ("NO_RESPONDER", NoResponderError),
    -17: ("UNREACHABLE", UnreachableError),
    -18: ("PROTOCOL", ProtocolError),
    -19: ("CLOSED", ClosedError),
    -20: ("BUSY", BusyError),
    -21: ("TOO_LARGE", TooLargeError),
    -22: ("INCOMPLETE", IncompleteError),
    -23: ("NO_SPACE", NoSpaceError),
    -24: ("ABORTED", AbortedError),
    -25: ("TIMEOUT", TimeoutError),
    -26: ("RELEASED", ReleasedError),
    -27: ("TOO_MANY_HELD", TooManyHeldError),
    -28: ("LEASE_LOST", LeaseLostError),
    -29: ("CIRCUIT_OPEN", CircuitOpenError),
    -30: ("MISSING_PEER", MissingPeerError),
    -31: ("UNSUPPORTED", UnsupportedError),
    -32: ("UNSUPPORTED_PLATFORM", UnsupportedPlatformError),
    -33: ("UNSUPPORTED_RUNTIME", UnsupportedRuntimeError),
    -34: ("SYSTEM", SystemCallError),
    -100: ("FORKED", ForkedError),
}

OK = 0
READY = 1
INVALID_ARGUMENT = -1
NOT_FOUND = -5
CLOSED = -19
BUSY = -20
TOO_LARGE = -21
TIMEOUT = -25
RELEASED = -26
TOO_MANY_HELD = -27
LEASE_LOST = -28
UNSUPPORTED = -31
FORKED = -100
WOULD_BLOCK = -101
END = -102
INTERRUPTED = -103


def make_error(
    code: int,
    message: str,
    errno: int = 0,
    syscall: Optional[str] = None,
    path: Optional[str] = None,
) -> MillraceError:
    """The exception of a code of the library."""
    name, kind = _CLASSES.get(code, ("SYSTEM", SystemCallError))
    return kind("ERR_MILLRACE_" + name, message, errno, syscall, path)


def invalid(message: str) -> MillraceError:
    return make_error(INVALID_ARGUMENT, message)
