"""Handles in children of this process: by fork, which copies them, and by multiprocessing's spawn, which does not."""

from __future__ import annotations

import multiprocessing
import os
from typing import Any, Callable, Tuple

import pytest

import millrace

PATIENCE = 60.0

# How each kind is opened, and a call that has to do with others.
KINDS: "dict[str, Tuple[Callable[[str], Any], Callable[[Any], Any]]]" = {
    "queue producer": (millrace.QueueProducer, lambda handle: handle.room),
    "queue consumer": (millrace.QueueConsumer, lambda handle: handle.try_pop()),
    "frame writer": (lambda name: millrace.FrameWriter(name, 64), lambda handle: handle.try_loan()),
    "cell writer": (lambda name: millrace.CellWriter(name, 64), lambda handle: handle.write(b"x")),
    "mutex": (millrace.Mutex, lambda handle: handle.try_lock()),
    "rwlock": (millrace.RwLock, lambda handle: handle.try_read()),
    "event": (millrace.Event, lambda handle: handle.set()),
    "semaphore": (lambda name: millrace.Semaphore(name, initial=1), lambda handle: handle.try_wait()),
    "counter": (millrace.Counter, lambda handle: handle.add()),
    "work queue": (millrace.WorkQueue, lambda handle: handle.try_take()),
    "topics": (millrace.Topics, lambda handle: handle.publish("a.b", b"x")),
}


def _in_a_fork(child: Callable[[], int]) -> int:
    pid = os.fork()
    if pid == 0:
        code = 100
        try:
            code = child()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_child_of_fork_gets_an_error_and_harms_nothing(name: str, kind: str) -> None:
    make, call = KINDS[kind]
    with make(name) as handle:

        def child() -> int:
            try:
                call(handle)
            except millrace.ForkedError:
                handle.close()
                return 0
            return 1

        assert _in_a_fork(child) == 0
        call(handle)  # the parent's is as it was
    if kind in ("semaphore", "counter"):
        millrace.unlink(kind, name)


def test_a_child_of_fork_opens_its_own(name: str) -> None:
    with millrace.QueueConsumer(name) as consumer:

        def child() -> int:
            with millrace.QueueProducer(name) as producer:
                producer.push(b"from the child")
            return 0

        assert _in_a_fork(child) == 0
        assert list(consumer) == [b"from the child"]


def _answer(name: str) -> None:
    with millrace.FrameReader(f"{name}-frames") as frames:
        with millrace.QueueProducer(name) as answers:
            for frame in frames:
                answers.push(bytes(frame.data[:1]))


def test_processes_of_multiprocessing_spawn_use_the_same_names(name: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    with millrace.FrameWriter(f"{name}-frames", 64) as writer:
        with millrace.QueueConsumer(name) as answers:
            process = spawn.Process(target=_answer, args=(name,))
            process.start()
            writer.wait_for_readers(timeout=PATIENCE)
            for i in range(5):
                with writer.loan(PATIENCE) as loan:
                    loan.data[0] = i
                    loan.publish()
            for i in range(5):
                assert answers.pop(PATIENCE) == bytes([i])
            writer.close()
            process.join(PATIENCE)
            assert process.exitcode == 0
