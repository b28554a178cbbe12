"""Hands, jobs and their ends, with real commands and no server. What blocks is let go by the test."""

import io
import os
import signal
import subprocess
import threading
from collections import deque
from contextlib import suppress

import pytest
from dibs.cli.work_children import Children
from dibs.cli.work_command import CommandTemplate
from dibs.cli.work_counts import JobCounts
from dibs.cli.work_display import Display
from dibs.cli.work_job import JobRunner
from dibs.cli.work_loop import leave, run, verdict
from dibs.cli.work_plan import Plan
from dibs.cli.work_signals import Stops
from dibs.cli.work_threads import JobThreads
from dibs.cli.work_writer import Writer
from dibs.client import Counts
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
