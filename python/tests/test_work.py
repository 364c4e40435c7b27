from __future__ import annotations

import asyncio
from typing import Any, List

import pytest

import millrace

PATIENCE = 40.0


def test_a_job_is_done_once(name: str) -> None:
    with millrace.WorkQueue(name, dedup_ids=100, dedup_window=60) as work:
        assert work.push(b"one", id="a", priority=0, traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
        assert not work.push(b"again", id="a")
        job = work.take(PATIENCE)
        assert (job.data, job.id, job.group, job.attempt) == (b"one", "a", None, 1)
        assert job.traceparent == f"00-{'a' * 32}-{'b' * 16}-01"
        assert job.held
        assert work.try_take() is None
        job.complete()
        with pytest.raises(millrace.ReleasedError):
            job.complete()
        with pytest.raises(millrace.TimeoutError):
            work.take(0.01)
        counts = work.counts
        assert (counts.pushed, counts.completed, counts.duplicates, counts.ready) == (1, 1, 1, 0)
    assert millrace.unlink("work", name)  # it stays for the ids that it remembers


def test_what_fails_is_tried_again_and_becomes_a_dead_letter(name: str) -> None:
    with millrace.WorkQueue(name, max_attempts=2) as work:
        work.push("job")
        for _ in range(2):
            with pytest.raises(KeyError):
                with work.take(PATIENCE):
                    raise KeyError("no such thing")
        assert work.try_take() is None
        (letter,) = work.dead_letters()
        assert (letter.data, letter.reason, letter.attempts) == (b"job", "attempts", 2)
        assert "no such thing" in letter.error
        assert letter.redrive()
        assert not letter.redrive()
        with work.take(PATIENCE) as job:
            job.reject("never")
        (letter,) = work.dead_letters(10)
        assert (letter.reason, letter.error) == ("rejected", "never")
        assert letter.purge()
        assert work.dead_letters() == []


def test_groups_delays_and_leases(name: str) -> None:
    with millrace.WorkQueue(name, lease_timeout=100) as work:
        work.push(b"1", group="g")
        work.push(b"2", group="g")
        work.push(b"late", delay=0.05)
        first = work.take(PATIENCE)
        assert work.try_take() is None or work.counts.grouped == 1
        first.extend(200)
        first.release()
        got = []
        for _ in range(3):
            with work.take(PATIENCE) as job:
                got.append(job.data)
        assert sorted(got) == [b"1", b"2", b"late"]
        assert got.index(b"1") < got.index(b"2")


def test_a_full_queue_holds_up_who_pushes(name: str) -> None:
    async def main() -> None:
        with millrace.WorkQueue(name, jobs=4) as work, millrace.WorkQueue(name) as other:
            while work.try_push(b"x") is not None:
                pass
            with pytest.raises(millrace.TimeoutError):
                work.push(b"y", timeout=0.01)
            with pytest.raises(millrace.TimeoutError):
                await work.push_async(b"y", timeout=0.01)
            pushing = asyncio.ensure_future(work.push_async(b"y", timeout=PATIENCE))
            await asyncio.sleep(0.01)
            assert not pushing.done()
            other.take(PATIENCE).complete()
            assert await pushing
            while (job := other.try_take()) is not None:
                job.complete()

    asyncio.run(main())


def test_async_workers(name: str) -> None:
    async def main() -> List[int]:
        with millrace.WorkQueue(name) as work:
            done: List[int] = []

            async def worker() -> None:
                async for job in work:
                    with job:
                        done.append(int(job.data))
                        await asyncio.sleep(0)

            workers = [asyncio.ensure_future(worker()) for _ in range(3)]
            for i in range(200):
                await work.push_async(b"%d" % i, timeout=PATIENCE)
            while work.counts.completed < 200:
                await asyncio.sleep(0.001)
            work.close()
            await asyncio.wait_for(asyncio.gather(*workers), PATIENCE)
            return done

    assert sorted(asyncio.run(main())) == list(range(200))


def test_the_job_of_a_killed_worker_is_somebody_elses(name: str, run: Any) -> None:
    with millrace.WorkQueue(name) as work:
        work.push(b"job")
        child = run(
            "import sys, time, millrace\n"
            "job = millrace.WorkQueue(sys.argv[1]).take()\nprint('took', flush=True)\ntime.sleep(1000)\n",
            name,
        )
        assert child.stdout.readline() == "took\n"
        assert work.try_take() is None
        child.kill()
        with work.take(PATIENCE) as job:
            assert (job.data, job.attempt) == (b"job", 2)


def test_topics(name: str) -> None:
    with millrace.Topics(name) as topics, millrace.Topics(name) as other:
        with other.subscribe("a.*", "b.>") as subscription:
            assert subscription.try_read() is None
            trace = f"00-{'a' * 32}-{'b' * 16}-01"
            assert topics.publish("a.x", b"1", {"kind": "tick", "traceparent": trace}) == 1
            assert topics.publish("c.x", b"nobody") == 0
            assert topics.publish("b.y.z", bytes(100_000)) == 1
            one = subscription.read(PATIENCE)
            assert (one.subject, one.data) == ("a.x", b"1")
            assert one.headers == {"kind": "tick", "traceparent": trace}
            assert one.published_at > 0
            large = subscription.read(PATIENCE)
            assert (large.subject, len(large.data)) == ("b.y.z", 100_000)
            with pytest.raises(millrace.TimeoutError):
                subscription.read(0.01)
            assert subscription.missed == 0
        with pytest.raises(millrace.ClosedError):
            subscription.read(0.01)
        with topics.subscribe(">", replay=2) as again:
            assert [again.read(PATIENCE).subject for _ in range(2)] != []
        with pytest.raises(ValueError):
            topics.publish("no subject\0", b"")
        assert topics.counts.published == 3


def test_async_topics(name: str) -> None:
    async def main() -> None:
        with millrace.Topics(name) as topics:
            one, two = topics.subscribe("one.>"), topics.subscribe("two.>")

            async def take(subscription: millrace.Subscription, count: int) -> List[bytes]:
                got: List[bytes] = []
                async for message in subscription:
                    got.append(message.data)
                    if len(got) == count:
                        break
                return got

            taking = [asyncio.ensure_future(take(one, 50)), asyncio.ensure_future(take(two, 50))]
            await asyncio.sleep(0.01)
            for i in range(100):
                await topics.publish_async(
                    "two.x" if i % 2 else "one.x", b"%d" % i, timeout=PATIENCE
                )
                if i % 10 == 0:
                    await asyncio.sleep(0.001)
            odd = await asyncio.wait_for(asyncio.gather(*taking), PATIENCE)
            assert odd == [
                [b"%d" % i for i in range(0, 100, 2)],
                [b"%d" % i for i in range(1, 100, 2)],
            ]
            with pytest.raises(millrace.TimeoutError):
                await one.read_async(0.01)

    asyncio.run(main())


def test_a_slow_subscription_is_told_what_it_missed(name: str) -> None:
    with millrace.Topics(name, messages=64) as topics:
        slow = topics.subscribe(">", policy="overwrite", depth=4)
        for i in range(20):
            topics.publish("x", b"%d" % i, timeout=PATIENCE)
        first = slow.read(PATIENCE)
        assert first.missed == int(first.data) > 0
        assert slow.missed == first.missed


def test_the_exception_of_a_block_goes_on_whatever_became_of_its_job(name: str) -> None:
    with millrace.WorkQueue(name, max_attempts=1) as work:
        work.push(b"bad text")
        with pytest.raises(KeyError):
            with work.take(PATIENCE):
                raise KeyError("\ud800")  # no text of UTF-8
        (letter,) = work.dead_letters()
        assert "ud800" in letter.error
        assert letter.purge()
    with millrace.WorkQueue(name, lease_timeout=0.05) as work, millrace.WorkQueue(name) as other:
        work.push(b"late")
        with pytest.raises(KeyError):
            with work.take(PATIENCE):
                with other.take(PATIENCE):  # the lease is over
                    pass
                raise KeyError("late")
        work.push(b"closed")
        with pytest.raises(KeyError):
            with work.take(PATIENCE):
                work.close()
                raise KeyError("closed")
        with other.take(PATIENCE) as job:
            assert job.data == b"closed"
