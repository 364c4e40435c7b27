"""Ctrl-C is heard in whatever call blocks, and the handle goes on after that."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any, Callable, Dict, Tuple

import pytest

import millrace

PATIENCE = 40.0


def _full_queue(name: str) -> Tuple[Any, ...]:
    producer = millrace.QueueProducer(name, capacity=4096)
    while producer.try_push(bytes(1000)):
        pass
    return (producer,)


def _all_loaned(name: str) -> Tuple[Any, ...]:
    writer = millrace.FrameWriter(name, 64, slots=2)
    return (writer, writer.loan(), writer.loan())


def _full_work(name: str) -> Tuple[Any, ...]:
    work = millrace.WorkQueue(name, jobs=4)
    while work.try_push(b"x") is not None:
        pass
    return (work,)


def _full_topics(name: str) -> Tuple[Any, ...]:
    topics = millrace.Topics(name, messages=64)
    subscription = topics.subscribe(">", depth=4)
    while topics.try_publish("x", b"") is not None:
        pass
    return (topics, subscription)


def _frames(name: str) -> Tuple[Any, ...]:
    writer = millrace.FrameWriter(name, 64)
    return (millrace.FrameReader(name), writer)


def _cell(name: str) -> Tuple[Any, ...]:
    writer = millrace.CellWriter(name, 8)
    return (millrace.CellReader(name), writer)


def _mutex(name: str) -> Tuple[Any, ...]:
    other = millrace.Mutex(name)
    return (millrace.Mutex(name), other.lock(), other)


def _rwlock(name: str) -> Tuple[Any, ...]:
    other = millrace.RwLock(name)
    return (millrace.RwLock(name), other.write(), other)


def _subscription(name: str) -> Tuple[Any, ...]:
    topics = millrace.Topics(name)
    return (topics.subscribe(">"), topics)


CALLS: Dict[str, Tuple[Callable[[str], Tuple[Any, ...]], Callable[[Any], Any]]] = {
    "pop": (lambda name: (millrace.QueueConsumer(name),), lambda it: it.pop(PATIENCE)),
    "pop_many": (
        lambda name: (millrace.QueueConsumer(name),),
        lambda it: it.pop_many(timeout=PATIENCE),
    ),
    "push": (_full_queue, lambda it: it.push(bytes(1000), PATIENCE)),
    "end": (_full_queue, lambda it: it.end(PATIENCE)),
    "wait_for_peer": (_full_queue, lambda it: it.wait_for_peer(PATIENCE)),
    "next": (_frames, lambda it: it.next(PATIENCE)),
    "newest": (_frames, lambda it: it.newest(PATIENCE)),
    "loan": (_all_loaned, lambda it: it.loan(PATIENCE)),
    "send": (_all_loaned, lambda it: it.send(b"", timeout=PATIENCE)),
    "wait_for_readers": (_all_loaned, lambda it: it.wait_for_readers(1, PATIENCE)),
    "open": (
        lambda name: (name,),
        lambda name: millrace.FrameReader(name, timeout=PATIENCE),
    ),
    "read_next": (_cell, lambda it: it.read_next(0, PATIENCE)),
    "take": (lambda name: (millrace.WorkQueue(name),), lambda it: it.take(PATIENCE)),
    "push a job": (_full_work, lambda it: it.push(b"x", timeout=PATIENCE)),
    "read": (_subscription, lambda it: it.read(PATIENCE)),
    "publish": (_full_topics, lambda it: it.publish("x", b"", timeout=PATIENCE)),
    "lock": (_mutex, lambda it: it.lock(PATIENCE)),
    "read lock": (_rwlock, lambda it: it.read(PATIENCE)),
    "write lock": (_rwlock, lambda it: it.write(PATIENCE)),
    "event": (lambda name: (millrace.Event(name),), lambda it: it.wait(PATIENCE)),
    "semaphore": (lambda name: (millrace.Semaphore(name),), lambda it: it.wait(PATIENCE)),
}


@pytest.mark.parametrize("what", CALLS)
def test_an_interrupt_is_heard(name: str, what: str) -> None:
    prepare, call = CALLS[what]
    held = prepare(name)
    try:
        interrupt = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
        interrupt.start()
        with pytest.raises(KeyboardInterrupt):
            call(held[0])
        interrupt.join(PATIENCE)
    finally:
        for it in held:
            if isinstance(it, millrace.QueueProducer):
                it.close(discard=True)
            if isinstance(it, millrace.WorkQueue):
                while (job := it.try_take()) is not None:
                    job.complete()
        del held
        if what == "semaphore":
            millrace.unlink("semaphore", name)
