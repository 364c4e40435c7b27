"""Names that no other test uses, and the promise that nothing stays behind in /dev/shm."""

from __future__ import annotations

import gc
import glob
import itertools
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest

_count = itertools.count(1)
SOURCES = str(Path(__file__).resolve().parent.parent / "src")


def objects_of(name: str) -> List[str]:
    found = []
    for path in glob.glob("/dev/shm/*"):
        plain = re.sub(r"^(millrace\.[a-z]|sem)\.|~(\.lock)?$", "", os.path.basename(path))
        if plain == name:
            found.append(path)
    return sorted(found)


@pytest.fixture
def name() -> Iterator[str]:
    made = f"python-{os.getpid()}-{next(_count)}"
    yield made
    gc.collect()
    left = objects_of(made)
    for path in left:
        os.unlink(path)
    assert left == [], f"left behind: {left}"


@pytest.fixture
def run() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts Python with a program, and ends it by its own pid with the test."""
    started: List["subprocess.Popen[str]"] = []

    def start(program: str, *arguments: Any) -> "subprocess.Popen[str]":
        child = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": SOURCES},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        return child

    yield start
    for child in started:
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
        child.communicate()
