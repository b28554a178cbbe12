"""What the commands print is written behind the work, and the whole has an exit code."""

import errno
import io
import os
import threading
from collections import deque

import pytest
from dibs.cli.work_counts import JobCounts
from dibs.cli.work_display import Display
from dibs.cli.work_loop import settle
from dibs.cli.work_signals import Stops
from dibs.cli.work_writer import Writer
from rich.console import Console

from .conftest import SECONDS, Job, Leases, Shop, background


class TestScribe:
    """One thread writes; nobody else waits for who reads."""

    @pytest.fixture
    def stuck(self):
        """A shop whose terminal takes nothing until it is let go."""
        shop = Shop("echo", leases=Leases("a", endless=True))
        shop.go, shop.writing = threading.Event(), threading.Event()
        output = shop.writer.display.output

        def slow(*what):
            shop.writing.set()
            assert shop.go.wait(SECONDS)
            output(*what)

        shop.writer.display.output = slow
        yield shop
        shop.go.set()

    def test_a_job_is_settled_before_it_is_shown(self, stuck):
        running = background(stuck.run)
        assert stuck.writing.wait(SECONDS)
        assert stuck.leases.ends == ["ack"]
        stuck.writer.note("nobody waits")
        stuck.stops.asked = 1
        stuck.go.set()
        running.join(SECONDS)
        assert (stuck.verdict, stuck.written) == (("", 130), True)

    def test_who_is_to_leave_does_not_wait_for_a_reader(self, stuck, monkeypatch):
        monkeypatch.setattr("dibs.cli.work_loop.LINGER", 0.0)
        running = background(stuck.run)
        assert stuck.writing.wait(SECONDS)
        stuck.stops.asked = 2
        running.join(SECONDS)
        assert (stuck.leases.ends, stuck.verdict, stuck.written) == (["ack"], ("", 130), False)

    def test_what_can_not_be_written_is_done_all_the_same_and_told(self, capfd):
        shop = Shop("echo", leases=Leases(*"ab"))

        def full(*what):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        shop.writer.display.output = full
        shop.run()
        assert (shop.leases.ends, shop.verdict, shop.written) == (["ack", "ack"], ("", 0), False)
        assert (shop.writer.unwritten, shop.writer.why) == (2, "No space left on device")
        assert "not all of the output could be written: No space left on device; " in capfd.readouterr().err

    def test_half_of_it_is_written_where_the_other_can_not_be(self, capfd):
        display = Display("jobs", JobCounts(), console=Console(file=io.StringIO()))

        class Full:
            def write_bytes(self, data):
                raise OSError(errno.ENOSPC, "full")

        display._out = Full()
        with pytest.raises(OSError, match="full"):
            display.output(io.BytesIO(b"out"), io.BytesIO(b"err\n"), "remark")
        assert capfd.readouterr().err == "err\ndibs: remark\n"

    def test_remarks_that_nobody_reads_do_not_pile_up(self, stuck):
        running = background(stuck.run)
        assert stuck.writing.wait(SECONDS)
        for number in range(5000):
            stuck.writer.note(str(number))
            stuck.writer.tick()
        assert stuck.writer._tasks.qsize() <= 1001
        stuck.stops.asked = 1
        stuck.go.set()
        running.join(SECONDS)


class TestSettle:
    """The server may be away at the end of all."""

    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch):
        monkeypatch.setattr("dibs.cli.work_loop.TICK", 0)

    def settle(self, answers, stops=None):
        asked, seconds = [], iter(range(100))

        def flush(timeout):
            asked.append(timeout)
            return next(answers)

        writer = Writer(Display("jobs", JobCounts(), console=Console(file=io.StringIO())))
        return settle(flush, writer, stops or Stops(), 10, clock=lambda: next(seconds)), asked

    def test_it_is_waited_for(self):
        assert self.settle(iter([False, False, True])) == (True, [0, 0, 0])

    def test_but_not_for_ever(self):
        settled, asked = self.settle(iter([False] * 100))
        assert (settled, len(asked)) == (False, 11)

    def test_nor_for_long_by_who_wants_to_leave(self):
        stops = Stops()
        stops.asked = 2
        assert self.settle(iter([False, True]), stops) == (True, [0, 5.0])


class TestVerdict:
    def test_some_failed(self):
        shop = Shop("false", leases=Leases("a")).run()
        assert shop.verdict == ("", 8)

    def test_what_was_mended_counts_as_done(self):
        leases = Leases("a", "b")
        leases.jobs = deque([Job(1, "1"), Job(1, "0", attempt=2)])
        shop = Shop("sh", "-c", "exit $1", "sh", leases=leases).run()
        assert (leases.ends, shop.verdict) == (["nack", "ack"], ("", 0))
