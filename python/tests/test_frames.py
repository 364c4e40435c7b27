from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from typing import Any, List

import pytest

import millrace
from millrace import FrameReader, FrameWriter

np = pytest.importorskip("numpy")
PATIENCE = 40.0


def test_a_frame_is_seen_where_it_was_written(name: str) -> None:
    with FrameWriter(name, 1 << 20) as writer, FrameReader(name) as reader:
        with writer.loan() as loan:
            image = loan.array("uint16", (512, 1024))
            image[:] = np.arange(1024, dtype="uint16")
            loan.header[:4] = b"gray"
            assert loan.publish() == 1
        with reader.next(PATIENCE) as frame:
            seen = frame.array("uint16", (512, 1024))
            assert (seen == np.arange(1024)).all()
            assert not seen.flags.writeable
            assert not seen.flags.owndata
            assert (frame.sequence, len(frame), frame.missed) == (1, 1 << 20, 0)
            assert bytes(frame.header[:4]) == b"gray"
            assert frame.data.readonly
            assert millrace.now() >= frame.timestamp
        assert reader.counts.received == 1
        assert reader.counts.held == 0


def test_arrays_are_cut_as_asked(name: str) -> None:
    with FrameWriter(name, 1024) as writer, FrameReader(name) as reader:
        writer.send(np.arange(10, dtype="<i4"), b"head")
        frame = reader.next(PATIENCE)
        assert frame.array("<i4").tolist() == list(range(10))
        assert frame.array("<i4", 2, offset=4).tolist() == [1, 2]
        assert frame.array("<i4", (2, 5))[1, 0] == 5
        assert bytes(frame) == np.arange(10, dtype="<i4").tobytes()
        assert bytes(frame.header) == b"head".ljust(64, b"\0")
        if sys.version_info >= (3, 12):
            assert memoryview(frame).nbytes == 40
        for shape in (11, (3, 5), -1):
            with pytest.raises((ValueError, TypeError)):
                frame.array("<i4", shape)
        with pytest.raises((ValueError, TypeError)):
            frame.array(object)
        with pytest.raises(ValueError):
            frame.array("<i4")[0] = 1
        del frame


def test_a_released_frame_raises(name: str) -> None:
    with FrameWriter(name, 64) as writer, FrameReader(name) as reader:
        writer.send(b"one")
        frame = reader.next(PATIENCE)
        view = frame.data
        frame.release()
        assert frame.released
        for use in (lambda: frame.data, frame.array, lambda: bytes(frame), frame.release):
            with pytest.raises(millrace.ReleasedError) as caught:
                use()
            assert caught.value.code == "ERR_MILLRACE_RELEASED"
        with pytest.raises(ValueError):
            view[0]


def test_a_published_loan_cannot_be_written(name: str) -> None:
    with FrameWriter(name, 64) as writer:
        loan = writer.loan()
        view, array = loan.data, loan.array()
        array[:] = 5
        loan.publish(10)
        for use in (lambda: loan.data, loan.publish, lambda: loan.header):
            with pytest.raises(millrace.ReleasedError):
                use()
        with pytest.raises(ValueError):
            array[0] = 1
        del array
        loan.discard()
        with pytest.raises(millrace.InvalidArgumentError):
            writer.loan().publish(65)
        assert view is not None


def test_what_lives_on_after_everything_was_closed_does_not_crash(name: str) -> None:
    writer, reader = FrameWriter(name, 4 << 20), FrameReader(name)
    with writer.loan() as loan:
        mine = loan.array("uint8", (4, 1 << 20))[1:3]
        mine[:] = 3
        loan.publish()
    frame = reader.next(PATIENCE)
    seen = frame.array("uint8", (4, 1 << 20))[1:]
    part = frame.data[5:100]
    reader.close()
    writer.close()
    for use in (lambda: frame.data, loan.publish):
        try:
            use()
        except millrace.MillraceError:
            pass
    del frame, loan, reader, writer
    gc.collect()
    assert seen.sum() == 3 * 2 * (1 << 20)  # touches every page
    assert bytes(part) == bytes(95)
    assert mine.sum() > 0


def test_an_array_keeps_its_frame(name: str) -> None:
    with FrameWriter(name, 64, slots=4) as writer, FrameReader(name) as reader:
        writer.send(b"a")
        kept = reader.next(PATIENCE).array()[:1]
        gc.collect()
        assert reader.counts.held == 1
        for _ in range(10):
            writer.send(b"b", timeout=PATIENCE)
            with reader.next(PATIENCE):
                pass
        assert kept.tobytes() == b"a"
        del kept
        assert reader.counts.held == 0


def test_a_loop_releases_each_frame(name: str) -> None:
    with FrameWriter(name, 64, slots=4) as writer:
        reader = FrameReader(name)

        def write() -> None:
            for i in range(200):
                writer.send(b"%d" % i, timeout=PATIENCE)
            writer.close()

        thread = threading.Thread(target=write)
        thread.start()
        got = []
        for frame in reader:
            got.append(int(bytes(frame)))
            assert reader.counts.held == 1
        thread.join()
        assert got == list(range(200))
        assert reader.ended
        reader.close()


def test_leaving_a_loop_releases_too(name: str) -> None:
    with FrameWriter(name, 64) as writer, FrameReader(name) as reader:
        writer.send(b"1")
        writer.send(b"2")
        for frame in reader:
            break
        assert frame.released
        assert bytes(reader.next(PATIENCE)) == b"2"


def test_the_newest(name: str) -> None:
    with FrameWriter(name, 64) as writer, FrameReader(name, policy="overwrite-oldest") as reader:
        assert reader.try_newest() is None
        for i in range(6):
            writer.send(b"%d" % i)
        with reader.newest(PATIENCE) as frame:
            assert bytes(frame) == b"5"
        assert reader.counts.skipped + reader.counts.lost == 5


def test_as_many_as_may_be_are_held(name: str) -> None:
    with FrameWriter(name, 64, slots=8) as writer, FrameReader(name, max_held=2) as reader:
        for i in range(3):
            writer.send(b"%d" % i)
        held = [reader.next(PATIENCE), reader.next(PATIENCE)]
        with pytest.raises(millrace.TooManyHeldError):
            reader.try_next()
        held.pop()
        assert bytes(reader.next(PATIENCE)) == b"2"


def test_loans_go_back(name: str) -> None:
    with FrameWriter(name, 64, slots=2) as writer:
        loans = [writer.loan(), writer.loan()]
        assert writer.try_loan() is None
        with pytest.raises(millrace.TimeoutError):
            writer.loan(0.01)
        loans.pop()
        with writer.loan(PATIENCE):
            pass
        loans[0].discard()
        assert writer.try_loan() is not None
        with pytest.raises(millrace.TooLargeError):
            writer.send(bytes(65))


def test_a_reader_waits_for_its_channel(name: str) -> None:
    with pytest.raises(FileNotFoundError, match="within 0.1 s: start it, or allow more time"):
        FrameReader(name, timeout=0.1)
    with pytest.raises(millrace.InvalidArgumentError, match="policy"):
        FrameReader(name, policy="hope")


def test_a_writer_that_is_killed(name: str, run: Any) -> None:
    child = run(
        "import sys, time, millrace\n"
        "writer = millrace.FrameWriter(sys.argv[1], 1 << 16)\n"
        "writer.wait_for_readers()\n"
        "writer.send(b'x' * 60000)\nprint('sent', flush=True)\ntime.sleep(1000)\n",
        name,
    )
    with FrameReader(name, timeout=PATIENCE) as reader:
        frame = reader.next(PATIENCE)
        kept = frame.array()
        assert child.stdout.readline() == "sent\n"
        child.kill()
        child.wait()
        with pytest.raises(millrace.PeerGoneError):
            reader.next(PATIENCE)
        assert kept.tobytes() == b"x" * 60000


def test_a_child_of_fork(name: str) -> None:
    with FrameWriter(name, 64) as writer, FrameReader(name) as reader:
        writer.send(b"one")
        frame = reader.next(PATIENCE)
        seen = frame.array()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                reader.try_next()
            except millrace.ForkedError:
                code = 0 if seen.tobytes() == b"one" else 2
            del frame, seen, reader, writer
            gc.collect()
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert reader.counts.held == 1
        assert bytes(frame) == b"one"


def test_async_frames(name: str) -> None:
    async def main() -> List[int]:
        with FrameWriter(name, 64, slots=4) as writer:
            with FrameReader(name) as reader:

                async def send() -> None:
                    await writer.wait_for_readers_async(1, PATIENCE)
                    for i in range(300):
                        if i % 2:
                            await writer.send_async(b"%d" % i, timeout=PATIENCE)
                        else:
                            with await writer.loan_async(PATIENCE) as loan:
                                raw = b"%d" % i
                                loan.data[: len(raw)] = raw
                                loan.publish(len(raw))
                    writer.close()

                sending = asyncio.ensure_future(send())
                got = [int(bytes(frame)) async for frame in reader]
                await sending
                with pytest.raises(millrace.MillraceError):
                    await writer.loan_async()
                return got

    assert asyncio.run(main()) == list(range(300))


def test_a_frame_that_another_thread_drops_goes_back_while_the_reader_is_waited_for(
    name: str,
) -> None:
    with millrace.FrameWriter(name, 64, slots=2) as writer, millrace.FrameReader(name) as reader:
        writer.send(b"one")
        one = reader.next(PATIENCE)
        assert one is not None
        got: List[Any] = []
        thread = threading.Thread(target=lambda: got.append(reader.next(PATIENCE)))
        thread.start()
        while not _is_busy(lambda: reader.counts):
            time.sleep(0.001)
        one.release()
        for _ in range(2):  # needs both slots
            writer.send(b"more", timeout=PATIENCE)
        thread.join(PATIENCE)
        assert [frame.sequence for frame in got] == [2]


def test_a_loan_that_another_thread_drops_is_what_the_writer_waits_for(name: str) -> None:
    with millrace.FrameWriter(name, 64, slots=2) as writer:
        loans = [writer.loan(), writer.loan()]
        got: List[Any] = []
        thread = threading.Thread(target=lambda: got.append(writer.loan(PATIENCE)))
        thread.start()
        while not _is_busy(lambda: writer.readers):
            time.sleep(0.001)
        del loans[0]
        thread.join(PATIENCE)
        assert len(got) == 1


def _is_busy(ask: Any) -> bool:
    try:
        ask()
        return False
    except millrace.BusyError:
        return True


def test_finalizers_of_a_cycle_find_the_memory_of_what_is_in_it(name: str, run: Any) -> None:
    child = run(
        "import gc, sys, millrace\n"
        "class Reader(millrace.FrameReader): pass\n"
        "class Last:\n"
        "    def __del__(self): print(bytes(self.view[:3]), sys.argv[1] in repr(self.reader))\n"
        "writer = millrace.FrameWriter(sys.argv[1], 1 << 20)\n"
        "reader = Reader(sys.argv[1])\n"
        "writer.send(b'one')\n"
        "last = Last(); last.reader = reader; last.view = reader.next().data; reader.last = last\n"
        "del reader, last\ngc.collect()\nprint(writer.readers)\n",
        name,
    )
    out, error = child.communicate(timeout=PATIENCE)
    assert (out, child.returncode) == ("b'one' True\n0\n", 0), error
