"""Hands, jobs and their ends, with real commands and no server. What blocks is let go by the test."""

import errno
import io
import os
import signal
import subprocess
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

import httpx
import pytest
from dibs.cli.work_children import Children
from dibs.cli.work_command import CommandTemplate
from dibs.cli.work_counts import JobCounts
from dibs.cli.work_display import Display, told
from dibs.cli.work_job import RESULT_BYTES, TRIES, JobRunner
from dibs.cli.work_loop import Emptiness, awaited, leave, run, settle, verdict
from dibs.cli.work_plan import Plan, Retries
from dibs.cli.work_process import CannotStart
from dibs.cli.work_signals import Stops
from dibs.cli.work_threads import JobThreads
from dibs.cli.work_writer import Writer
from dibs.client import Counts
from dibs.client.errors import Problem, QueueUnknown, Unreachable
from dibs.client.text import encode
from rich.console import Console

SECONDS = 60
CHILDREN = Children(guarded=False)


class Job:
    def __init__(self, seq, value, attempt=1):
        self.seq, self.value, self.attempt = seq, value, attempt
        self.traceparent = None
        self.outcome = None
        self.end = None

    def ack(self, push=()):
        for result in push:
            encode(result.to_json())
        self.end = ("ack", [(result.queue, result.value) for result in push])

    def nack(self, error="", *, delay=None, dead=False):
        self.end = ("dead" if dead else "nack", error, *([] if delay is None else [delay]))

    def release(self):
        self.end = ("release", None)


class Leases:
    """Jobs for threads. With ``endless`` an empty one waits for more, until it is stopped."""

    def __init__(self, *values, endless=False):
        self.jobs = deque(Job(seq, value) for seq, value in enumerate(values, 1))
        self.given = []
        self.counts = Counts()
        self.change = threading.Condition()
        self.endless = endless
        self.stopped = False

    def __iter__(self):
        return self

    def __next__(self):
        with self.change:
            if not self.jobs and self.endless:
                assert self.change.wait_for(lambda: self.stopped, SECONDS)
            if not self.jobs or self.stopped:
                raise StopIteration
            self.given.append(self.jobs.popleft())
            return self.given[-1]

    def stop(self):
        with self.change:
            self.stopped = True
            self.change.notify_all()

    @property
    def ends(self):
        return [job.end and job.end[0] for job in self.given]


class Shop:
    """All the parts, put together as the command does."""

    def __init__(self, *command, leases, hands=1, most=None, append=True, **plan):
        self.leases = leases
        self.job_counts = JobCounts(leases.counts)
        self.said = io.StringIO()
        self.writer = Writer(Display("jobs", self.job_counts, console=Console(file=self.said)))
        self.plan = Plan("jobs", CommandTemplate(command, append=append), "http://x", **plan)
        self.stops = Stops()
        self.runner = JobRunner(
            self.plan,
            self.job_counts,
            self.writer,
            children=CHILDREN,
            stops=self.stops,
            wait=lambda seconds: None,
        )
        self.threads = JobThreads(leases, self.runner, hands, stops=self.stops, most=most)

    def run(self):
        run(self.threads, self.job_counts, self.writer, self.stops)
        self.written = leave(self.writer, self.stops, "")
        return self

    @property
    def verdict(self):
        return verdict(self.job_counts, self.threads.fault, self.stops)


def seen(**changes):
    """A queue as the server shows it."""
    return SimpleNamespace(
        **{"source": None, "state": "open", "waiting": 0, "leased": 0, "dead": 0} | changes
    )


def one(*command, value="x", **options):
    """The end of one job."""
    leases = Leases(value)
    Shop(*command, leases=leases, **options).run()
    return leases.given[0].end


@pytest.fixture
def gate(tmp_path, ear):
    """A command that tells that it runs, and ends well when the test opens its gate."""
    for seq in range(1, 10):
        os.mkfifo(tmp_path / str(seq))

    class Gate:
        command = ("sh", "-c", f"echo $DIBS_SEQ > {tmp_path}/started; cat {tmp_path}/$DIBS_SEQ", "sh")

        def begun(self, count=1):
            return ear.words(count)

        def open(self, *seqs):
            for seq in seqs:
                (tmp_path / str(seq)).write_text("")  # waits for the command to come to it

    return Gate()


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(monkeypatch):
    """Kill what was started, with all that it has started, however the test ended."""
    started = []

    class Started(subprocess.Popen):
        def __init__(self, *words, **options):
            super().__init__(*words, **options)
            started.append(self.pid)

    monkeypatch.setattr("dibs.cli.work_process.subprocess.Popen", Started)
    yield
    for group in started:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def background(action):
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    return thread


class TestEnds:
    def test_good_is_an_ack(self):
        assert one("true") == ("ack", [])

    def test_bad_is_a_nack_with_the_tail_of_stderr(self):
        assert one("sh", "-c", "echo why >&2; exit 3") == ("nack", "exit 3\nwhy")

    def test_too_long_is_a_nack(self):
        assert one("sleep", value="1000", timeout=0.05) == ("nack", "timed out after 0.05 s")

    def test_words_stdin_and_environment(self, tmp_path):
        out = tmp_path / "out"
        script = f'echo "$1 $DIBS_QUEUE $DIBS_SEQ $DIBS_ATTEMPT $DIBS_URL $(cat)" > {out}'
        one("sh", "-c", script, "sh", "{}", value={"a": "é"}, stdin=True, append=False)
        assert out.read_text() == '{"a":"é"} jobs 1 1 http://x {"a":"é"}\n'

    def test_a_value_that_no_command_takes_is_a_nack(self):
        assert one("echo", value="a\0b") == (
            "nack",
            "the value can't be the argument of a command (embedded null byte): --stdin takes any value",
        )
        end, why = one("echo", value="x" * 200_000)
        assert (end, why) == (
            "nack",
            "the value is too long for the argument of a command: --stdin takes any length",
        )

    def test_a_value_that_is_no_command_is_a_nack(self):
        end, why = one("{}", value="dibs-no-such-command")
        assert end == "nack"
        assert (
            why
            == "the value is not a command that can be run (dibs-no-such-command: No such file or directory)"
        )

    def test_a_lost_lease_ends_the_command_and_claims_nothing(self, gate):
        leases = Leases("x")
        shop = Shop(*gate.command, leases=leases)
        running = background(shop.run)
        gate.begun()
        leases.given[0].outcome = "lost"
        shop.runner.lost(leases.given[0])
        running.join(SECONDS)
        assert leases.ends == ["release"]
        assert shop.verdict == ("", 0)

    def test_a_lease_that_is_lost_while_the_command_starts_ends_it(self):
        leases = Leases("x")
        shop = Shop("sleep", "1000", leases=leases, append=False)
        filled = shop.plan.words.filled

        class Late:
            program = shop.plan.words.program

            def filled(self, value, seq):
                leases.given[0].outcome = "lost"
                shop.runner.lost(leases.given[0])
                return filled(value, seq)

        shop.runner._plan = replace(shop.plan, words=Late())
        running = background(shop.run)
        running.join(SECONDS)
        assert leases.ends == ["release"]


class TestResults:
    def test_text_without_its_last_line_end(self):
        assert one("echo", results="done") == ("ack", [("done", "x")])
        assert one("printf", "a\\n\\n", results="done", append=False) == ("ack", [("done", "a\n")])

    def test_nothing_is_a_result(self):
        assert one("true", results="done") == ("ack", [("done", "")])

    def test_json(self):
        end = one("echo", '{"a": [1.5]}', results="done", json_results=True, append=False)
        assert end == ("ack", [("done", {"a": [1.5]})])

    @pytest.mark.parametrize("written", ["", "{", "NaN", "1 2"])
    def test_what_is_not_json_is_a_nack(self, written):
        end, why = one("echo", written, results="done", json_results=True, append=False)
        assert (end, why.partition(": ")[0]) == ("nack", "its output can't be a result")

    @pytest.mark.parametrize("written", ["1e400", '"\\ud800"', "[" * 100_000, "9" * 5000])
    def test_what_json_can_not_carry_is_a_nack(self, written):
        end, why = one("echo", written, results="done", json_results=True, append=False)
        assert (end, why.startswith("its output ")) == ("nack", True)

    def test_what_the_server_refuses_has_failed_after_all(self):
        shop = Shop("true", leases=Leases("a"), results="done").run()
        assert shop.runner.refused(shop.leases.given[0], ValueError("too large")) == {"delay": None}
        assert shop.verdict == ("", 8)

    def test_what_is_not_text_is_a_nack(self):
        assert one("printf", "\\377", results="done", append=False) == (
            "nack",
            "its output can't be a result: it is not UTF-8",
        )

    def test_what_is_too_much_is_a_nack(self):
        script = f"head -c {RESULT_BYTES + 1} /dev/zero | tr '\\\\0' x"
        assert one("sh", "-c", script, results="done", append=False) == (
            "nack",
            "its output can't be a result: it is over 262,144 bytes",
        )

    def test_a_failure_has_none(self):
        assert one("sh", "-c", "echo x; exit 1", results="done")[0] == "nack"


class TestOutput:
    def test_passed_on_in_one_piece(self, capfd):
        Shop("sh", "-c", 'echo "out $1"; echo "err $1" >&2', "sh", leases=Leases(*"abcdef"), hands=3).run()
        out, err = capfd.readouterr()
        assert sorted(out.splitlines()) == [f"out {value}" for value in "abcdef"]
        assert sorted(err.splitlines()) == [f"err {value}" for value in "abcdef"]

    def test_results_are_not_shown_too(self, capfd):
        one("echo", results="done")
        assert capfd.readouterr() == ("", "")

    def test_failures_are_told(self, capfd):
        one("sh", "-c", "echo why >&2; exit 3")
        assert capfd.readouterr().err == "why\ndibs: jobs 1, attempt 1: exit 3\n"


class TestRetries:
    def test_an_exit_code_that_says_never_again(self):
        assert one("sh", "-c", "echo why >&2; exit 65", retries=Retries(never=frozenset({65, 66}))) == (
            "dead",
            "exit 65\nwhy",
        )
        assert one("sh", "-c", "exit 64", retries=Retries(never=frozenset({65}))) == ("nack", "exit 64")

    def test_the_last_attempt(self):
        leases = Leases()
        leases.jobs = deque([Job(1, "x", attempt=1), Job(2, "x", attempt=2), Job(3, "x", attempt=3)])
        Shop("false", leases=leases, retries=Retries(most=2)).run()
        assert leases.ends == ["nack", "dead", "dead"]

    def test_the_delay_is_doubled(self):
        retries = Retries(backoff=0.5)
        assert [retries.delay(attempt) for attempt in (1, 2, 3, 14, 10_000)] == [
            0.5,
            1.0,
            2.0,
            3600.0,
            3600.0,
        ]
        assert Retries(backoff=5000.0).delay(3) == 5000.0
        assert one("false", retries=Retries(backoff=0.5)) == ("nack", "exit 1", 0.5)
        assert Retries().delay(3) is None

    def test_failures_in_a_row_end_the_work(self):
        leases = Leases("1", "0", "1", "1", "0", "0")
        shop = Shop("sh", "-c", "exit $1", "sh", leases=leases, retries=Retries(halt=2)).run()
        assert leases.ends == ["nack", "ack", "nack", "nack"]
        assert shop.verdict == ("halted, as 2 jobs in a row have failed", 8)

    def test_values_that_are_no_arguments_count_too(self):
        shop = Shop("echo", leases=Leases("a\0", "b"), retries=Retries(halt=1)).run()
        assert (shop.leases.ends, shop.verdict) == (["nack"], ("halted, as 1 job has failed", 8))


class TestRoom:
    """The system has no room for another command for a while."""

    @pytest.fixture
    def lacking(self, monkeypatch):
        """How often a start fails yet; what the hand waited."""
        popen, state = subprocess.Popen, SimpleNamespace(times=0)

        def start(*words, **options):
            if state.times and options.get("start_new_session"):
                state.times -= 1
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            return popen(*words, **options)

        monkeypatch.setattr("dibs.cli.work_process.subprocess.Popen", start)
        return state

    def test_it_is_waited_out(self, lacking, capfd):
        lacking.times = 3
        assert one("true") == ("ack", [])
        assert capfd.readouterr().err.startswith("dibs: waiting: no room for another command (Resource temp")

    def test_after_a_while_others_may_have_the_job(self, lacking):
        lacking.times = TRIES
        shop = Shop("true", leases=Leases("a", "b")).run()
        assert (shop.leases.ends, shop.verdict) == (["release", "ack"], ("", 0))

    def test_nobody_waits_who_is_to_leave(self, lacking):
        lacking.times = 2
        shop = Shop("true", leases=Leases("a"))
        shop.runner.give_back()
        shop.run()
        assert (shop.leases.ends, lacking.times) == (["release"], 1)

    def test_fewer_hands_do_the_work_where_there_is_no_room_for_more(self, monkeypatch):
        shop = Shop("true", leases=Leases(*range(20)), hands=8)

        def full():
            raise RuntimeError("can't start new thread")

        shop.threads._threads[3].start = full
        assert shop.run().leases.ends == ["ack"] * 20


class TestCrew:
    def test_each_job_once_by_many_hands(self):
        shop = Shop("true", leases=Leases(*range(50)), hands=8).run()
        assert shop.leases.ends == ["ack"] * 50
        assert (shop.verdict, shop.job_counts.running) == (("", 0), 0)

    def test_as_many_at_a_time_as_there_are_hands(self, gate):
        shop = Shop(*gate.command, leases=Leases(*range(4)), hands=3)
        running = background(shop.run)
        assert gate.begun(3) == ["1", "2", "3"]
        assert shop.job_counts.running == 3
        gate.open(2)
        assert gate.begun() == ["4"]
        gate.open(1, 3, 4)
        running.join(SECONDS)
        assert shop.leases.ends == ["ack"] * 4

    def test_no_more_than_are_wanted_and_the_rest_is_not_kept(self):
        shop = Shop("true", leases=Leases(*range(50), endless=True), hands=8, most=5).run()
        assert shop.leases.ends.count("ack") == 5
        assert set(shop.leases.ends) <= {"ack", "release"}
        assert shop.verdict == ("", 0)

    def test_a_command_that_is_gone_ends_it_at_once_with_everything_given_back(self):
        shop = Shop("dibs-no-such-command", leases=Leases(*range(50)), hands=4).run()
        assert set(shop.leases.ends) == {"release"}
        assert len(shop.leases.given) <= 4
        why = "can't run dibs-no-such-command: No such file or directory"
        assert shop.verdict == (why, 127)

    def test_one_that_can_not_be_run_has_another_code(self):
        assert verdict(JobCounts(Counts()), CannotStart("x", "why"), Stops()) == ("can't run x: why", 126)

    def test_a_fault_of_the_queue_ends_it_after_what_is_in_hand(self, gate):
        class Failing(Leases):
            def __next__(self):
                if not self.jobs:
                    raise QueueUnknown(Problem("queue-unknown", 404, "there is no queue jobs"))
                return super().__next__()

        shop = Shop(*gate.command, leases=Failing("a"), hands=2)
        running = background(shop.run)
        gate.begun()
        with shop.leases.change:
            assert shop.leases.change.wait_for(lambda: shop.leases.stopped, SECONDS)
        gate.open(1)
        running.join(SECONDS)
        assert shop.leases.ends == ["ack"]
        assert shop.verdict == ("queue-unknown: there is no queue jobs", 1)

    def test_no_server_has_its_exit_code(self):
        fault = Unreachable("no answer", reached=False)
        why, code = verdict(JobCounts(Counts()), fault, Stops())
        assert (why.startswith("no answer; "), code) == (True, 7)

    def test_nor_does_it_name_what_python_calls_it(self):
        fault = Unreachable("POST /x was not answered: ConnectError: [Errno 111] why", reached=True)
        fault.__cause__ = httpx.ConnectError("[Errno 111] why")
        told, _ = verdict(JobCounts(), fault, Stops())
        assert told.startswith("POST /x was not answered: why; ")

    def test_an_end_that_the_server_does_not_know_is_no_success(self):
        why, code = verdict(JobCounts(), None, Stops(), settled=False)
        assert (why[:29], code) == ("no answer from the server in ", 7)

    def test_what_nobody_foresaw_is_raised(self):
        with pytest.raises(ZeroDivisionError):
            verdict(JobCounts(Counts()), ZeroDivisionError(), Stops())


class TestStops:
    def test_once_finishes_what_is_in_hand(self, gate, capfd):
        shop = Shop(*gate.command, leases=Leases("a", "b", endless=True), hands=1)
        running = background(shop.run)
        gate.begun()
        shop.stops.asked = 1
        with shop.leases.change:
            assert shop.leases.change.wait_for(lambda: shop.leases.stopped, SECONDS)
        gate.open(1)
        running.join(SECONDS)
        assert shop.leases.ends == ["ack"]
        assert shop.verdict == ("", 130)
        assert "finishing 1; Ctrl-C again gives them back" in capfd.readouterr().err

    def test_twice_gives_it_back(self, gate):
        shop = Shop(*gate.command, leases=Leases("a", "b", endless=True), hands=2, grace=0.05)
        running = background(shop.run)
        gate.begun(2)
        shop.stops.asked = 2
        running.join(SECONDS)
        deadline = time.monotonic() + SECONDS  # on a busy machine a hand may be a moment behind the threads
        while None in shop.leases.ends and time.monotonic() < deadline:
            time.sleep(0.01)
        assert shop.leases.ends == ["release", "release"]
        assert shop.verdict == ("", 130)

    def test_what_starts_just_then_is_given_back_too(self):
        leases = Leases("1000")
        shop = Shop("sleep", leases=leases)
        shop.runner.give_back()
        shop.run()
        assert leases.ends == ["release"]

    def test_while_it_waits_for_jobs_it_ends_at_once(self):
        shop = Shop("true", leases=Leases(endless=True), hands=4)
        shop.stops.asked = 1
        assert shop.run().verdict == ("", 130)

    @pytest.mark.parametrize("how", ["kill -TERM $$", "kill -HUP $$", "kill -INT $$", "exit 143", "exit 130"])
    def test_what_ends_us_ends_commands_too_in_any_order(self, how, monkeypatch):
        """The command is ended first, and then the signal comes here."""
        monkeypatch.setattr("dibs.cli.work_job.LIKELY", SECONDS)
        shop = Shop("sh", "-c", how, leases=Leases("a", "b"))
        follows = shop.stops.follows

        def late(seconds, *, at_once):
            assert shop.leases.given[0].end is None
            shop.stops.asked = 1
            return follows(seconds, at_once=at_once)

        shop.stops.follows = late
        assert shop.run().verdict == ("", 130)
        assert (shop.leases.ends, shop.job_counts.returned) == (["release"], 1)

    def test_a_command_that_fails_when_all_are_ended_has_not_failed(self):
        shop = Shop("sh", "-c", "exit 7", leases=Leases("a"))
        shop.stops.asked = 2
        shop.runner.run_job(next(shop.leases))
        assert shop.leases.ends == ["release"]

    def test_nor_is_a_failure_excused_while_the_rest_is_finished(self):
        shop = Shop("sh", "-c", "exit 7", leases=Leases("a"))
        shop.stops.asked = 1
        shop.runner.run_job(next(shop.leases))
        assert shop.leases.ends == ["nack"]

    def test_a_command_that_ends_itself_has_failed(self, monkeypatch):
        monkeypatch.setattr("dibs.cli.work_job.LIKELY", 0.01)
        assert one("sh", "-c", "kill -TERM $$") == ("nack", "killed by SIGTERM")

    def test_what_was_ignored_at_the_start_stays_so(self):
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            stops = Stops()
            with stops.heard():
                signal.raise_signal(signal.SIGHUP)
                assert (stops.asked, signal.getsignal(signal.SIGHUP)) == (0, signal.SIG_IGN)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        finally:
            signal.signal(signal.SIGHUP, before)

    def test_signals_are_counted_and_given_back_to_whom_they_belong(self):
        before = signal.getsignal(signal.SIGINT)
        stops = Stops()
        with stops.heard():
            signal.raise_signal(signal.SIGINT)
            assert stops.asked == 1
            signal.raise_signal(signal.SIGTERM)
            assert stops.asked == 3
        assert signal.getsignal(signal.SIGINT) is before


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


class TestEmptiness:
    @pytest.mark.parametrize(
        ("info", "idle"),
        [
            ({}, ""),
            ({"waiting": 3}, "3 to be tried later"),
            ({"waiting": 1, "leased": 2}, "1 to be tried later, 2 elsewhere"),
            ({"dead": 1}, ""),
            ({"source": "count"}, "its source may give more"),
            ({"source": "count", "state": "paused"}, "its source may give more"),
            ({"source": "count", "state": "exhausted"}, ""),
            ({"source": "count", "state": "closed", "leased": 1}, "1 elsewhere"),
        ],
    )
    def test_what_may_still_come(self, info, idle):
        assert awaited(seen(**info)) == idle

    def test_it_looks_until_it_is_and_not_while_something_runs_here(self, monkeypatch):
        monkeypatch.setattr("dibs.cli.work_loop.LOOK", 0)
        job_counts, then = JobCounts(Counts()), threading.Event()
        looks = iter([Unreachable("not now", reached=True), 2, 1, 0])
        looked = []

        def info():
            looked.append(next(looks))
            if isinstance(looked[-1], Exception):
                raise looked[-1]
            return seen(leased=looked[-1])

        job_counts.begun()
        emptiness = Emptiness(info, job_counts, display := Display("jobs", job_counts), then.set)
        emptiness.start()
        job_counts.ended()
        assert then.wait(SECONDS)
        assert (len(looked), display.idle) == (4, "")
        emptiness.join(SECONDS)

    def test_what_is_waited_for_is_told_where_it_ends_nothing(self, monkeypatch):
        monkeypatch.setattr("dibs.cli.work_loop.LOOK", 0)
        looked = threading.Semaphore(0)

        def look():
            looked.release()
            return seen(waiting=3)

        job_counts = JobCounts(Counts())
        display = Display("jobs", job_counts)
        emptiness = Emptiness(look, job_counts, display, None)
        emptiness.start()
        assert all(looked.acquire(timeout=SECONDS) for _ in range(3))
        emptiness.stop()
        emptiness.join(SECONDS)
        assert display.idle == "3 to be tried later"

    def test_enough_ends_it(self):
        job_counts = JobCounts(Counts())
        emptiness = Emptiness(seen, job_counts, Display("jobs", job_counts), lambda: None)
        emptiness.start()
        emptiness.stop()
        emptiness.join(SECONDS)
        assert not emptiness.is_alive()


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
