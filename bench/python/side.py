"""The Python sides of measurements: side.py ROLE PARAMETERS(JSON).

A side that follows echoes what Node sends it. One that leads measures, starts its own follower where there is one, and prints what it
found as JSON: nanoseconds. What is measured and for how long is what bench/side/measuring.ts does in Node.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from multiprocessing import resource_tracker, shared_memory
from multiprocessing.connection import Client, Listener
from typing import Any, Callable, Dict, List

import millrace

now = time.perf_counter_ns
PREFIX = 4
SLICE_NS = 50_000_000
AGREEMENT = 1.08


class Content:
    """As bench/side/content.ts: the number of a message, and with `check` a pattern that depends on it."""

    def __init__(self, parameters: Dict[str, Any]) -> None:
        self.check = parameters["check"]
        self.bytes = parameters["bytes"]

    def pattern(self, sequence: int) -> bytes:
        at = sequence * 31 & 0xFF
        cycle = bytes((at + i * 7) & 0xFF for i in range(256))
        whole = cycle * (self.bytes // 256 + 1)
        return sequence.to_bytes(4, "little") + whole[4 : self.bytes]

    def read(self, message: Any, sequence: int) -> None:
        if self.check and message != self.pattern(sequence):
            raise AssertionError(f"message {sequence} is not whole")


# --- sides that follow Node ---


async def echo_queue(parameters: Dict[str, Any]) -> None:
    name, size, content = parameters["name"], parameters["bytes"], Content(parameters)
    with millrace.QueueProducer(f"{name}.back") as back:
        with millrace.QueueConsumer(f"{name}.there") as there:
            sequence = 0
            async for message in there:
                if len(message) != size:
                    break
                content.read(message, sequence)
                sequence += 1
                await back.push_async(message)
            await back.end_async()


class Echo(asyncio.Protocol):
    """Callbacks, which is the fastest that asyncio has."""

    def __init__(self, parameters: Dict[str, Any], ended: "asyncio.Future[None]") -> None:
        self.whole = PREFIX + parameters["bytes"]
        self.content = Content(parameters)
        self.ended = ended
        self.rest = b""
        self.sequence = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.rest:
            data = self.rest + data
        at = 0
        while at + self.whole <= len(data):
            if self.content.check:
                self.content.read(data[at + PREFIX : at + self.whole], self.sequence)
            self.sequence += 1
            at += self.whole
        self.transport.write(data[:at])
        self.rest = data[at:]

    def connection_lost(self, error: Any) -> None:
        self.ended.set_result(None)


async def echo_socket(parameters: Dict[str, Any]) -> None:
    with millrace.QueueConsumer(parameters["name"]) as ready:
        path = json.loads(await ready.pop_async())
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    await loop.create_unix_connection(lambda: Echo(parameters, ended), path)
    await ended


async def answer_frames(parameters: Dict[str, Any]) -> None:
    name, content = parameters["name"], Content(parameters)
    with millrace.QueueProducer(name) as back:
        with millrace.FrameReader(name) as reader:
            sequence = 0
            async for frame in reader:
                if content.check:
                    content.read(bytes(frame.data), sequence)
                sequence += 1
                frame.release()
                await back.push_async(b"answered")


# --- sides that lead ---


def median(values: List[float]) -> float:
    return statistics.median(values)


def measured(
    parameters: Dict[str, Any], some: Callable[[int], float], units: int
) -> Dict[str, Any]:
    """Calls some(sequence), which does so many units and returns the nanoseconds that these took; first until slices agree."""
    sequence = 0

    def once() -> float:
        nonlocal sequence
        took = some(sequence)
        sequence += units
        return took / units

    if parameters["check"]:
        while sequence < parameters["count"]:
            once()
        return {"p50": 0.0}
    slices: List[float] = []
    began = now()
    settled = False
    while True:
        looks = []
        from_ = now()
        while now() - from_ < SLICE_NS or len(looks) < 3:
            looks.append(once())
        slices.append(median(looks))
        last = slices[-3:]
        settled = len(last) == 3 and max(last) <= AGREEMENT * min(last)
        spent = (now() - began) / 1e6
        if spent >= parameters["warmUp"] and (settled or spent >= parameters["settleWithin"]):
            break
    took: List[float] = []
    end = now() + parameters["stretch"] * 1_000_000
    cpu = time.process_time_ns()
    first = sequence
    while now() < end or len(took) < 5:
        took.append(once())
    cpu = time.process_time_ns() - cpu
    took.sort()
    return {
        "p50": median(took),
        "p99": took[min(len(took) - 1, len(took) * 99 // 100)],
        "samples": len(took),
        "settled": settled,
        "cpu": [cpu / (sequence - first), 0],
    }


def follower(role: str, parameters: Dict[str, Any]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, __file__, role, json.dumps(parameters)])


def lead_frames(parameters: Dict[str, Any]) -> Dict[str, Any]:
    """Hands over a frame that is in its slot already, as a camera or a decoder has put it there, and waits for an answer."""
    name, size = parameters["name"], parameters["bytes"]
    content = Content(parameters)
    with millrace.FrameWriter(name, size, slots=4) as writer, millrace.QueueConsumer(name) as back:
        child = follower("take_frames", parameters)
        writer.wait_for_readers(timeout=30)

        def trip(sequence: int) -> float:
            began = now()
            loan = writer.loan()
            if content.check:
                loan.data[:] = content.pattern(sequence)
            loan.publish()
            back.pop()
            return now() - began

        found = measured(parameters, trip, 1)
    ended(child)
    return found


def take_frames(parameters: Dict[str, Any]) -> None:
    name, content = parameters["name"], Content(parameters)
    sequence = 0
    with millrace.QueueProducer(name) as back, millrace.FrameReader(name) as reader:
        for frame in reader:
            if content.check:
                content.read(bytes(frame.data), sequence)
            sequence += 1
            frame.release()
            back.push(b"answered")


def lead_shared_memory(parameters: Dict[str, Any]) -> Dict[str, Any]:
    """What the standard library has: a block that the frame is copied to, and a pipe that says so. Nobody copies it out of there."""
    name, size = parameters["name"], parameters["bytes"]
    content = Content(parameters)
    block = shared_memory.SharedMemory(name, create=True, size=size)
    with Listener(family="AF_UNIX") as listener:
        child = follower("take_shared_memory", {**parameters, "server": listener.address})
        with listener.accept() as pipe:
            frame = bytearray(size)

            def trip(sequence: int) -> float:
                if content.check:
                    frame[:] = content.pattern(sequence)
                began = now()
                block.buf[:size] = frame
                pipe.send_bytes(b"there")
                pipe.recv_bytes()
                return now() - began

            found = measured(parameters, trip, 1)
            pipe.send_bytes(b"end")
            ended(child)
    block.close()
    block.unlink()
    return found


def take_shared_memory(parameters: Dict[str, Any]) -> None:
    content = Content(parameters)
    size = parameters["bytes"]
    block = shared_memory.SharedMemory(parameters["name"])
    resource_tracker.unregister("/" + block.name, "shared_memory")  # it is the leader's
    sequence = 0
    with Client(parameters["server"], family="AF_UNIX") as pipe:
        while pipe.recv_bytes() == b"there":
            if content.check:
                content.read(bytes(block.buf[:size]), sequence)
            sequence += 1
            pipe.send_bytes(b"answered")
    block.close()


def frame_time(parameters: Dict[str, Any]) -> Dict[str, Any]:
    """The time of each side alone: as many frames as there are slots are written, then read, in one process."""
    name, size = parameters["name"], parameters["bytes"]
    slots = 8
    parts: Dict[str, Any] = {}
    with millrace.FrameWriter(name, size, slots=slots) as writer:
        with millrace.FrameReader(name) as reader:

            def fill(sequence: int) -> float:
                began = now()
                for _ in range(slots - 2):
                    loan = writer.loan()
                    loan.data
                    loan.publish()
                return now() - began

            def take() -> float:
                began = now()
                for _ in range(slots - 2):
                    frame = reader.next()
                    frame.data
                    frame.release()
                return now() - began

            def written(sequence: int) -> float:
                took = fill(sequence)
                take()
                return took

            def read(sequence: int) -> float:
                fill(sequence)
                return take()

            parts["write"] = measured(parameters, written, slots - 2)
            parts["read"] = measured(parameters, read, slots - 2)
    both = parts["write"]["p50"] + parts["read"]["p50"]
    settled = all(part["settled"] for part in parts.values())
    return {"p50": both, "settled": settled, "parts": parts}


def frame_loop(parameters: Dict[str, Any]) -> Dict[str, Any]:
    """`for frame in reader`, with what Node publishes meanwhile."""
    count = 1000
    content = Content(parameters)
    with millrace.FrameReader(parameters["name"]) as reader:
        frames = iter(reader)

        def some(sequence: int) -> float:
            began = now()
            left = count
            for frame in frames:
                left -= 1
                if content.check:
                    content.read(bytes(frame.data), sequence + count - left - 1)
                if left == 0:
                    break
            return now() - began

        return measured(parameters, some, count)


def ended(child: "subprocess.Popen[bytes]") -> None:
    if child.wait(30) != 0:
        raise RuntimeError(f"the follower ended with {child.returncode}")


ROLES = {
    each.__name__: each
    for each in (
        answer_frames,
        echo_queue,
        echo_socket,
        frame_loop,
        frame_time,
        lead_frames,
        lead_shared_memory,
        take_frames,
        take_shared_memory,
    )
}


def main() -> None:
    role = ROLES[sys.argv[1]]
    parameters = json.loads(sys.argv[2])
    cores = parameters.get("threadCores")
    if cores is not None:
        os.sched_setaffinity(0, {cores[0 if sys.argv[1].startswith("lead_") else 1]})
    found = role(parameters)
    if asyncio.iscoroutine(found):
        asyncio.run(found)
    elif found is not None:
        print(json.dumps(found))


main()
