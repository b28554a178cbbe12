"""SIGKILL of the server and of workers in turn, under load: the checker of work finds nothing wrong."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from dibs.proof.checker import judge
from dibs.proof.crowd import Crowd
from dibs.proof.history import HistoryWriter, read_history
from dibs.proof.plan import Jobs, Plan
from dibs.proof.records import End, Note, Outcome
from dibs.proof.report import sentence
from dibs.proof.server import ServerProcess
from dibs.proof.target import Target

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
WORKER = Path(__file__).parents[1] / "harness" / "worker.py"
READY = 60.0  # seconds; only a test that fails waits for so long


class Worker:
    """A worker process; what it tells is written to the history, the reply that its death lost included."""

    def __init__(self, target, writer, name, left=None, *, hold=False):
        self.name, self.writer, self.left = name, writer, None
        self.answers, self.tokens, self.fault = 0, [], "died"
        command = [sys.executable, str(WORKER), target.url, target.queue, "run", name]
        self.process = subprocess.Popen(
            [*command, "hold"] if hold else [*command, json.dumps(left)] if left else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
        )
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            if line.endswith("\n"):
                self.hear(json.loads(line))

    def hear(self, told):
        if "begin" in told:
            self.left = told
        elif "note" in told:
            self.writer.note(Note(**told["note"]))
        elif "fault" in told:
            self.fault = told["fault"]
        else:
            outcome = Outcome(told["outcome"])
            self.writer.request(told["asked"], tuple(told["times"]), outcome, told["answer"])
            if outcome is Outcome.OK:
                self.left, self.answers = None, self.answers + 1
                lease = told["answer"]["lease"]
                self.tokens += [lease["token"]] if lease else []

    def kill(self):
        """The request that it was about to send or had sent, if any: nobody knows what became of it."""
        self.process.kill()
        self.end()
        now = time.monotonic_ns()
        for token in self.tokens[-2:]:
            self.writer.note(Note("crash", now, now, self.name, token))
        if self.left is None:
            return None
        asked = {"op": "work", **self.left["begin"]}
        self.writer.request(asked, (self.left["at"], now), Outcome.UNKNOWN, {"error": "killed"})
        return asked

    def end(self):
        """It settles what it has in hand, unless it was killed."""
        self.process.stdin.close()
        self.process.wait(READY)
        self.reader.join(READY)
        self.process.stdout.close()


class Fleet:
    """Workers that are replaced when they are killed: the next one asks again for the lost reply."""

    def __init__(self, target, writer, size):
        self.target, self.writer, self.hired = target, writer, size
        self.workers = [Worker(target, writer, f"w{number}") for number in range(1, size + 1)]

    @property
    def answers(self):
        return sum(worker.answers for worker in self.workers)

    def kill(self, at):
        self.until_more()
        left = self.workers[at].kill()
        self.hired += 1
        self.workers[at] = Worker(self.target, self.writer, f"w{self.hired}", left)

    def kill_one_that_holds(self):
        """One more, killed with a lease in hand and no request under way: nobody can ask again for that."""
        self.hired += 1
        holder = Worker(self.target, self.writer, f"w{self.hired}", hold=True)
        self.workers.append(holder)
        deadline = time.monotonic() + READY
        while not holder.tokens:
            if time.monotonic() >= deadline:
                raise TimeoutError
            time.sleep(0.002)
        assert holder.kill() is None
        self.workers.remove(holder)

    def until_more(self, answers=10):
        """Whoever is killed is killed at work."""
        enough, deadline = self.answers + answers, time.monotonic() + READY
        while self.answers < enough:
            if time.monotonic() >= deadline:
                raise TimeoutError
            time.sleep(0.002)

    def stop(self):
        for worker in self.workers:
            worker.end()

    def close(self):
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.process.kill()
                worker.end()


def down_and_up(server, writer):
    killed = time.monotonic_ns()
    server.kill()
    server.start()
    server.wait_ready(READY)
    writer.note(Note("restart", killed, time.monotonic_ns()))


def drained(target, crowd):
    """Wait until everything that was pushed is acked or dead."""
    crowd.signals.finish()
    deadline = time.monotonic() + 60
    while not crowd.join(0.05) or target.left():
        assert time.monotonic() < deadline, target.audit()


def run(plan, target, server, path):
    """Four kills of the server, six of workers; the verdict, and the workers that were left."""
    with HistoryWriter(path, target.open()) as writer:
        crowd = Crowd(plan, target.queue, writer)
        fleet = Fleet(target, writer, 3)
        try:
            crowd.start()
            for turn in range(9):
                if turn % 2:
                    fleet.until_more()
                    down_and_up(server, writer)
                else:
                    fleet.kill(turn % 3)
            fleet.kill_one_that_holds()
            drained(target, crowd)
            fleet.stop()
        finally:
            crowd.signals.stop(0)
            fleet.close()
        assert crowd.signals.fault is None
        writer.end(End(0, (target.audit(),), tuple(target.inside()), steady=True))
    return judge(read_history(path)), fleet.workers


@pytest.mark.timeout(180)
def test_server_and_workers_are_killed_in_turn(tmp_path):
    with ServerProcess(tmp_path) as server:
        server.start()
        server.wait_ready(READY)
        jobs = Jobs(producers=2, max_ready=1_000)
        plan = Plan(url=server.url, clients=0, total=None, timeout=5, patience=60, jobs=jobs)
        target = Target(plan)
        verdict, workers = run(plan, target, server, tmp_path / "h.jsonl")
        target.close()
    totals = verdict.totals
    assert verdict.exit_code == 0, (sentence(verdict), verdict.cases)
    assert [worker.fault for worker in workers] == [None] * 3
    assert totals["pushed"] == totals["items"] + totals["dead"] > 500
    assert totals["restarts"] == 4
    assert totals["open"] == 0, "every lost reply was asked for again, those of killed workers too"
    assert totals["redelivered"]["crashed"] > 0
    assert "unknown" not in totals["redelivered"]
