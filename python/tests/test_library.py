"""The table of functions is the header."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict

import pytest

import millrace
from millrace import _errors, _library

HEADER = (Path(__file__).resolve().parents[2] / "native/capi/millrace.h").read_text()
LETTERS = {"int32_t": "i", "uint32_t": "u", "int64_t": "q", "uint64_t": "Q", "void": "v"}


def declared() -> Dict[str, str]:
    plain = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.S)
    found = {}
    pattern = r"^((?:const )?\w+\*?) millrace_(\w+)\(([^)]*)\);"
    for result, name, arguments in re.findall(pattern, plain, re.M):
        letters = LETTERS.get(result, "p")
        for argument in arguments.split(","):
            kind = re.sub(r"\s*\w+$", "", argument.strip()) if argument.strip() != "void" else ""
            if kind:
                letters += LETTERS.get(kind, "p")
        found[name] = letters
    return found


def test_each_function_has_the_types_of_the_header() -> None:
    there = declared()
    assert len(there) > 150
    for name, letters in _library.SIGNATURES.items():
        assert re.sub("[hs]", "p", letters) == there[name], name
    assert _library.QUICK <= set(_library.SIGNATURES)


def test_each_code_of_the_header_has_a_class() -> None:
    codes = {int(code): name for name, code in re.findall(r"MILLRACE_(\w+) = (-\d+)", HEADER)}
    for code, name in codes.items():
        if name in ("FOREVER", "WOULD_BLOCK", "END", "INTERRUPTED"):
            continue
        assert _errors.make_error(code, "x").code == "ERR_MILLRACE_" + name


def test_the_version_is_that_of_the_package() -> None:
    assert millrace.__version__ == millrace.version


def test_everything_that_is_exported_is_there_and_documented() -> None:
    for name in millrace.__all__:
        exported = getattr(millrace, name)
        if isinstance(exported, type):
            assert exported.__doc__, name


def test_what_the_library_would_cut_is_refused(name: str) -> None:
    with millrace.FrameWriter(name, 64) as writer, millrace.Topics(name) as topics:
        for call in (
            lambda: writer.wait_for_readers(-1),  # which would be 4294967295
            lambda: writer.wait_for_readers(63),
            lambda: writer.loan().publish(65),
            lambda: writer.loan().publish(timestamp=-1),
            lambda: topics.subscribe("a\0b"),
            lambda: topics.publish("a\0b", b""),
            lambda: millrace.unlink("topics", name + "\0b"),
            lambda: millrace.QueueProducer(name + "\0b"),
            lambda: millrace.QueueProducer(name, capacity=1 << 64),
        ):
            with pytest.raises(millrace.InvalidArgumentError):
                call()
        for wrong in (
            lambda: writer.wait_for_readers("1"),  # type: ignore[arg-type]
            lambda: writer.loan().publish(1.0),  # type: ignore[arg-type]
            lambda: topics.subscribe(5),  # type: ignore[arg-type]
            lambda: topics.publish(b"x", b""),  # type: ignore[arg-type]
            lambda: millrace.unlink("topics", None),  # type: ignore[arg-type]
        ):
            with pytest.raises(TypeError):
                wrong()
        assert writer.sequence == 0
    with millrace.CellWriter(name, 8) as cell, millrace.CellReader(name) as reader:
        cell.write(b"one")
        with pytest.raises(ValueError):
            reader.read_next(-1)


def test_numbers_of_numpy_are_numbers(name: str) -> None:
    np = pytest.importorskip("numpy")
    with millrace.FrameWriter(name, np.prod((4, np.int64(16)))) as writer:
        with millrace.FrameReader(name, timeout=np.float32(1), depth=np.uint8(2)) as reader:
            with writer.loan(np.int64(1)) as loan:
                assert loan.capacity == 64
                loan.publish(np.int64(3))
            frame = reader.next(np.float64(1))
            assert frame is not None and len(frame) == 3
    with millrace.Counter(name, initial=np.int64(-5)) as counter:
        assert counter.add(np.int8(-1)) == -6
