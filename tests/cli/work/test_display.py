"""The line that is drawn while it works, and the summary."""

import io

import pytest
from dibs.cli.work_counts import JobCounts
from dibs.cli.work_display import Display, told
from dibs.client import Counts
from rich.console import Console


class TestTold:
    class Clock:
        now = 0.0

        def __call__(self):
            return self.now

    @pytest.fixture
    def clock(self):
        return self.Clock()

    @pytest.mark.parametrize(
        ("counts", "bad", "line"),
        [
            ({}, [], "0 done in 10.0 s"),
            ({"acked": 200}, [], "200 done in 10.0 s (20.0/s)"),
            ({"acked": 5000}, [], "5,000 done in 10.0 s (500/s)"),
            (
                {"acked": 1, "nacked": 2, "dead": 1},
                [7],
                "1 done, 1 dead in 10.0 s (0.2/s); 3 attempts failed",
            ),
            (
                {"acked": 3, "nacked": 3, "dead": 3},
                [1, 2, 3, 7, 8, 9],
                "3 done, 3 dead in 10.0 s (0.6/s); 6 attempts failed, 3 to be tried again",
            ),
            ({"nacked": 1}, [7], "0 done in 10.0 s; 1 attempt failed, 1 to be tried again"),
            (
                {"acked": 1, "lost": 1, "released": 3},
                [],
                "1 done, 1 lost with their leases, 3 given back in 10.0 s (0.1/s)",
            ),
        ],
    )
    def test_the_summary(self, clock, counts, bad, line):
        job_counts = JobCounts(Counts(**counts), clock)
        for seq in bad:
            job_counts.bad(seq)
        for _ in range(3 * ("lost" in counts)):
            job_counts.gave_back()
        clock.now = 10.0
        assert told(job_counts) == line

    def test_what_is_waited_for_at_the_end_is_no_work(self, clock):
        job_counts = JobCounts(Counts(acked=20), clock)
        job_counts.begun()
        clock.now = 2.0
        job_counts.ended()
        clock.now = 60.0
        assert told(job_counts) == "20 done in 2.0 s (10.0/s)"

    def test_the_rate_is_of_the_last_seconds(self, clock):
        counts = Counts()
        job_counts = JobCounts(counts, clock)
        assert job_counts.lately() == 0
        for _ in range(100):
            clock.now += 1
            counts.acked += 3
            found = job_counts.lately()
        assert found == 3
        for _ in range(20):
            clock.now += 1
            found = job_counts.lately()
        assert found == 0


class TestBoard:
    @pytest.fixture
    def display(self):
        self.said = io.StringIO()
        console = Console(
            file=self.said, force_terminal=True, width=60, color_system=None, legacy_windows=False
        )
        return Display("jobs", JobCounts(Counts(acked=1234, nacked=2, lost=1)), console=console)

    def test_one_line_drawn_anew_each_time(self, display):
        display.tick()
        display.tick()
        first, erased, _ = self.said.getvalue().partition("\r\x1b[2K")
        assert erased
        assert "jobs  1,234 done  2 failed  1 lost  0 running" in first
        assert "\n" not in self.said.getvalue()

    def test_never_longer_than_the_terminal(self, display):
        display.idle = "a very long remark " * 10
        display.tick()
        assert len(self.said.getvalue()) <= 60

    def test_it_is_gone_at_the_end(self, display):
        display.tick()
        display.summary()
        display.tick()
        last = self.said.getvalue().rpartition("\x1b[2K")[2]
        assert last.startswith("jobs: 1,234 done, 1 lost")
        assert last.endswith("; 2 attempts failed\n")

    def test_what_holds_it_up_is_told_once(self, display, capfd):
        for why in ("full: why", "full: why", "paused: why", "full: why"):
            display.held_up(1.0, why)
        assert capfd.readouterr().err == "dibs: waiting: full: why\ndibs: waiting: paused: why\n"

    @pytest.mark.parametrize(
        ("why", "words"),
        [
            ("ConnectError: [Errno 111] Connection refused", "Connection refused"),
            ("ReadError", "the connection was lost"),
            ("ReadTimeout", "no answer in time"),
            ("ReadTimeout: timed out", "timed out"),
            ("RemoteProtocolError: Server disconnected", "Server disconnected"),
        ],
    )
    def test_a_server_that_is_away_is_told_in_words_each_time_that_it_goes(self, capfd, why, words):
        clock = TestTold.Clock()
        display = Display("jobs", JobCounts(clock=clock), url="http://x", console=Console(file=io.StringIO()))
        for clock.now in (0.0, 1.0, 4.0, 8.0):
            display.held_up(2.0, why if not clock.now else "ConnectError: [Errno 111] Connection refused")
        told = capfd.readouterr().err
        assert told == f"dibs: waiting for the server at http://x ({words})\n"
        clock.now = 60.0
        display.held_up(2.0, why)
        assert capfd.readouterr().err == told

    def test_it_is_said_once_that_it_only_waits(self, capfd):
        clock = TestTold.Clock()
        job_counts = JobCounts(clock=clock)
        display = Display("jobs", job_counts, url="http://x", console=Console(file=io.StringIO()))
        for clock.now in (0.0, 0.9, 1.1, 5.0):
            display.tick()
        word = "dibs: jobs: nothing to do now; waiting for jobs (--exit-when-empty would end here)\n"
        assert capfd.readouterr().err == word

    def test_not_while_something_runs_or_the_server_is_away(self, capfd):
        clock = TestTold.Clock()
        job_counts = JobCounts(clock=clock)
        display = Display("jobs", job_counts, url="http://x", console=Console(file=io.StringIO()))
        job_counts.begun()
        clock.now = 10.0
        display.tick()
        job_counts.ended()
        display.tick()
        display.held_up(1.0, "ReadError")
        assert (
            capfd.readouterr().err == "dibs: waiting for the server at http://x (the connection was lost)\n"
        )
        clock.now = 12.0
        display.tick()
        assert capfd.readouterr().err == ""
        clock.now, display.idle = 30.0, "2 to be tried later, 0 elsewhere"
        display.tick()
        assert capfd.readouterr().err == "dibs: jobs: waiting: 2 to be tried later, 0 elsewhere\n"

    def test_the_line_says_that_it_waits(self):
        clock, said = TestTold.Clock(), io.StringIO()
        console = Console(file=said, force_terminal=True, width=100, color_system=None, legacy_windows=False)
        display = Display("jobs", JobCounts(clock=clock), console=console)
        clock.now = 5.0
        display.tick()
        assert said.getvalue().rstrip().endswith("0 running  0.0/s  0:05  waiting for jobs")

    def test_no_line_where_nobody_looks(self, capfd):
        said = io.StringIO()
        display = Display("jobs", JobCounts(Counts()), console=Console(file=said))
        display.tick()
        display.phase("finishing", "finishing 2")
        display.summary()
        assert said.getvalue().startswith("jobs: 0 done in ")
        assert capfd.readouterr().err == "dibs: finishing 2\n"
