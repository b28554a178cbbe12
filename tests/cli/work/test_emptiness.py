"""When the queue is empty, so that the work is over."""

import threading
from types import SimpleNamespace

import pytest
from dibs.cli.work_counts import JobCounts
from dibs.cli.work_display import Display
from dibs.cli.work_loop import Emptiness, awaited
from dibs.client import Counts
from dibs.client.errors import Unreachable

from .conftest import SECONDS


def seen(**changes):
    """A queue as the server shows it."""
    return SimpleNamespace(
        **{"source": None, "state": "open", "waiting": 0, "leased": 0, "dead": 0} | changes
    )


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
