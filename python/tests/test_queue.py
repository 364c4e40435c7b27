from __future__ import annotations

import array
import asyncio
import builtins
import os
import pickle
import signal
import threading
import time
from typing import Any, List

import pytest

import millrace
from millrace import QueueConsumer, QueueProducer

PATIENCE = 40.0


def test_messages_of_every_length_come_whole_and_in_order(name: str) -> None:
    lengths = [0, 1, 2, 300, 16 * 1024, 16 * 1024 + 1, 64 * 1024, 64 * 1024 + 1, 200_000]
    with QueueProducer(name, capacity=1 << 20) as producer, QueueConsumer(name) as consumer:
        for length in lengths:
            producer.push(os.urandom(1) * length, PATIENCE)
        assert [len(consumer.pop(PATIENCE) or b"") for _ in lengths] == lengths
        assert consumer.try_pop() is None
        assert not consumer.ended


def test_whatever_has_bytes_is_a_message(name: str) -> None:
    words = array.array("I", range(5000))
    with QueueProducer(name, capacity=1 << 20) as producer, QueueConsumer(name) as consumer:
        for message in [b"b", bytearray(b"ba"), memoryview(b"mv")[1:], "tüx", words, words[:3]]:
            assert producer.try_push(message)
        backwards = memoryview(b"abcdef")[::-2]
        assert producer.try_push(backwards)
        assert consumer.pop_many() == [
            b"b",
            b"ba",
            b"v",
            "tüx".encode(),
            words.tobytes(),
            words[:3].tobytes(),
            b"fdb",
        ]
        for wrong in (5, None, object()):
            with pytest.raises(TypeError):
                producer.try_push(wrong)


def test_a_full_ring_holds_up_the_producer(name: str) -> None:
    with QueueProducer(name, capacity=4096) as producer, QueueConsumer(name) as consumer:
        sent = 0
        while producer.try_push(bytes(100)):
            sent += 1
        assert 0 < sent < 4096 // 100
        with pytest.raises(millrace.TimeoutError, match="room in queue"):
            producer.push(bytes(100), 0.01)
        with pytest.raises(millrace.TooLargeError) as caught:
            producer.push(bytes(producer.max_message + 1))
        assert caught.value.code == "ERR_MILLRACE_TOO_LARGE"
        assert len(consumer.pop_many()) == sent
        assert producer.room == producer.capacity


def test_many_go_with_one_call(name: str) -> None:
    messages = [b"%d" % i for i in range(5000)]
    with QueueProducer(name, capacity=1 << 20) as producer, QueueConsumer(name) as consumer:
        producer.push_many(messages)
        got: List[bytes] = []
        while len(got) < 5000:
            got += consumer.pop_many(timeout=PATIENCE)
        assert got == messages
        producer.push_many([bytes(100_000), b"after"])
        assert [len(m) for m in consumer.try_pop_many() + consumer.try_pop_many()] == [100_000, 5]


def test_the_end_is_told_after_the_last_message(name: str) -> None:
    producer, consumer = QueueProducer(name), QueueConsumer(name)
    producer.push(b"last")
    producer.close()
    assert list(consumer) == [b"last"]
    assert consumer.ended
    assert consumer.pop() is None
    with QueueProducer(name) as second:
        second.push(b"more")
        assert consumer.pop() == b"more"
        assert not consumer.ended
    consumer.close()


def test_a_side_that_gives_up_says_why(name: str) -> None:
    producer, consumer = QueueProducer(name), QueueConsumer(name)
    producer.abort("no disk")
    with pytest.raises(millrace.PeerFailedError, match="no disk"):
        consumer.pop(PATIENCE)
    assert consumer.peer.state == "failed"
    assert consumer.peer.reason == "no disk"
    consumer.close()


def test_end_waits_until_everything_is_read(name: str) -> None:
    producer, consumer = QueueProducer(name), QueueConsumer(name)
    producer.push(b"one")
    with pytest.raises(TimeoutError):
        producer.end(0.01)
    assert consumer.pop() == b"one"
    producer.end(PATIENCE)
    assert consumer.pop(PATIENCE) is None
    consumer.close()


def test_closed_handles_say_so(name: str) -> None:
    producer, consumer = QueueProducer(name), QueueConsumer(name)
    for handle in (producer, consumer):
        handle.close()
        handle.close()
    for call in (lambda: producer.push(b"x"), consumer.pop, consumer.fileno, lambda: producer.room):
        with pytest.raises(millrace.ClosedError):
            call()
    assert list(consumer) == []


def test_errors_are_what_python_calls_them_too(name: str) -> None:
    with QueueConsumer(name) as consumer:
        with pytest.raises(builtins.TimeoutError) as caught:
            consumer.pop(0.01)
        error = caught.value
        assert isinstance(error, millrace.MillraceError)
        assert "within 0.01 s" in str(error)
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), again.code, str(again)) == (type(error), error.code, str(error))
        with pytest.raises(millrace.RoleTakenError):
            QueueConsumer(name)
        for wrong in (-1, float("nan")):
            with pytest.raises(ValueError):
                consumer.pop(wrong)
    with pytest.raises(ValueError):
        QueueProducer("no/name")
    with pytest.raises(millrace.InvalidArgumentError):
        QueueProducer(name, capacity=-1)
    with pytest.raises(TypeError):
        QueueProducer(5)  # type: ignore[arg-type]


def test_a_place_can_be_a_file(tmp_path: Any) -> None:
    path = tmp_path / "queue"
    with QueueProducer(path) as producer, QueueConsumer(f"file:{path}") as consumer:
        producer.push(b"through a file")
        assert consumer.pop(PATIENCE) == b"through a file"


def test_close_ends_a_wait_in_another_thread(name: str) -> None:
    consumer = QueueConsumer(name)
    ended: List[BaseException] = []

    def wait() -> None:
        try:
            consumer.pop()
        except millrace.ClosedError as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    while not _is_busy(consumer):
        time.sleep(0.001)
    consumer.close()
    thread.join(PATIENCE)
    assert len(ended) == 1


def _is_busy(consumer: QueueConsumer) -> bool:
    try:
        consumer.try_pop()
        return False
    except millrace.BusyError:
        return True


def test_threads_that_share_a_handle_lose_and_mix_nothing(name: str) -> None:
    total = 20_000
    got: List[List[bytes]] = [[], [], []]
    with QueueProducer(name) as producer, QueueConsumer(name) as consumer:
        done = threading.Event()

        def take(mine: List[bytes]) -> None:
            while not done.is_set():
                try:
                    message = consumer.try_pop()
                except millrace.BusyError:
                    continue
                if message is not None:
                    mine.append(message)
                    if sum(map(len, got)) == total:
                        done.set()

        threads = [threading.Thread(target=take, args=(mine,)) for mine in got]
        for thread in threads:
            thread.start()
        for i in range(total):
            producer.push(b"%08d" % i * (i % 7 + 1), PATIENCE)
        for thread in threads:
            thread.join(PATIENCE)
        everything = sorted(message for mine in got for message in mine)
        assert everything == sorted(b"%08d" % i * (i % 7 + 1) for i in range(total))


def test_a_blocked_call_lets_other_threads_run_and_hears_a_signal(name: str, run: Any) -> None:
    child = run(
        "import sys, millrace\n"
        "consumer = millrace.QueueConsumer(sys.argv[1])\n"
        "try:\n    print('ready', flush=True)\n    consumer.pop()\n"
        "except KeyboardInterrupt:\n    consumer.close(); print('interrupted')\n",
        name,
    )
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)
    out, error = child.communicate(timeout=PATIENCE)
    assert out == "interrupted\n", error


def test_a_child_of_fork_cannot_use_the_handles_of_its_parent(name: str) -> None:
    with QueueProducer(name) as producer, QueueConsumer(name) as consumer:
        producer.push(b"for the parent")
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                consumer.pop(1)
            except millrace.ForkedError as error:
                consumer.close()
                code = 0 if error.code == "ERR_MILLRACE_FORKED" else 2
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert consumer.pop(PATIENCE) == b"for the parent"
        assert consumer.peer.state == "attached"


def test_a_child_of_spawn_opens_its_own(name: str, run: Any) -> None:
    with QueueConsumer(name) as consumer:
        child = run(
            "import sys, millrace\n"
            "with millrace.QueueProducer(sys.argv[1]) as producer:\n"
            "    producer.push(b'from the child')\n",
            name,
        )
        assert consumer.pop(PATIENCE) == b"from the child"
        assert child.wait(PATIENCE) == 0


def test_a_killed_producer_is_noticed(name: str, run: Any) -> None:
    with QueueConsumer(name) as consumer:
        child = run(
            "import sys, time, millrace\n"
            "producer = millrace.QueueProducer(sys.argv[1])\n"
            "producer.push(b'one')\ntime.sleep(1000)\n",
            name,
        )
        assert consumer.pop(PATIENCE) == b"one"
        child.kill()
        with pytest.raises(millrace.PeerGoneError):
            consumer.pop(PATIENCE)


# --- in the event loop ---


def test_async_messages_come_in_order(name: str) -> None:
    async def main() -> List[bytes]:
        async with QueueProducer(name, capacity=4096) as producer, QueueConsumer(name) as consumer:

            async def send() -> None:
                for i in range(2000):
                    await producer.push_async(b"%d" % i, PATIENCE)
                await producer.end_async(PATIENCE)

            sending = asyncio.ensure_future(send())
            got = [message async for message in consumer]
            await sending
            return got

    assert asyncio.run(main()) == [b"%d" % i for i in range(2000)]


def test_async_tasks_are_served_in_the_order_in_which_they_came(name: str) -> None:
    async def main() -> List[Any]:
        with QueueProducer(name) as producer, QueueConsumer(name) as consumer:
            tasks = [asyncio.ensure_future(consumer.pop_async(PATIENCE)) for _ in range(5)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            tasks[1].cancel()
            for i in range(4):
                producer.push(b"%d" % i)
            return await asyncio.gather(*tasks, return_exceptions=True)

    got = asyncio.run(main())
    assert isinstance(got.pop(1), asyncio.CancelledError)
    assert got == [b"0", b"1", b"2", b"3"]


def test_async_time_outs_take_nothing(name: str) -> None:
    async def main() -> None:
        with QueueProducer(name) as producer, QueueConsumer(name) as consumer:
            with pytest.raises(millrace.TimeoutError):
                await consumer.pop_async(0.01)
            late = asyncio.ensure_future(consumer.pop_async(0.01))
            patient = asyncio.ensure_future(consumer.pop_async(PATIENCE))
            with pytest.raises(TimeoutError):
                await late
            producer.push(b"one")
            assert await patient == b"one"

    asyncio.run(main())


def test_async_close_ends_what_waits(name: str) -> None:
    async def main() -> None:
        consumer = QueueConsumer(name)
        waits = [asyncio.ensure_future(consumer.pop_async()) for _ in range(3)]
        await asyncio.sleep(0.01)
        consumer.close()
        for wait in waits:
            with pytest.raises(millrace.ClosedError):
                await asyncio.wait_for(wait, PATIENCE)
        other = QueueConsumer(name)
        waiting = asyncio.ensure_future(other.pop_async())
        await asyncio.sleep(0.01)
        await asyncio.get_running_loop().run_in_executor(None, other.close)
        with pytest.raises(millrace.ClosedError):
            await asyncio.wait_for(waiting, PATIENCE)

    asyncio.run(main())


def test_async_an_idle_loop_sleeps_and_a_second_loop_can_use_the_handle(name: str) -> None:
    with QueueProducer(name) as producer, QueueConsumer(name) as consumer:

        async def main() -> None:
            waiting = asyncio.ensure_future(consumer.pop_async(PATIENCE))
            await asyncio.sleep(0.01)
            producer.push(b"one")
            assert await waiting == b"one"
            producer.push(b"rung, and nobody waits")
            before = time.process_time()
            await asyncio.sleep(0.2)
            assert time.process_time() - before < 0.1
            assert await consumer.pop_async(PATIENCE) == b"rung, and nobody waits"

        asyncio.run(main())
        asyncio.run(main())


def test_a_loop_of_ones_own_polls_the_descriptor(name: str) -> None:
    import select

    with QueueProducer(name) as producer, QueueConsumer(name) as consumer:
        poll = select.poll()
        poll.register(consumer.fileno(), select.POLLIN)
        assert not consumer.arm()
        assert poll.poll(0) == []
        producer.push(b"one")
        assert poll.poll(PATIENCE * 1000) != []
        assert consumer.try_pop() == b"one"
        consumer.disarm()
        assert poll.poll(0) == []


@pytest.mark.parametrize("leave", ["abort", "close"])
def test_many_are_received_although_the_producer_leaves_behind_the_first(
    name: str, leave: str
) -> None:
    async def main() -> None:
        consumer = QueueConsumer(name)
        for waits_async in (True, False):
            producer = QueueProducer(name)
            if waits_async:
                pending = asyncio.ensure_future(consumer.pop_many_async(timeout=PATIENCE))
            else:
                loop = asyncio.get_running_loop()
                pending = asyncio.ensure_future(
                    loop.run_in_executor(None, lambda: consumer.pop_many(timeout=PATIENCE))
                )
            await asyncio.sleep(0.01)
            producer.push(b"first")
            getattr(producer, leave)()
            assert await pending == [b"first"]
            if leave == "abort":
                with pytest.raises(millrace.PeerFailedError):
                    consumer.pop_many(timeout=PATIENCE)
            else:
                assert consumer.pop_many(timeout=PATIENCE) == []
        consumer.close()

    asyncio.run(main())


def test_async_close_after_the_loop_has_gone_with_tasks_that_wait(name: str) -> None:
    consumer = QueueConsumer(name)
    loop = asyncio.new_event_loop()
    waits = [loop.create_task(consumer.pop_async()) for _ in range(2)]
    for wait in waits:
        wait._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    consumer.close()
    del waits, wait


def test_async_a_handle_can_have_the_descriptor_of_one_that_a_thread_has_closed(name: str) -> None:
    async def main() -> None:
        first, other = QueueConsumer(name), name + ".second"
        with QueueConsumer(other) as second, QueueProducer(other) as producer:
            waiting = asyncio.ensure_future(first.pop_async())
            await asyncio.sleep(0.01)
            number = first.fileno()
            closing = threading.Thread(target=first.close)
            closing.start()
            closing.join(PATIENCE)  # the loop has not looked yet
            lower = []
            while not lower or lower[-1] < number:
                lower.append(os.dup(1))
            os.close(lower.pop())
            assert second.fileno() == number
            for taken in lower:
                os.close(taken)
            asyncio.get_running_loop().call_later(0.05, producer.push, b"one")
            assert await asyncio.wait_for(second.pop_async(), PATIENCE) == b"one"
        with pytest.raises(millrace.ClosedError):
            await waiting

    asyncio.run(main())
