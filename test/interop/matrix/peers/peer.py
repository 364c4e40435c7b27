"""The peer of these tests in Python: peer.py ROLE NAME [ARGUMENT ...]. ../roles.ts says what the roles are and what they print."""

from __future__ import annotations

import sys
import time

import millrace

PATIENCE = 60.0
QUEUE_BYTES, SLOT_BYTES, MEMORY_BYTES = 16_384, 4096, 20_000


def say(*words: object) -> None:
    """Each line ends with a point, so that half a line of one that was killed is told from a whole one."""
    print(*words, ".", flush=True)


def nap() -> None:
    """So that others get the processor, and deaths come here as well."""
    time.sleep(0.0002)


def content(number: int) -> bytes:
    return number.to_bytes(8, "little") + bytes([number % 251]) * (number * 7 % 3000)


def number_of(message: bytes) -> int:
    number = int.from_bytes(message[:8], "little")
    assert message == content(number), f"message {number} is not whole"
    return number


def bytes_of(seed: int) -> bytes:
    return bytes((seed * 31 + i * 7) & 0xFF for i in range(MEMORY_BYTES))


def push(name: str, first: str, count: str) -> None:
    with millrace.QueueProducer(name, capacity=QUEUE_BYTES) as producer:
        for number in range(int(first), int(first) + int(count)):
            while True:
                try:
                    producer.push(content(number), PATIENCE)
                    break
                except (millrace.PeerGoneError, millrace.ClosedError):
                    producer.wait_for_peer(PATIENCE)
            say(number)
        producer.end(PATIENCE)
    say("end")


def pop(name: str) -> None:
    with millrace.QueueConsumer(name, capacity=QUEUE_BYTES) as consumer:
        say("ready")
        while True:
            try:
                message = consumer.pop(PATIENCE)
                if message is None:
                    break
                say(number_of(message))
            except millrace.PeerGoneError:
                say("gone")
                consumer.wait_for_peer(PATIENCE)
    say("end")


def until_attached(handle: millrace.FrameReader | millrace.CellReader) -> None:
    end = time.monotonic() + PATIENCE
    while handle.peer.state != "attached":
        assert time.monotonic() < end, "nobody came"
        time.sleep(0.001)


def write_frames(name: str, readers: str, count: str) -> None:
    with millrace.FrameWriter(name, SLOT_BYTES, slots=8, readers=8) as writer:
        writer.wait_for_readers(int(readers), PATIENCE)
        for _ in range(int(count)):
            with writer.loan(PATIENCE) as loan:
                sequence = writer.sequence + 1
                message = content(sequence)
                loan.data[: len(message)] = message
                loan.header[:8] = sequence.to_bytes(8, "little")
                assert loan.publish(len(message)) == sequence
            say(sequence)
    say("end")


def read_frames(name: str) -> None:
    with millrace.FrameReader(name, timeout=PATIENCE) as reader:
        say("ready")
        while True:
            try:
                frame = reader.next(PATIENCE)
            except millrace.PeerGoneError:
                say("gone")
                until_attached(reader)
                continue
            if frame is None:
                break
            with frame:
                sequence = frame.sequence
                assert number_of(bytes(frame.data)) == sequence
                assert bytes(frame.header[:8]) == sequence.to_bytes(8, "little")
            say(sequence)
    say("end")


def write_cell(name: str, count: str) -> None:
    with millrace.CellWriter(name, SLOT_BYTES) as writer:
        for _ in range(int(count)):
            version = writer.version + 1
            writer.write(content(version))
            assert writer.version == version
            say(version)
            nap()
    say("end")


def opened_cell(name: str) -> millrace.CellReader:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return millrace.CellReader(name)
        except millrace.NotFoundError:
            assert time.monotonic() < end, "there is no cell"
            time.sleep(0.001)


def read_cell(name: str) -> None:
    with opened_cell(name) as reader:
        say("ready")
        since = 0
        while True:
            try:
                value = reader.read_next(since, PATIENCE)
            except millrace.PeerGoneError:
                say("gone")
                until_attached(reader)
                continue
            if value is None:
                break
            since = value.version
            assert number_of(value.data) == since
            say(since)
    say("end")


def push_jobs(name: str, first: str, count: str) -> None:
    with millrace.WorkQueue(name) as work:
        for number in range(int(first), int(first) + int(count)):
            group = f"group-{number % 3}" if number % 4 == 0 else None
            work.push(
                content(number),
                id=f"job-{number}",
                priority=number % 3,
                group=group,
                timeout=PATIENCE,
            )
            say(number)
            nap()
    say("end")


def work(name: str) -> None:
    with millrace.WorkQueue(name) as queue:
        say("ready")
        while True:
            job = queue.take(PATIENCE)
            number = number_of(job.data)
            assert job.id == f"job-{number}"
            assert job.priority == number % 3
            assert job.group == (f"group-{number % 3}" if number % 4 == 0 else None)
            say("took", number, job.attempt)
            nap()
            if number % 5 == 0 and job.attempt == 1:
                job.retry(error="once more")
                say("retried", number)
            else:
                job.complete()
                say("done", number)


def publish(name: str, who: str, first: str, count: str) -> None:
    with millrace.Topics(name) as topics:
        for number in range(int(first), int(first) + int(count)):
            subject = f"m.{who}.{'even' if number % 2 == 0 else 'odd'}"
            topics.publish(subject, content(number), {"number": str(number)}, PATIENCE)
            say(number)
            nap()
    say("end")


def subscribe(name: str, policy: str, depth: str, subjects: str) -> None:
    with millrace.Topics(name) as topics:
        with topics.subscribe(subjects, policy=policy, depth=int(depth)) as subscription:
            say("ready")
            while True:
                message = subscription.read(PATIENCE)
                number = number_of(message.data)
                if not message.subject.startswith("m.3."):
                    assert message.headers == {"number": str(number)}
                say(message.subject, number, message.number, message.missed)
                if policy != "wait":
                    time.sleep(0.001)


class Halves:
    """Two words that are equal unless somebody is inside; changed with the lock held."""

    def __init__(self, name: str) -> None:
        self.memory = millrace.SharedMemory(name)
        self.words = self.memory.data.cast("Q")

    def check(self, hold: millrace.Hold) -> None:
        assert self.words[0] == self.words[1] or hold.abandoned, "half done, and nobody is told"

    def change(self, hold: millrace.Hold) -> None:
        self.check(hold)
        if hold.abandoned:
            say("abandoned")
        self.words[1] = self.words[0]
        self.words[0] += 1
        nap()
        self.words[1] += 1


def mutex(name: str) -> None:
    lock, halves = millrace.Mutex(name), Halves(name)
    while True:
        with lock.lock(PATIENCE) as hold:
            halves.change(hold)
        say("turn")
        nap()


def rwlock(name: str) -> None:
    lock, halves = millrace.RwLock(name), Halves(name)
    while True:
        with lock.read(PATIENCE) as hold:
            halves.check(hold)
        with lock.write(PATIENCE) as hold:
            halves.change(hold)
        say("turn")
        nap()


def hold_mutex(name: str) -> None:
    lock = millrace.Mutex(name)
    hold = lock.lock(PATIENCE)
    say("abandoned" if hold.abandoned else "held")
    time.sleep(PATIENCE)
    hold.release()


def hold_rwlock(name: str) -> None:
    lock = millrace.RwLock(name)
    hold = lock.write(PATIENCE)
    say("abandoned" if hold.abandoned else "held")
    time.sleep(PATIENCE)
    hold.release()


def relay_event(name: str, me: str, route: str) -> None:
    events = [millrace.Event(f"{name}-{at}") for at in range(4)]
    counter = millrace.Counter(name)
    say("ready")
    while True:
        events[int(me)].wait(PATIENCE)
        count = counter.add()
        target = int(route[count % len(route)])
        events[target].set()
        say(count, target)


def relay_semaphore(name: str, me: str, route: str) -> None:
    semaphores = [millrace.Semaphore(f"{name}-{at}", open_only=True) for at in range(4)]
    counter = millrace.Counter(name)
    say("ready")
    while True:
        semaphores[int(me)].wait(PATIENCE)
        count = counter.add()
        target = int(route[count % len(route)])
        semaphores[target].post()
        say(count, target)


def own_memory(name: str, seed: str) -> None:
    memory = millrace.SharedMemory(name, MEMORY_BYTES)
    memory.data[:] = bytes_of(int(seed))
    say("made")
    time.sleep(PATIENCE)
    memory.close()


def use_memory(name: str, seed: str) -> None:
    memory = millrace.SharedMemory(name)
    assert len(memory) == MEMORY_BYTES
    assert bytes(memory.data) == bytes_of(int(seed)), "other bytes"
    memory.data[:] = bytes_of(int(seed) + 1)
    say("seen")
    time.sleep(PATIENCE)
    memory.close()


if __name__ == "__main__":
    globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:])
