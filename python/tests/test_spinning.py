"""A task looks for some microseconds before its loop sleeps, as long as that pays; others have their turns all the same."""

from __future__ import annotations

import asyncio
import contextvars
import time
from typing import Any, Iterator, List

import pytest

from millrace import FrameReader, FrameWriter, QueueConsumer, QueueProducer, _queue
from millrace._spinning import Spinning

PATIENCE = 30.0


@pytest.fixture(autouse=True)
def account() -> Iterator[None]:
    """What others have lost or saved is not ours."""
    before = Spinning._account
    Spinning._account = 1_000_000
    yield
    Spinning._account = before


def _tries(spinning: Spinning, count: int) -> int:
    tried = 0
    for _ in range(count):
        Spinning._account = 1_000_000
        ns = spinning.budget(None)
        if ns:
            tried += 1
            spinning.lost(time.monotonic_ns())
    return tried


def test_what_does_not_pay_is_tried_seldom() -> None:
    spinning = Spinning(None)
    assert _tries(spinning, 4) == 4
    assert _tries(spinning, 160) == 10


def test_what_pays_is_tried_each_time() -> None:
    spinning = Spinning(None)
    _tries(spinning, 100)
    spinning.paid(time.monotonic_ns())
    assert _tries(spinning, 1) == 1


def test_all_together_lose_a_twentieth_of_the_time() -> None:
    spinnings = [Spinning(None) for _ in range(100)]
    Spinning._account = 0
    Spinning._counted = began = time.monotonic_ns()
    lost = 0
    while time.monotonic_ns() - began < 200_000_000:
        for spinning in spinnings:
            ns = spinning.budget(None)
            if ns:
                before = time.monotonic_ns()
                while time.monotonic_ns() - before < ns:
                    pass
                spinning.lost(before)
                lost += time.monotonic_ns() - before
    took = time.monotonic_ns() - began
    assert 0 < lost < took / 20 + 60_000_000  # one that was interrupted by the system may take long


def test_no_spin_without_time_or_will() -> None:
    assert Spinning(0).budget(None) == 0
    assert Spinning(None).budget(0) == 0
    assert Spinning(None).budget(0.00001) == 0
    assert Spinning(None).budget(1) == 50_000
    assert Spinning(10).budget(None) == 1_000_000
    spinning = Spinning(None)
    Spinning._account, Spinning._counted = -1_000_000, time.monotonic_ns()
    assert spinning.budget(None) == 0


def test_a_message_that_comes_meanwhile_is_had_without_a_sleep(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        with QueueProducer(name) as producer, QueueConsumer(name, spin=0.001) as consumer:

            pop = _queue._pop

            def later(*arguments: Any) -> int:
                producer.push(b"late")
                return pop(*arguments)

            monkeypatch.setattr(_queue, "_pop", later)
            monkeypatch.setattr(_queue, "_consumer_arm", lambda address: pytest.fail("it slept"))
            assert await consumer.pop_async(PATIENCE) == b"late"

    asyncio.run(main())


@pytest.mark.parametrize("length", [3, 200_000])
def test_a_spin_finds_messages_of_any_length_and_the_end(name: str, length: int) -> None:
    async def main() -> List[Any]:
        producer = QueueProducer(name, capacity=1 << 20)
        with QueueConsumer(name) as consumer:
            producer.push(b"a" * length)
            producer.close()
            return [await consumer.pop_async(PATIENCE), await consumer.pop_async(PATIENCE)]

    assert asyncio.run(main()) == [b"a" * length, None]


def test_who_always_finds_something_lets_the_loop_have_turns(name: str) -> None:
    async def main() -> int:
        turns = 0
        with QueueProducer(name) as producer, QueueConsumer(name) as consumer:

            async def other() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            counting = asyncio.ensure_future(other())
            end = time.monotonic() + 0.1
            while time.monotonic() < end:
                producer.push(b"x")
                assert await consumer.pop_async() == b"x"
            counting.cancel()
        return turns

    assert asyncio.run(main()) > 10


def test_a_woken_task_arms_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    armed = 0
    arm = _queue._consumer_arm

    def counted(address: int) -> int:
        nonlocal armed
        armed += 1
        return arm(address)

    monkeypatch.setattr(_queue, "_consumer_arm", counted)

    async def main() -> None:
        with QueueProducer(name) as producer, QueueConsumer(name, spin=0) as consumer:
            loop = asyncio.get_running_loop()

            async def receive() -> List[bytes]:
                return [await consumer.pop_async(PATIENCE) or b"" for _ in range(20)]

            receiving = asyncio.ensure_future(receive())
            for i in range(20):
                await asyncio.sleep(0.003)
                await loop.run_in_executor(None, producer.push, b"%d" % i)
            assert await receiving == [b"%d" % i for i in range(20)]

    asyncio.run(main())
    assert armed <= 25  # something else may ring once in a while


def test_a_task_goes_on_in_the_very_turn_in_which_the_loop_hears(name: str) -> None:
    order: List[str] = []
    kept: "contextvars.ContextVar[str]" = contextvars.ContextVar("kept", default="nobody's")

    async def main() -> None:
        with QueueProducer(name) as producer, QueueConsumer(name, spin=0) as consumer:

            async def receive() -> None:
                kept.set("the task's")
                await consumer.pop_async(PATIENCE)
                assert asyncio.current_task() is receiving
                order.append(kept.get())

            receiving = asyncio.ensure_future(receive())
            await asyncio.sleep(0)
            waiter = consumer._waiter
            assert waiter is not None

            def heard() -> None:
                assert waiter is not None
                producer.push(b"x")
                waiter._heard()
                order.append("the loop's")

            asyncio.get_running_loop().call_soon(heard)
            await asyncio.wait_for(receiving, PATIENCE)

    asyncio.run(main())
    assert order == ["the task's", "the loop's"]


@pytest.mark.parametrize("first", ["cancelled", "heard"])
def test_a_task_that_is_cancelled_and_woken_at_once_does_the_first(name: str, first: str) -> None:
    async def main() -> None:
        with QueueProducer(name) as producer, QueueConsumer(name, spin=0) as consumer:
            receiving = asyncio.ensure_future(consumer.pop_async(PATIENCE))
            await asyncio.sleep(0)
            waiter = consumer._waiter
            assert waiter is not None

            def both() -> None:
                assert waiter is not None
                producer.push(b"x")
                if first == "cancelled":
                    assert receiving.cancel()
                    waiter._heard()
                else:
                    waiter._heard()
                    assert not receiving.cancel()

            asyncio.get_running_loop().call_soon(both)
            await asyncio.wait([receiving], timeout=PATIENCE)
            if first == "cancelled":
                assert receiving.cancelled()
                assert await consumer.pop_async(PATIENCE) == b"x"
            else:
                assert receiving.result() == b"x"
                assert consumer.try_pop() is None

    asyncio.run(main())


def test_what_a_woken_task_raises_is_its_own(name: str) -> None:
    async def main() -> List[Any]:
        problems: List[Any] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: problems.append(context))
        with QueueProducer(name) as producer, QueueConsumer(name, spin=0) as consumer:

            async def fail() -> None:
                await consumer.pop_async(PATIENCE)
                consumer.close()  # in the middle of being woken
                raise LookupError("mine")

            failing = asyncio.ensure_future(fail())
            await asyncio.sleep(0)
            await loop.run_in_executor(None, producer.push, b"x")
            with pytest.raises(LookupError, match="mine"):
                await asyncio.wait_for(failing, PATIENCE)
        return problems

    assert asyncio.run(main()) == []


def test_frames_are_found_by_a_spin_and_given_back(name: str) -> None:
    async def main() -> List[int]:
        with FrameWriter(name, 64, slots=2) as writer, FrameReader(name) as reader:
            got = []
            for i in range(50):
                loan = writer.loan(PATIENCE)
                loan.data[0] = i
                loan.publish()
                frame = await reader.next_async(PATIENCE)
                assert frame is not None
                with frame:
                    got.append(frame.data[0])
            return got

    assert asyncio.run(main()) == list(range(50))
