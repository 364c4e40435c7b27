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
    "queue_reserve": "ihQqp",
    "queue_try_reserve": "ihQp",
    "queue_commit": "ihQ",
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
    "queue_peek": "ihppq",
    "queue_try_peek": "ihpp",
    "queue_release": "ih",
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
    # cells
    "cell_writer_open": "ispp",
    "cell_write": "ihpQ",
    "cell_begin": "ihipp",
    "cell_publish": "ihQ",
    "cell_writer_version": "qh",
    "cell_writer_close": "ih",
    "cell_writer_free": "vh",
    "cell_reader_open": "ispp",
    "cell_read": "ihpQp",
    "cell_read_next": "ihQpQqp",
    "cell_reader_version": "qh",
    "cell_reader_max_bytes": "qh",
    "cell_reader_peer": "ihp",
    "cell_reader_fd": "ih",
    "cell_reader_arm": "ihQ",
    "cell_reader_disarm": "ih",
    "cell_reader_close": "ih",
    "cell_reader_free": "vh",
    # locks
    "mutex_open": "ispp",
    "mutex_lock": "ihq",
    "mutex_try_lock": "ih",
    "mutex_unlock": "ihi",
    "mutex_holder": "ih",
    "mutex_begin": "ih",
    "mutex_poll": "ih",
    "mutex_withdraw": "ih",
    "mutex_fd": "ih",
    "mutex_arm": "ih",
    "mutex_disarm": "ih",
    "mutex_close": "ih",
    "mutex_free": "vh",
    "rwlock_open": "ispp",
    "rwlock_read": "ihq",
    "rwlock_try_read": "ih",
    "rwlock_write": "ihq",
    "rwlock_try_write": "ih",
    "rwlock_unlock": "ihi",
    "rwlock_writer": "ih",
    "rwlock_readers": "ih",
    "rwlock_begin_read": "ih",
    "rwlock_begin_write": "ih",
    "rwlock_poll": "ih",
    "rwlock_withdraw": "ih",
    "rwlock_fd": "ih",
    "rwlock_arm": "ih",
    "rwlock_disarm": "ih",
    "rwlock_close": "ih",
    "rwlock_free": "vh",
    # events, semaphores, counters, memory
    "event_open": "ispp",
    "event_set": "ih",
    "event_reset_now": "ih",
    "event_is_set": "ih",
    "event_wait": "ihq",
    "event_try_wait": "ih",
    "event_fd": "ih",
    "event_arm": "ih",
    "event_disarm": "ih",
    "event_close": "ih",
    "event_free": "vh",
    "semaphore_open": "ispp",
    "semaphore_wait": "ihq",
    "semaphore_try_wait": "ih",
    "semaphore_post": "ihu",
    "semaphore_value": "qh",
    "semaphore_fd": "ih",
    "semaphore_arm": "ih",
    "semaphore_disarm": "ih",
    "semaphore_close": "ih",
    "semaphore_free": "vh",
    "counter_open": "ispp",
    "counter_get": "ihp",
    "counter_set": "ihq",
    "counter_add": "ihqp",
    "counter_exchange": "ihqp",
    "counter_compare_exchange": "ihqqp",
    "counter_close": "ih",
    "counter_free": "vh",
    "memory_create": "isQpp",
    "memory_open": "ispp",
    "memory_data": "ph",
    "memory_size": "Qh",
    "memory_flush": "ih",
    "memory_check": "ih",
    "memory_close": "ih",
    "memory_free": "vh",
    # jobs
    "work_open": "ispp",
    "work_push": "ihpQpq",
    "work_try_push": "ihpQp",
    "work_take": "ihqp",
    "work_try_take": "ihp",
    "work_complete": "ihp",
    "work_release": "ihpQ",
    "work_retry": "ihpQs",
    "work_reject": "ihps",
    "work_extend": "ihpQ",
    "work_holds": "ihp",
    "work_forward": "ihphpQp",
    "work_dead_letters": "ihQp",
    "dead_letters_count": "Qp",
    "dead_letters_at": "ppQ",
    "dead_letters_free": "vp",
    "work_redrive": "ihp",
    "work_purge": "ihp",
    "work_counts_of": "ihp",
    "work_flush": "ih",
    "work_max_bytes": "qh",
    "work_fd": "ih",
    "work_arm": "ihu",
    "work_disarm": "ih",
    "work_close": "ih",
    "work_free": "vh",
    # topics
    "topics_open": "ispp",
    "topics_subject": "ihsp",
    "topics_subject_text": "ihupQ",
    "topics_publish": "ihupQpQq",
    "topics_try_publish": "ihupQpQ",
    "topics_subscribe": "ihpQpp",
    "topics_unsubscribe": "ihu",
    "topics_read": "ihupQpuqp",
    "topics_try_read": "ihupQpup",
    "topics_release": "ihp",
    "topics_missed": "qhu",
    "headers_next": "ipQppp",
    "topics_counts_of": "ihp",
    "topics_fd": "ih",
    "topics_arm": "ihu",
    "topics_disarm": "ih",
    "topics_close": "ih",
    "topics_free": "vh",
}

# Called with the interpreter locked. last_error must be: it is of this thread, and short.
QUICK = frozenset(
    """last_error version now queue_try_pop queue_try_pop_many queue_producer_room
    queue_try_reserve queue_commit queue_try_peek queue_release cell_begin cell_publish
    queue_consumer_available queue_producer_arm queue_consumer_arm queue_producer_disarm queue_consumer_disarm
    frame_try_acquire frame_publish frame_discard frame_writer_sequence frame_writer_arm
    frame_writer_disarm frame_try_next frame_try_newest frame_release frame_reader_arm
    frame_reader_disarm cell_writer_version cell_reader_version cell_reader_arm cell_reader_disarm
    mutex_try_lock mutex_unlock mutex_begin mutex_poll mutex_withdraw mutex_arm mutex_disarm rwlock_try_read
    rwlock_try_write rwlock_unlock rwlock_begin_read rwlock_begin_write rwlock_poll rwlock_withdraw rwlock_arm
    rwlock_disarm event_set event_reset_now event_is_set event_try_wait event_arm event_disarm
    semaphore_try_wait semaphore_post semaphore_value counter_get counter_set counter_add counter_exchange
    counter_compare_exchange memory_data memory_size work_arm work_disarm work_holds dead_letters_count
    dead_letters_at topics_arm topics_disarm topics_missed topics_release headers_next""".split()
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
