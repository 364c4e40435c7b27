"""The C library: where it is found, and its functions with the types of their arguments.

A function that never waits and never copies much is called with the interpreter locked, since letting go of it costs as much as
such a call. All others let other threads run.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from ._errors import TIMEOUT, MillraceError, make_error

_NAME = "libmillrace.dylib" if sys.platform == "darwin" else "libmillrace.so"


def _candidates() -> List[str]:
    named = os.environ.get("MILLRACE_LIBRARY")
    if named:
        return [named]
    here = Path(__file__).resolve().parent
    inside = here / _NAME
    if inside.exists():
        return [str(inside)]
    found = []
    if len(here.parents) > 2:  # a checkout: python/src/millrace
        built = here.parents[2] / "build-capi" / "lib" / _NAME
        if built.exists():
            found.append(str(built))
    return [*found, _NAME if sys.platform == "darwin" else _NAME + ".0"]


def _load() -> str:
    tried = []
    for path in _candidates():
        try:
            ctypes.CDLL(path)
            return path
        except OSError as error:
            tried.append(str(error))
    raise ImportError(
        "the millrace library cannot be loaded; install a wheel of this platform, or build it (npm run "
        "build:capi) and set MILLRACE_LIBRARY to its path: " + "; ".join(tried)
    )


path = _load()
"""Of the library that is used."""

_waiting = ctypes.CDLL(path)
_quick = ctypes.PyDLL(path)

_TYPES: Dict[str, Any] = {
    "h": ctypes.c_void_p,
    "p": ctypes.c_void_p,
    "s": ctypes.c_char_p,
    "i": ctypes.c_int32,
    "u": ctypes.c_uint32,
    "q": ctypes.c_int64,
    "Q": ctypes.c_uint64,
    "v": None,
}

# Result, then arguments. h: handle, p: pointer, s: text, i and u: 32 bits, q and Q: 64 bits, v: nothing.
SIGNATURES: Dict[str, str] = {
    "last_error": "p",
    "version": "p",
    "careful": "vi",
    "now": "Q",
    "unlink": "iss",
    # queues
    "queue_producer_open": "ispp",
    "queue_push": "ihpQq",
    "queue_try_push": "ihpQ",
    "queue_try_push_many": "qhpQpQ",
    "queue_end": "ihq",
    "queue_producer_wait_peer": "ihq",
    "queue_producer_peer": "ihp",
    "queue_producer_capacity": "qh",
    "queue_producer_max_message": "qh",
    "queue_producer_room": "qh",
    "queue_producer_discarded": "qh",
    "queue_producer_fd": "ih",
    "queue_producer_arm": "ihQ",
    "queue_producer_disarm": "ih",
    "queue_producer_close": "ihi",
    "queue_producer_abort": "ihs",
    "queue_producer_free": "vh",
    "queue_consumer_open": "ispp",
    "queue_pop": "ihpQpq",
    "queue_try_pop": "ihpQp",
    "queue_try_pop_many": "qhpQpQ",
    "queue_consumer_wait_peer": "ihq",
    "queue_consumer_peer": "ihp",
    "queue_consumer_available": "qh",
    "queue_consumer_discarded": "qh",
    "queue_consumer_fd": "ih",
    "queue_consumer_arm": "ih",
    "queue_consumer_disarm": "ih",
    "queue_consumer_close": "ihi",
    "queue_consumer_abort": "ihs",
    "queue_consumer_free": "vh",
    # frames
    "frame_writer_open": "ispp",
    "frame_acquire": "ihqp",
    "frame_try_acquire": "ihp",
    "frame_publish": "ihpQQp",
    "frame_discard": "ihp",
    "frame_send": "ihpQpqp",
    "frame_writer_readers": "ih",
    "frame_writer_wait_readers": "ihuq",
    "frame_writer_sequence": "qh",
    "frame_writer_fd": "ih",
    "frame_writer_arm": "ih",
    "frame_writer_disarm": "ih",
    "frame_writer_close": "ih",
    "frame_writer_abort": "ihs",
    "frame_writer_free": "vh",
    "frame_reader_open": "ispqp",
    "frame_next": "ihqp",
    "frame_try_next": "ihp",
    "frame_newest": "ihqp",
    "frame_try_newest": "ihp",
    "frame_release": "ihp",
    "frame_reader_counts_of": "ihp",
    "frame_reader_peer": "ihp",
    "frame_reader_slot_bytes": "qh",
    "frame_reader_instance": "Qh",
    "frame_reader_fd": "ih",
    "frame_reader_arm": "ih",
    "frame_reader_disarm": "ih",
    "frame_reader_close": "ih",
    "frame_reader_free": "vh",
}

# Called with the interpreter locked. last_error must be: it is of this thread, and short.
QUICK = frozenset(
    """last_error version now queue_try_pop queue_try_pop_many queue_producer_room
    queue_consumer_available queue_producer_arm queue_consumer_arm queue_producer_disarm queue_consumer_disarm
    frame_try_acquire frame_publish frame_discard frame_writer_sequence frame_writer_arm
    frame_writer_disarm frame_try_next frame_try_newest frame_release frame_reader_arm
    frame_reader_disarm""".split()
)


def _bind(library: Any, name: str) -> Callable[..., int]:
    try:
        bound = getattr(library, "millrace_" + name)
    except AttributeError:
        raise ImportError(
            f"the library at {path} has no millrace_{name}; it is of another version: install the one of "
            "this package"
        ) from None
    letters = SIGNATURES[name]
    bound.restype = _TYPES[letters[0]]
    bound.argtypes = [_TYPES[letter] for letter in letters[1:]]
    return bound  # type: ignore[no-any-return]


def function(name: str, quick: Optional[bool] = None) -> Callable[..., int]:
    """``millrace_`` and ``name``. ``quick`` chooses otherwise than QUICK does."""
    return _bind(_quick if (name in QUICK if quick is None else quick) else _waiting, name)


class _Error(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_int32),
        ("number", ctypes.c_int32),
        ("message", ctypes.c_char_p),
        ("syscall", ctypes.c_char_p),
        ("path", ctypes.c_char_p),
    ]


_last_error = function("last_error")


def _text(raw: Optional[bytes]) -> Optional[str]:
    return None if raw is None else raw.decode("utf-8", "replace")


def failure(code: int) -> MillraceError:
    """The exception for what the last call of this thread has returned."""
    noted = _Error.from_address(_last_error())
    if (
        noted.code != code
    ):  # of a call that notes nothing, or whose note another call has taken the place of
        return make_error(code, "the call was not done")
    return make_error(
        code,
        _text(noted.message) or "",
        noted.number,
        _text(noted.syscall),
        _text(noted.path),
    )


def late(code: int, what: str, seconds: float) -> MillraceError:
    return make_error(
        TIMEOUT,
        f"{what} did not happen within {seconds:g} s; see who is there (`npx millrace ls`), or allow more time",
    )


def check(code: int) -> int:
    """Raises what a negative code says."""
    if code < 0:
        raise failure(code)
    return code


version = str(ctypes.c_char_p(function("version")()).value or b"", "ascii")
"""Of the library, which is that of the npm package."""

function("careful")(1)

now: Callable[[], int] = function("now")
