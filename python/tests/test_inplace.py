"""Messages and values that are written and read where they lie: nothing that is used too late crashes."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from typing import Any, Callable, List

import pytest

import millrace
from millrace import CellReader, CellWriter, QueueConsumer, QueueProducer

np = pytest.importorskip("numpy")
PATIENCE = 30.0


def test_a_message_is_written_and_read_in_place(name: str) -> None:
    with QueueProducer(name) as producer, QueueConsumer(name) as consumer:
        with producer.reserve(800, PATIENCE) as room:
            assert len(room) == 800
            room.array("<f8")[:] = np.arange(100)
            room.commit()
        with producer.try_reserve(100) as room:
            room.data[:5] = b"short"
            room.commit(5)
        with consumer.peek(PATIENCE) as message:
            seen = message.array("<f8", (10, 10))
            assert (seen == np.arange(100).reshape(10, 10)).all()
            assert not seen.flags.writeable and not seen.flags.owndata
            assert len(message) == 800 and message.data.readonly
            with pytest.raises(TypeError):
                message.data[0] = 1
            del seen
        with consumer.try_peek() as message:
            assert bytes(message) == b"short" and not message.released
        assert message.released
        assert consumer.try_peek() is None and not consumer.ended
        producer.close()
        assert consumer.peek(PATIENCE) is None and consumer.ended


def test_nothing_is_sent_before_the_commit(name: str) -> None:
    with QueueProducer(name) as producer, QueueConsumer(name) as consumer:
        with producer.reserve(10) as room:
            view = room.data
            view[:] = b"0123456789"
        with pytest.raises(ValueError):
            view[0]
        with pytest.raises(millrace.ReleasedError):
            room.commit()
        assert consumer.try_pop() is None
        room = producer.reserve(10)
        with pytest.raises(millrace.InvalidArgumentError):
            room.commit(11)
        room.data[:] = b"0123456789"
        room.commit(3)
        for use in (lambda: room.data, room.array, room.commit):
            with pytest.raises(millrace.ReleasedError):
                use()
        room.discard()
        assert consumer.pop(PATIENCE) == b"012"


def test_what_comes_next_takes_the_place(name: str) -> None:
    pushes: List[Callable[[QueueProducer], Any]] = [
        lambda producer: producer.push(b"pushed"),
        lambda producer: producer.try_push(b"pushed"),
        lambda producer: producer.try_push(bytearray(b"pushed")),
        lambda producer: producer.push_many([b"pushed"]),
        lambda producer: asyncio.run(producer.push_async(b"pushed")),
        lambda producer: producer.reserve(6).commit(0),
    ]
    with QueueProducer(name) as producer, QueueConsumer(name) as consumer:
        for push in pushes:
            room = producer.reserve(6)
            array = room.array()
            push(producer)
            with pytest.raises(millrace.ReleasedError):
                room.commit()
            with pytest.raises(ValueError):
                array[0] = 1
            assert consumer.pop(PATIENCE) in (b"pushed", b"")
        pops: List[Callable[[], Any]] = [
            consumer.pop,
            consumer.try_pop,
            consumer.pop_many,
            consumer.peek,
            lambda: asyncio.run(consumer.pop_async()),
        ]
        for pop in pops:
            producer.push(b"message")
            message = consumer.peek()
            view = message.data
            pop()
            with pytest.raises(millrace.ReleasedError):
                message.release()
            with pytest.raises(ValueError):
                view[0]
        assert consumer.try_pop_many() == [b"message"]  # the one that was peeked only


def test_a_message_stays_unless_it_is_released(name: str) -> None:
    with QueueProducer(name) as producer, QueueConsumer(name) as consumer:
        producer.push(b"one")
        with pytest.raises(RuntimeError):
            with consumer.peek():
                raise RuntimeError
        message = consumer.peek()
        del message
        gc.collect()
        with consumer.peek() as message:
            assert bytes(message) == b"one"
            message.release()
        with pytest.raises(millrace.ReleasedError):
            message.release()
        assert consumer.try_peek() is None


def test_what_is_kept_after_the_close_does_not_crash(name: str) -> None:
    for close in ("release", "close", "drop"):
        producer, consumer = QueueProducer(name, capacity=1 << 16), QueueConsumer(name)
        producer.push(b"x" * 20_000)
        message = consumer.peek(PATIENCE)
        room = producer.reserve(20_000)
        seen, mine = message.array()[1:], room.array()[1:]
        if close == "release":
            message.release()
            room.commit()
        if close != "drop":
            producer.close(discard=True)
            consumer.close(discard=True)
        del producer, consumer, message, room
        gc.collect()
        assert len(seen.tobytes()) == 19_999
        mine[:] = 7
        assert int(mine.sum()) == 7 * 19_999
        del seen, mine
        gc.collect()
        millrace.unlink("queue", name)


def test_a_message_at_the_end_of_the_ring_is_whole(name: str) -> None:
    with QueueProducer(name, capacity=4096) as producer, QueueConsumer(name) as consumer:
        for i in range(200):
            length = 1 + (i * 397) % 4000
            with producer.reserve(length, PATIENCE) as room:
                room.array()[:] = i % 251
                room.commit()
            with consumer.peek(PATIENCE) as message:
                assert len(message) == length and bytes(message) == bytes([i % 251]) * length
        with pytest.raises(millrace.TooLargeError):
            producer.reserve(4096)
        assert producer.try_reserve(4000) is not None
        producer.push(b"y" * 3000)
        assert producer.try_reserve(4000) is None
        with pytest.raises(millrace.TimeoutError):
            producer.reserve(4000, 0.01)
        consumer.pop()


def test_in_the_event_loop(name: str) -> None:
    async def main() -> List[bytes]:
        got = []
        with QueueProducer(name, capacity=4096) as producer, QueueConsumer(name) as consumer:
            with pytest.raises(millrace.TimeoutError):
                await consumer.peek_async(0.01)

            async def send() -> None:
                for i in range(300):
                    with await producer.reserve_async(1000, PATIENCE) as room:
                        room.data[:4] = i.to_bytes(4, "little")
                        room.commit(4 + i)
                await producer.end_async(PATIENCE)

            sending = asyncio.ensure_future(send())
            while True:
                message = await consumer.peek_async(PATIENCE)
                if message is None:
                    break
                with message:
                    got.append(bytes(message.data[:4]))
            await sending
        return got

    assert asyncio.run(main()) == [i.to_bytes(4, "little") for i in range(300)]


def test_a_close_in_another_thread_makes_it_void(name: str) -> None:
    with QueueProducer(name) as producer, QueueConsumer(name) as consumer:
        room = producer.reserve(10)
        view = room.data
        closing = threading.Thread(target=producer.close)
        closing.start()
        closing.join()
        with pytest.raises(ValueError):
            view[0] = 1
        with pytest.raises(millrace.ReleasedError):
            room.commit()
        with pytest.raises(millrace.ClosedError):
            producer.reserve(1)
        waiting = threading.Timer(0.05, consumer.close)
        waiting.start()
        with pytest.raises(millrace.ClosedError):
            while consumer.peek() is None:
                time.sleep(0.001)
        waiting.join()


def test_in_a_child_the_parents_are_forked(name: str) -> None:
    with QueueProducer(name) as producer, QueueConsumer(name) as consumer:
        producer.push(b"one")
        message = consumer.peek()
        room = producer.reserve(3)
        pid = os.fork()
        if pid == 0:
            try:
                for use in (room.commit, message.release):
                    try:
                        use()
                        os._exit(1)
                    except millrace.ForkedError:
                        pass
                os._exit(0)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert bytes(message) == b"one"
        message.release()
        room.commit(0)
        assert consumer.pop() == b""


def test_a_value_is_written_in_place(name: str) -> None:
    with CellWriter(name, 64) as writer, CellReader(name) as reader:
        with writer.begin() as value:
            assert len(value) == 64
            value.array("<u4")[:] = range(16)
            value.publish()
        assert np.frombuffer(reader.read().data, "<u4").tolist() == list(range(16))
        with writer.begin(copy=True) as value:
            value.array("<u4")[3] = 99
            value.publish(16)
        assert np.frombuffer(reader.read().data, "<u4").tolist() == [0, 1, 2, 99]
        with writer.begin() as value:
            view, array = value.data, value.array()[2:]
            view[:] = bytes(64)
        with pytest.raises(ValueError):
            view[0]
        assert reader.version == 2
        with pytest.raises(millrace.ReleasedError):
            value.publish()
        with pytest.raises(millrace.InvalidArgumentError):
            writer.begin().publish(65)
        begun = writer.begin()
        writer.write(b"copied")
        for use in (begun.publish, lambda: begun.data):
            with pytest.raises(millrace.ReleasedError):
                use()
        first, second = writer.begin(), writer.begin()
        with pytest.raises(millrace.ReleasedError):
            first.publish()
        last = second.array()
        second.publish(2)
        assert reader.version == 4
    with pytest.raises(ValueError):
        last[0] = 1
    with pytest.raises(millrace.ClosedError):
        writer.begin()
    del writer, reader, first, second, value, begun
    gc.collect()
    assert len(array.tobytes()) == 62 and len(last.tobytes()) == 64
