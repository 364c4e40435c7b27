"""The table of functions is the header."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict

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
