"""Many hands: each job once, no more than are wanted, and fewer where there is no room."""

import errno
import os
import subprocess
from types import SimpleNamespace

import httpx
import pytest
from dibs.cli.work_counts import JobCounts
from dibs.cli.work_job import TRIES
from dibs.cli.work_loop import verdict
from dibs.cli.work_process import CannotStart
from dibs.cli.work_signals import Stops
from dibs.client import Counts
from dibs.client.errors import Problem, QueueUnknown, Unreachable

from .conftest import SECONDS, Leases, Shop, background, one


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
