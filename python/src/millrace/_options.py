"""Options that all channels have, and the structures in which the library takes them."""

from __future__ import annotations

import ctypes
import enum
import numbers
import operator
import os
from typing import Any, Callable, Optional, Union

from ._errors import invalid

Place = Union[str, "os.PathLike[str]"]

KEEP = 1
FRESH = 2
REPLACE = 4
HAS_OWNER = 8
READ_ONLY = 256
OPEN_ONLY = 512
CREATE_ONLY = 1024
NO_TIMESTAMPS = 2048
HAS_AFTER = 4096


class Memory(enum.IntFlag):
    """How the memory of a channel is to be had, as the ``memory`` option in TypeScript."""

    PLAIN = 0
    HUGE_PAGES = 16
    LOCK = 32
    PREFAULT = 64
    ZERO_ON_CLOSE = 128


class Options(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_uint64),
        ("mode", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("owner", ctypes.c_uint32),
        ("spin_us", ctypes.c_int32),
        ("schema", ctypes.c_uint64),
    ]


def place_bytes(place: Place) -> bytes:
    """A name, ``file:PATH``, ``fd:NUMBER``, or a path object, which is a mapped file."""
    if isinstance(place, str):
        text = place
    elif isinstance(place, os.PathLike):
        text = "file:" + os.fspath(place)
    else:
        raise TypeError(f"a name is a str or a path, not {type(place).__name__}")
    return without_nul("a name", text, os.fsencode)


def without_nul(what: str, text: str, encode: Callable[[str], bytes] = str.encode) -> bytes:
    """Of texts that end with a NUL for the library: it would see what is before that only."""
    if not isinstance(text, str):
        raise TypeError(f"{what} is a str, not {type(text).__name__}")
    if "\0" in text:
        raise invalid(f"{what} has no NUL in it")
    return encode(text)


def fill(
    options: Any,
    *,
    flags: int = 0,
    mode: int = 0,
    owner: Optional[int] = None,
    spin: Optional[float] = None,
    schema: int = 0,
    **more: int,
) -> Any:
    """Fills what all options have; ``more`` are members of this structure."""
    options.size = ctypes.sizeof(options)
    options.mode = whole("mode", mode, 0o7777)
    options.flags = flags | (0 if owner is None else HAS_OWNER)
    options.owner = 0 if owner is None else whole("owner", owner, 0xFFFF_FFFF)
    options.spin_us = spin_us(spin)
    options.schema = whole("schema", schema, 0xFFFF_FFFF_FFFF_FFFF)
    kinds = dict(type(options)._fields_)
    for name, value in more.items():
        setattr(options, name, whole(name, value, (1 << (8 * ctypes.sizeof(kinds[name]))) - 1))
    return options


def whole(name: str, value: int, most: int, least: int = 0) -> int:
    """ctypes cuts numbers that do not fit: they are refused here. Those of numpy are ints as well."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is an int, not {type(value).__name__}") from None
    if not least <= number <= most:
        raise invalid(f"{name} is {number}; it can be {least} to {most}")
    return number


def spin_us(spin: Optional[float]) -> int:
    if spin is None:
        return 0
    if not 0 <= spin <= 10:
        raise invalid(f"spin is {spin}; it is seconds, 0 to 10, or None")
    return max(1, round(spin * 1e6)) if spin > 0 else -1


def nanoseconds(seconds: float, name: str = "timeout") -> int:
    """Of a time that is given in seconds."""
    if not isinstance(seconds, numbers.Real):
        raise TypeError(f"{name} is a number of seconds, not {type(seconds).__name__}")
    if not 0 <= seconds <= 1e9:  # neither is NaN
        raise invalid(f"{name} is {seconds}; it is a number of seconds, 0 or more")
    return int(seconds * 1e9)
