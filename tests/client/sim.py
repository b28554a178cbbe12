"""A third driver of flows: one thread, a clock that jumps, every request and reply a step of its own.

Which step comes next is chosen by ``pick``, so that a seed is an interleaving. Faults come in where a network
has them: a request that is lost, a reply that is lost, a server that is down.
"""

from __future__ import annotations

import json
from functools import partial

import httpx
from dibs.client.consumer import Consumer
from dibs.client.flow import Contact, Gather, Listen, Lost, Reply, Send, Sleep, Tempo, Terms
from dibs.client.options import Options
from fake import FakeServer, Parked


class SimBell:
    def __init__(self):
        self.rings = 0

    def ring(self):
        self.rings += 1


class Task:
    def __init__(self, name, flow):
        self.name = name
        self.flow = flow
        self.state = "ready"
        self.step = partial(next, flow)
        self.result = self.error = None
        self.until = None


class Sim:
    """``fault(number, request)`` may answer "request" or "reply" (lost), or a ``Refuse``.

    ``trip``: seconds that a request is on its way.
    """

    def __init__(
        self, pick=lambda choices: choices[0], fault=lambda number, request: None, chance=lambda: 0.5
    ):
        self.now = 0.0
        self.trip = 0.0
        self.contact = Contact()
        self.contact.made = True
        self.server = FakeServer(lambda: self.now)
        self.server.wake = self._wake
        self.tasks = []
        self.pick = pick
        self.fault = fault
        self.sent = 0
        self.down = False
        self.aborted = set()
        self.keys = iter(range(1, 1 << 30))
        self.log = []
        self.tempo = Tempo(lambda: self.now, chance, lambda: f"key-{next(self.keys)}")

    # -- what tests say

    def spawn(self, flow, name="task", group=None):
        task = Task(name, flow)
        task.group = group
        self.tasks.append(task)
        return task

    def consumer(self, queue="jobs", *, patience=60.0, worker="w1", **how):
        """A lease iterator: its two flows run; the caller asks for jobs."""
        options = {"batch": None, "ttl": 30.0, "prefetch": None, "in_hand": None, "wait": 20.0}
        options |= {"on_error": "nack", "on_lost": None, "until_empty": False, "grace": 5.0, **how}
        terms = Terms(self.tempo, patience, contact=self.contact)
        made = Consumer(queue, worker, terms, Options(**options), bell=SimBell)
        made.crew = [
            self.spawn(made.fetcher.fetch(), f"{worker} fetch", made),
            self.spawn(made.keeper.keep(), f"{worker} keep", made),
        ]
        return made

    def close(self, made, grace=5.0):
        made.jobs.stop.set(self.now + grace)
        made.jobs.came.ring()
        self.abort(made)

    def abort(self, made):
        self.aborted.add(made)
        for task in self.tasks:
            if task.group is made and task.state in {"travels", "out", "parked"} and task.effect.abortable:
                self._resume(task, Lost(RuntimeError("closing"), reached=True, aborted=True))

    def run(self, done=None, limit=3600.0, steps=200_000):
        """Until all tasks have ended, or ``done()``; hanging is a failure."""
        until = self.now + limit
        for _ in range(steps):
            if done is not None and done():
                return
            choices = [task for task in self.tasks if task.state in {"ready", "out", "in"} or self._due(task)]
            if choices:
                self._advance(self.pick(choices))
            elif not self._jump(until):
                if done is None:
                    return
                break
        raise AssertionError(f"no end: {[(task.name, task.state) for task in self.tasks]}")

    def finish(self, task):
        self.run(lambda: task.state == "over")
        assert task.state == "over", [(each.name, each.state) for each in self.tasks]
        if task.error is not None:
            raise task.error
        return task.result

    # -- inside

    def _due(self, task):
        if task.state == "listen":
            return task.effect.bell.rings != task.effect.seen or self._passed(task)
        return task.state in {"sleep", "travels", "parked"} and self._passed(task)

    def _passed(self, task):
        return task.until is not None and self.now >= task.until

    def _jump(self, until):
        timers = [task.until for task in self.tasks if task.state != "over" and task.until is not None]
        soonest = min(timers, default=None)
        if soonest is None or soonest > until:
            return False
        self.now = max(self.now, soonest)
        return True

    def _advance(self, task):
        if task.state == "ready":
            self._next(task)
        elif task.state in {"travels", "out"}:
            task.state = "out"
            self._deliver(task)
        elif task.state == "parked":
            self._deliver(task, waited=True)
        elif task.state == "in":
            self._resume(task, task.reply)
        else:
            self._resume(task, None)

    def _resume(self, task, answer):
        task.state, task.until = "ready", None
        task.step = partial(task.flow.send, answer)

    def _next(self, task):
        try:
            effect = task.effect = task.step()
        except StopIteration as end:
            task.state, task.result = "over", end.value
            return
        except Exception as error:
            task.state, task.error = "over", error
            return
        if isinstance(effect, Send):
            task.state, task.until = "out", None
            if self.trip:
                task.state, task.until = "travels", self.now + self.trip
            if effect.abortable and task.group in self.aborted:
                self._resume(task, Lost(RuntimeError("closing"), reached=False, aborted=True))
        elif isinstance(effect, Sleep):
            task.state, task.until = "sleep", self.now + effect.seconds
        elif isinstance(effect, Gather):
            self._resume(task, any(effect.into(value) for value in effect.source))
        else:
            assert isinstance(effect, Listen)
            task.state = "listen"
            task.until = None if effect.seconds is None else self.now + effect.seconds

    def _deliver(self, task, *, waited=False):
        request = task.effect.request
        if not waited and task.state == "out":
            self.sent += 1
            self.log.append(request)
            fault = self.fault(self.sent, request)
        else:
            fault = None
        if self.down:
            return self._arrive(task, Lost(httpx.ConnectError("refused"), reached=False))
        if fault == "request":
            return self._arrive(task, Lost(httpx.ReadError("lost")))
        answer = (
            fault.answer
            if hasattr(fault, "answer")
            else self.server.handle(
                request.method,
                request.path,
                request.body,
                request.key and request.key.text,
                request.kind,
                waited,
                request.key.n if request.key else 0,
            )
        )
        if isinstance(answer, Parked):
            task.state, task.until = "parked", answer.until
            return None
        if fault == "reply":
            return self._arrive(task, Lost(httpx.ReadError("lost")))
        body = b"" if answer.body is None else json.dumps(answer.body).encode()
        return self._arrive(task, Reply(answer.status, answer.headers, body))

    def _arrive(self, task, reply):
        task.state, task.until, task.reply = "in", None, reply

    def _wake(self):
        """Something changed at the server: what waits there is tried again."""
        for task in self.tasks:
            if task.state == "parked":
                task.state = "out again"
        for task in self.tasks:
            if task.state == "out again":
                until = task.until
                task.state = "parked"
                self._deliver(task)
                if task.state == "parked":
                    task.until = until


def worker(made, work=0.0, jobs=None, fail=lambda job: False):
    """A consumer's loop as a flow: what it did is in ``made.seen``. ``work``: seconds, or they by job."""
    made.seen = [] if not hasattr(made, "seen") else made.seen
    while jobs is None or len(made.seen) < jobs:
        job = made.jobs.enter() or (yield from made.next_job())
        if job is None:
            return made.seen
        with job:
            made.seen.append(job)
            yield Sleep(work(job) if callable(work) else work)
            if fail(job):
                raise RuntimeError(f"job {job.seq} is bad")
    return made.seen
