"""Signals: what is in hand is finished or given back."""

import signal
import time

import pytest
from dibs.cli.work_signals import Stops

from .conftest import SECONDS, Leases, Shop, background, one


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
