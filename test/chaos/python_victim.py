"""A victim that is a Python process: waits, started already, for a part to play (a line of JSON), plays it, and is killed. What it does is
what the victims in victims.cpp do, with the Python package."""

from __future__ import annotations

import itertools
import json
import os
import random
import struct
import sys
import tempfile
import time
import traceback
from typing import Any, Callable, Dict, Optional

import millrace

WORDS = ("trying", "done", "base", "left", "right", "holding", "turns")
MOST_WORDS = 24
MOST_BYTES = 8 * MOST_WORDS
PATIENCE = 10.0

# The place of the one before may not be free for an instant; and others may leave.
HARMLESS = (
    millrace.RoleTakenError,
    millrace.NotFoundError,
    millrace.ExistsError,
    millrace.NoLaneError,
    millrace.TimeoutError,
    millrace.PeerGoneError,
    millrace.ClosedError,
    millrace.PermissionError,
)


class Ledger:
    """As in ledger.ts. Nobody else writes it meanwhile, but with a lock held."""

    def __init__(self, name: str) -> None:
        self._memory = millrace.SharedMemory(name)
        self._words = self._memory.data.cast("Q")

    def __getitem__(self, word: str) -> int:
        return self._words[WORDS.index(word)]

    def __setitem__(self, word: str, value: int) -> None:
        self._words[WORDS.index(word)] = value


def content_of(number: int) -> bytes:
    """As in content.ts."""
    words = [number, *[number * 31 + i for i in range(1, 1 + number % MOST_WORDS)]]
    return b"".join(word.to_bytes(8, "little") for word in words)


def number_in(content: bytes) -> int:
    number = int.from_bytes(content[:8], "little")
    assert content == content_of(number), f"{number} is not whole"
    return number


def produce(side: str, place: str, ledger: Ledger) -> None:
    with millrace.QueueProducer(place) as producer:
        while True:
            number = ledger["base"] + 1
            ledger["trying"] = number
            producer.push(content_of(number), PATIENCE)
            ledger["done"] = number
            ledger["base"] = number


def frames(side: str, place: str, ledger: Ledger) -> None:
    if side == "writer":
        with millrace.FrameWriter(place, MOST_BYTES, slots=8, readers=6, history=2) as writer:
            while True:
                with writer.loan(PATIENCE) as loan:
                    number = ledger["base"] + 1
                    ledger["trying"] = number
                    content = content_of(number)
                    loan.data[: len(content)] = content
                    loan.publish(len(content))
                ledger["done"] = number
                ledger["base"] = number
    policy = {"wait": "wait", "drop": "drop-newest", "overwrite": "overwrite-oldest"}
    with millrace.FrameReader(place, policy=policy[side.split("-")[1]], history=1) as reader:
        last = 0
        while True:
            frame = reader.next(PATIENCE)
            if frame is None:
                return
            with frame:
                number = number_in(bytes(frame.data))
            assert number > last, f"frame {number} came after {last}"
            last = number
            ledger["turns"] += 1


def cell(side: str, place: str, ledger: Ledger) -> None:
    if side == "writer":
        with millrace.CellWriter(place, MOST_BYTES) as writer:
            while True:
                number = writer.version + 1
                ledger["trying"] = number
                writer.write(content_of(number))
                ledger["done"] = number
                time.sleep(0.0001)
    with millrace.CellReader(place) as reader:
        since = 0
        while True:
            value = reader.read_next(since, PATIENCE)
            if value is None:
                return
            assert number_in(value.data) == value.version > since
            since = value.version
            ledger["turns"] += 1


def change(ledger: Ledger, hold: millrace.Hold) -> None:
    broken = ledger["left"] != ledger["right"]
    assert not broken or hold.abandoned, "half changed, and nobody is told"
    if broken:
        ledger["right"] = ledger["left"]
    ledger["left"] += 1
    time.sleep(0)
    ledger["right"] += 1
    ledger["turns"] += 1


def mutex(side: str, place: str, ledger: Ledger) -> None:
    with millrace.Mutex(place) as lock:
        while True:
            with lock.lock(PATIENCE) as hold:
                change(ledger, hold)


def rwlock(side: str, place: str, ledger: Ledger) -> None:
    with millrace.RwLock(place) as lock:
        while True:
            with lock.read(PATIENCE) as hold:
                broken = ledger["left"] != ledger["right"]
                assert not broken or hold.abandoned, "half changed, and nobody is told"
            with lock.write(PATIENCE) as hold:
                change(ledger, hold)


def event(side: str, place: str, ledger: Ledger) -> None:
    with millrace.Event(place) as happening:
        while True:
            happening.set()
            try:
                happening.wait(0.005)
            except millrace.TimeoutError:
                continue
            ledger["turns"] += 1


def counter(side: str, place: str, ledger: Ledger) -> None:
    with millrace.Counter(place, initial=1000) as number:
        while True:
            ledger["trying"] += 1
            number.add()
            ledger["done"] += 1


def semaphore(side: str, place: str, ledger: Ledger) -> None:
    with millrace.Semaphore(place, open_only=True) as permits:
        while True:
            ledger["holding"] = 1
            try:
                permits.wait(0.001)
            except millrace.TimeoutError:
                ledger["holding"] = 0
                continue
            ledger["holding"] = 2
            time.sleep(0)
            ledger["holding"] = 1
            permits.post()
            ledger["holding"] = 0
            ledger["turns"] += 1


def memory(side: str, place: str, ledger: Ledger) -> None:
    while True:
        size = 16384 if side == "owner" else None
        with millrace.SharedMemory(place, size) as shared:
            shared.data[:] = b"\x5a" * len(shared)
            ledger["turns"] += 1


def topics(side: str, place: str, ledger: Ledger) -> None:
    with millrace.Topics(place) as bus:
        if side == "publisher":
            while True:
                number = ledger["base"] + 1
                ledger["trying"] = number
                bus.publish("victim.numbers", content_of(number), timeout=PATIENCE)
                ledger["done"] = number
                ledger["base"] = number
        waits = side == "subscriber-wait"
        policy = "wait" if waits else "overwrite"
        with bus.subscribe("survivor.*", policy=policy, replay_last=True) as subscription:
            ledger["holding"] = int(waits)
            last = 0
            while True:
                message = subscription.read(PATIENCE)
                number = number_in(message.data)
                assert last == 0 or number == last + 1 + message.missed
                assert not waits or message.missed == 0
                last = number
                ledger["turns"] += 1


EACH = 1 << 16
SIDES = ("producer", "worker")


class Journal:
    """As in work-journal.ts: one write a line."""

    def __init__(self, place: str, who: int) -> None:
        path = place if place.startswith("/") else os.path.join(tempfile.gettempdir(), place)
        self._file = os.open(f"{path}.journal", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._who = who

    def tell(self, letter: str, job: int, more: str = "", at: Optional[int] = None) -> None:
        at = time.monotonic_ns() if at is None else at
        line = f"\n{letter} {at} {self._who} {job}{' ' if more else ''}{more} ."
        os.write(self._file, line.encode())


def options_of(number: int) -> Dict[str, Any]:
    """As in work-party.ts. Milliseconds."""
    nth = number % EACH
    return {
        "priority": nth % 3,
        "delay": nth % 10 if nth % 7 == 2 else 0,
        "ttl": 1 + nth % 16 if nth % 5 == 3 else 0,
        "group": f"g{nth % 4}" if nth % 5 == 1 else None,
        "id": f"job-{number}" if nth % 3 == 0 else None,
    }


def payload_of(number: int) -> bytes:
    nth = number % EACH
    words = 128 + nth % 900 if nth % 16 == 3 else 1 + nth % 24
    return struct.pack(f"<{words}Q", number, *[number * 31 + i for i in range(1, words)])


def push_jobs(queue: millrace.WorkQueue, journal: Journal, who: int, ledger: Ledger) -> None:
    # What the one before was in the middle of pushing when it died is pushed again, if it has an id.
    unsure = ledger["trying"]
    numbers = [unsure] if unsure != ledger["done"] and options_of(unsure)["id"] else []
    for number in itertools.chain(numbers, range(who * EACH, (who + 1) * EACH)):
        while ledger["left"] != 0:  # the survivors want to see everything at rest
            ledger["right"] = 1
            time.sleep(0.001)
        ledger["right"] = 0
        ledger["trying"] = number
        options = options_of(number)
        later = options["delay"] + options["ttl"]
        journal.tell("p", number, f"{options['priority']} {options['group'] or '-'} {later}")
        options["delay"] /= 1000
        options["ttl"] /= 1000
        queue.push(payload_of(number), **options)
        journal.tell("c", number)
        ledger["done"] = number


def is_ours(call: Callable[[], None]) -> bool:
    try:
        call()
    except millrace.LeaseLostError:
        return False
    return True


def keep(job: millrace.Job, number: int, lease: float, journal: Journal) -> bool:
    """Has it in hand for longer than the lease, now and then. False: it was lost, and that was told."""
    dice = random.randrange(40) if lease > 0 else -1
    if dice == 0:
        time.sleep(2 * lease)
    for _ in range(4 if dice == 1 else 0):
        time.sleep(lease / 2)
        since = time.monotonic_ns()
        if not is_ours(lambda: job.extend(lease)):
            journal.tell("l", number)
            return False
        journal.tell("e", number, str(since))
    return True


def settle(job: millrace.Job, number: int, journal: Journal) -> None:
    dice = random.randrange(100)
    delay = random.randrange(2) / 1000
    ways: Dict[str, Callable[[], None]] = {
        "complete": job.complete,
        "release": lambda: job.release(delay),
        "retry": lambda: job.retry(delay, "it failed"),
        "reject": lambda: job.reject("it cannot be done"),
    }
    how = (
        "complete" if dice < 80 else "release" if dice < 91 else "retry" if dice < 99 else "reject"
    )
    journal.tell("b", number, how)
    journal.tell("d" if is_ours(ways[how]) else "l", number)


def work_on(queue: millrace.WorkQueue, journal: Journal, lease: float, ledger: Ledger) -> None:
    while True:
        since = time.monotonic_ns()
        try:
            job = queue.take(0.02)
        except millrace.TimeoutError:
            continue
        number = int.from_bytes(job.data[:8], "little")
        whole = job.data == payload_of(number)
        at = time.monotonic_ns()
        if lease > 0 and at - since > lease * 5e8:
            # It may have been taken away by now, so nothing is said of it.
            is_ours(job.release)
            continue
        assert whole, f"job {number} is not whole"
        leased = f" 0 {since}" if lease > 0 else ""
        journal.tell("s", number, f"{job.attempt} {job.acquired}{leased}", at)
        time.sleep(random.randrange(2) / 1000)
        if keep(job, number, lease, journal):
            settle(job, number, journal)
        ledger["turns"] += 1


def work(side: str, place: str, ledger: Ledger, lease: float = 0) -> None:
    where = f"file:{place}" if place.startswith("/") else place
    with millrace.WorkQueue(where, open_only=True) as queue:
        ledger["base"] += 1
        who = ledger["base"] * 4 + SIDES.index(side)
        ledger["holding"] = who
        journal = Journal(place, who)
        if side == "producer":
            push_jobs(queue, journal, who, ledger)
        else:
            work_on(queue, journal, lease, ledger)


def work_with_lease(side: str, place: str, ledger: Ledger) -> None:
    work(side, place, ledger, 0.05)


PARTS: Dict[str, Callable[[str, str, Ledger], None]] = {
    "queue": produce,
    "frames": frames,
    "cell": cell,
    "mutex": mutex,
    "rwlock": rwlock,
    "event": event,
    "counter": counter,
    "semaphore": semaphore,
    "memory": memory,
    "topics": topics,
    "work": work,
    "work-lease": work_with_lease,
    "work-file": work,
    "work-disk": work,
}


def play(part: Dict[str, Any]) -> None:
    ledger = Ledger(part["ledger"])
    print("playing", flush=True)
    while True:
        try:
            PARTS[part["kind"]](part["side"], part["place"], ledger)
        except HARMLESS:
            pass
        time.sleep(0.001)


if __name__ == "__main__":
    line = sys.stdin.readline()
    if line:
        try:
            play(json.loads(line))
        except BaseException:
            traceback.print_exc()
            sys.exit(3)
