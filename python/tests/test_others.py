"""Cells, locks, events, semaphores, counters and memory."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any, List

import pytest

import millrace

PATIENCE = 40.0


# --- cells ---


def test_a_cell_has_the_newest_value(name: str) -> None:
    with millrace.CellWriter(name, 100) as writer, millrace.CellReader(name) as reader:
        assert reader.read() is None
        with pytest.raises(millrace.TimeoutError):
            reader.read_next(0, 0.01)
        writer.write(b"one")
        writer.write("twö")
        value = reader.read_next(0, PATIENCE)
        assert value is not None
        assert (value.data, value.version) == ("twö".encode(), 2)
        assert 0 < value.timestamp <= millrace.now()
        assert reader.read() == value
        assert (reader.version, writer.version, reader.max_bytes) == (2, 2, 100)
        with pytest.raises(millrace.TooLargeError):
            writer.write(bytes(101))
        writer.close()
        assert [value.version for value in reader][-1:] in ([2], [])
    with pytest.raises(millrace.NotFoundError):
        millrace.CellReader(name)


def test_async_cells(name: str) -> None:
    async def main() -> List[bytes]:
        with millrace.CellWriter(name, 100) as writer, millrace.CellReader(name) as reader:

            async def look() -> List[bytes]:
                return [value.data async for value in reader]

            both = [asyncio.ensure_future(look()) for _ in range(2)]
            await asyncio.sleep(0.01)
            writer.write(b"one")
            await reader.read_next_async(0, PATIENCE)
            with pytest.raises(millrace.TimeoutError):
                await reader.read_next_async(1, 0.01)
            await asyncio.sleep(0.05)
            writer.close()
            first, second = await asyncio.wait_for(asyncio.gather(*both), PATIENCE)
            assert first == second
            return first

    assert asyncio.run(main()) == [b"one"]


# --- locks ---


def test_a_mutex_is_ours_alone(name: str) -> None:
    with millrace.Mutex(name) as one, millrace.Mutex(name) as two:
        with one.lock(PATIENCE) as hold:
            assert not hold.abandoned
            assert two.try_lock() is None
            with pytest.raises(millrace.BusyError):
                one.lock(0.01)
            with pytest.raises(millrace.TimeoutError):
                two.lock(0.01)
            assert two.holder > 0
        with pytest.raises(millrace.ReleasedError):
            hold.release()
        held = two.try_lock()
        assert held is not None
        held.release(abandoned=True)
        assert one.lock(PATIENCE).abandoned


def test_threads_add_up_under_a_mutex(name: str) -> None:
    total = [0]

    def add() -> None:
        with millrace.Mutex(name) as mutex:
            for _ in range(300):
                with mutex.lock(PATIENCE):
                    seen = total[0]
                    threading.Event().wait(0)
                    total[0] = seen + 1

    threads = [threading.Thread(target=add) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert total == [900]


def test_a_mutex_survives_its_holder(name: str, run: Any) -> None:
    child = run(
        "import sys, time, millrace\n"
        "hold = millrace.Mutex(sys.argv[1]).lock()\nprint('held', flush=True)\ntime.sleep(1000)\n",
        name,
    )
    assert child.stdout.readline() == "held\n"
    with millrace.Mutex(name) as mutex:
        assert mutex.try_lock() is None
        child.kill()
        with mutex.lock(PATIENCE) as hold:
            assert hold.abandoned


def test_async_tasks_share_a_mutex_and_its_handle(name: str) -> None:
    async def main() -> None:
        inside = [0]
        with millrace.Mutex(name) as one, millrace.Mutex(name) as two:

            async def work(mutex: millrace.Mutex) -> None:
                for _ in range(30):
                    with await mutex.lock_async(PATIENCE):
                        inside[0] += 1
                        assert inside[0] == 1
                        await asyncio.sleep(0)
                        inside[0] -= 1

            await asyncio.wait_for(
                asyncio.gather(work(one), work(one), work(two), work(two)), PATIENCE
            )
            with one.lock():
                with pytest.raises(millrace.TimeoutError):
                    await two.lock_async(0.02)
                waiting = asyncio.ensure_future(two.lock_async())
                await asyncio.sleep(0.01)
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
            with one.lock(PATIENCE):
                pass

    asyncio.run(main())


def test_many_read_or_one_writes(name: str) -> None:
    with millrace.RwLock(name) as one, millrace.RwLock(name) as two:
        with one.read(), two.read(PATIENCE):
            assert one.readers == 2
            assert one.writer == 0
        with one.write(PATIENCE):
            assert two.try_read() is None
            assert two.try_write() is None
            with pytest.raises(millrace.TimeoutError):
                two.read(0.01)

        async def main() -> None:
            with await one.write_async(PATIENCE):
                reading = asyncio.ensure_future(two.read_async(PATIENCE))
                await asyncio.sleep(0.01)
                assert not reading.done()
            with await reading:
                assert one.try_write() is None

        asyncio.run(main())


# --- the small ones ---


def test_events(name: str) -> None:
    with millrace.Event(name) as event, millrace.Event(name) as other:
        with pytest.raises(millrace.TimeoutError):
            event.wait(0.01)
        other.set()
        assert event.is_set()
        event.wait(PATIENCE)
        assert not event.try_wait()

        async def main() -> None:
            with pytest.raises(millrace.TimeoutError):
                await event.wait_async(0.01)
            waits = [asyncio.ensure_future(event.wait_async(PATIENCE)) for _ in range(2)]
            await asyncio.sleep(0.01)
            other.set()
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            other.set()
            await asyncio.gather(*waits)

        asyncio.run(main())
    with millrace.Event(name, manual=True) as manual:
        manual.set()
        manual.wait()
        assert manual.try_wait()
        manual.reset()
        assert not manual.is_set()


def test_semaphores(name: str) -> None:
    try:
        with millrace.Semaphore(name, initial=2, create_only=True) as semaphore:
            semaphore.wait(PATIENCE)
            assert semaphore.try_wait()
            assert not semaphore.try_wait()
            with pytest.raises(millrace.TimeoutError):
                semaphore.wait(0.01)
            with pytest.raises(millrace.ExistsError):
                millrace.Semaphore(name, create_only=True)

            async def main() -> None:
                with pytest.raises(millrace.TimeoutError):
                    await semaphore.wait_async(0.01)
                waiting = asyncio.ensure_future(semaphore.wait_async(PATIENCE))
                await asyncio.sleep(0.01)
                semaphore.post(2)
                await waiting
                assert semaphore.try_wait()

            asyncio.run(main())
            assert semaphore.value == 0
    finally:
        assert millrace.unlink("semaphore", name)


def test_counters(name: str) -> None:
    with millrace.Counter(name, initial=5) as counter, millrace.Counter(name) as other:
        assert other.add(-7) == -2
        counter.value = 10
        assert other.exchange(1 << 62) == 10
        assert not other.compare_exchange(5, 6)
        assert other.compare_exchange(1 << 62, -1)
        assert counter.value == -1
        with pytest.raises(ValueError):
            counter.add(1 << 63)


def test_memory(name: str) -> None:
    np = pytest.importorskip("numpy")
    owner = millrace.SharedMemory(name, 4096)
    reader = millrace.SharedMemory(name, read_only=True)
    owner.array("<u2")[:] = 7
    seen = reader.array("<u2", (4, 512))
    assert (seen == 7).all()
    assert not seen.flags.writeable
    assert (len(owner), len(reader)) == (4096, 4096)
    with pytest.raises(millrace.ExistsError):
        millrace.SharedMemory(name, 4096)
    view = owner.data
    view[:2] = b"ab"
    assert bytes(reader.data[:2]) == b"ab"
    reader.close()
    owner.close()
    with pytest.raises(ValueError):
        view[0]
    with pytest.raises(millrace.ClosedError):
        owner.data
    del reader, owner
    gc.collect()
    assert int(np.asarray(seen).astype("u8").sum()) > 0


def test_async_a_lock_that_is_closed_while_it_is_handed_over_ends_the_wait(
    name: str, monkeypatch: Any
) -> None:
    polls = []

    def poll(address: int) -> int:
        polls.append(address)
        assert len(polls) < 1000, "a wait without end"
        return -101 if len(polls) < 10 else -19  # would block, then closed

    async def main() -> None:
        with millrace.Mutex(name) as one, millrace.Mutex(name) as two:
            with one.lock():
                monkeypatch.setattr(millrace.Mutex, "_withdraw", lambda address: -20)  # too late
                monkeypatch.setattr(millrace.Mutex, "_poll", poll)
                waiting = asyncio.ensure_future(two.lock_async())
                await asyncio.sleep(0.01)
                polls.clear()
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                monkeypatch.undo()

    asyncio.run(main())
    assert len(polls) == 10


def test_a_hold_is_kept_when_another_thread_is_in_the_handle(name: str) -> None:
    with millrace.Mutex(name) as mutex, millrace.Mutex(name) as other:
        hold = mutex.lock()
        unlock, hold._unlock = hold._unlock, lambda address, abandoned: -20  # busy
        with pytest.raises(millrace.BusyError):
            hold.release()
        hold._unlock = unlock
        assert other.try_lock() is None
        hold.release()
        with other.lock(PATIENCE):
            pass
