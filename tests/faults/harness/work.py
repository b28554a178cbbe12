"""A story of work: pushes, leases, settlings, results, burials, restarts; who lives through it; who judges.

Every request has a key and is asked until it is answered, also after a crash: so in the end the ledger has to
be exactly what the answers say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client import Client, Entry, key_of
from dibs.ledger.work import Ack, Nack, Parcel, Release, Result
from dibs.ledger.work import Entry as Settling
from dibs.queue import Answer, LeaseAsk, Queue, Queues, asking
from dibs.sources import parse_source
from story import Step, Story

QUEUES = ("jobs", "done", "few", "lines")
TTL = 36_000.0  # no lease of the story ends by itself
LAST = {"max_attempts": 2}


class WorkStory(Story):
    """``source`` of a settling: its lease's label, then VERB=FROM:TO of that lease's items, and ``next``."""

    def __init__(self, place: Path) -> None:
        self.flag = place / "mended"
        self._lines = place / "lines.txt"
        self._lines.write_text("".join(f"line {seq}\n" for seq in range(1, 20)))
        self._count = 0
        self.labels: dict[str, str] = {}
        self.groups = list(self._work())
        self.epilogue = [
            self._step("push", "jobs", 2, keyed=True, expect="*"),
            self._step("lease", "jobs", 1, keyed=True, expect="*"),
            self._step("lease", "few", 1, keyed=True, expect="*"),
        ]
        self.steps = {step.id: step for group in (*self.groups, self.epilogue) for step in group}

    def _label(self, label: str, queue: str, amount: int) -> Step:
        step = self._step("lease", queue, amount, keyed=True)
        self.labels[label] = step.id
        return step

    def _settle(self, label: str, queue: str, what: str) -> Step:
        step = self._step("settle", queue, source=f"{label} {what}", keyed=True)
        self.labels[f"{label}+"] = step.id
        return step

    def _work(self) -> Iterator[list[Step]]:
        step = self._step
        yield [step("define", "jobs"), step("define", "done")]
        yield [step("push", "jobs", 6, keyed=True)]
        yield [
            step("define", "few", source="range(0, 5)", keyed=True),
            step("define", "lines", source=f"lines('{self._lines}')", keyed=True),
            self._label("a", "jobs", 4),
        ]
        yield [self._label("f", "few", 2), self._label("l", "lines", 3), step("push", "jobs", 3, keyed=True)]
        yield [
            self._settle("a", "jobs", "ack=0:1 nack=1:2 push=2:3 next=2"),
            self._settle("f", "few", "ack=0:2 next=2"),
            self._settle("l", "lines", "release=0:1 ack=1:2 next=2"),
        ]
        yield [step("restart")]
        yield [self._settle("a+", "jobs", "ack=0:2 next=3"), self._settle("f+", "few", "release=0:1 ack=1:2")]
        yield [self._label("g", "few", 5), self._label("d", "done", 5)]
        yield [self._settle("g", "few", "ack=0:1"), self._settle("a++", "jobs", "nack=0:1 push=1:3 next=9")]
        yield [self._settle("a+++", "jobs", "nack=0:9"), self._settle("d", "done", "release=0:9")]
        yield [step("redrive", "jobs", keyed=True), self._settle("l+", "lines", "ack=0:9 next=1")]
        yield [step("purge", "jobs", keyed=True), step("close", "lines", keyed=True)]


class WorkClient(Client):
    """Lives through it. What a settling names is in the notebook: the answer to its lease."""

    async def replay(self) -> None:
        """Ask every request once more that got something: only such answers are kept."""
        answered = [self.story.steps[step] for step, word, told in self.notebook if word == "ok" and told]
        await self._all([s for s in answered if s.verb in ("push", "lease", "settle")], "replay")

    async def _ask(self, step: Step) -> Any:
        if step.verb != "define":
            return await super()._ask(step)
        source = parse_source(step.source) if step.source else None
        key = key_of(step)
        return (await self.opened.define(step.queue, source, trusted=True, key=key, settings=LAST)).queue

    async def _ask_queue(self, step: Step, queue: Queue) -> Any:
        key, limits, tokens = key_of(step), queue.line.limits, queue.line.tokens.new
        match step.verb:
            case "push":
                texts = tuple(f'"{step.id} {number}"' for number in range(step.amount))
                pushed = await queue.producer.push((Parcel(texts),), key=key)
                return {"seqs": list(pushed.seqs), "values": list(texts), "replayed": pushed.replayed}
            case "lease":
                lease = LeaseAsk(step.amount, ttl=TTL)
                digest = asking.lease_digest(lease)
                leasing = asking.work((), lease, limits, tokens, key=key, digest=digest)
                return _lease(await queue.asked(leasing))
            case "settle":
                entries, more = self._settling(step)
                if not entries:
                    return None
                lease = LeaseAsk(more, ttl=TTL) if more else None
                digest = asking.settle_digest(entries, lease)
                settling = asking.work(entries, lease, limits, tokens, key=key, digest=digest)
                return _settled(await queue.asked(settling))
            case "redrive" | "purge":
                moved = await getattr(queue.operations, step.verb)(key=key)
                return {"count": moved.count, "replayed": moved.replayed}
            case _:
                return await super()._ask_queue(step, queue)

    def _settling(self, step: Step) -> tuple[tuple[Settling, ...], int]:
        label, *words = step.source.split()
        assert isinstance(self.story, WorkStory)
        told = [told for id_, word, told in self.notebook if (id_, word) == (self.story.labels[label], "ok")]
        lease = (told[0] or {}).get("lease") if told else None
        entries: list[Settling] = []
        more = 0
        for word in words:
            verb, _, which = word.partition("=")
            if verb == "next":
                more = int(which)
            elif lease:
                first, last = map(int, which.split(":"))
                seqs = [seq for seq, _, _ in lease["items"][first:last]]
                entries += [_entry(verb, lease["token"], seq) for seq in seqs]
        return tuple(entries), more


def _entry(verb: str, token: str, seq: int) -> Settling:
    seqs = ((seq, seq),)
    match verb:
        case "ack":
            return Ack(token, seqs)
        case "push":
            return Ack(token, seqs, (Result("done", f'"of {seq}"'),))
        case "nack":
            return Nack(token, seqs, 0, "no")
        case _:
            return Release(token, seqs)


def _lease(leased: Answer) -> dict[str, Any] | None:
    if not leased.size:
        return None
    pairs = [(seq, span.attempt) for span in leased.spans for seq in range(span.first, span.last + 1)]
    items = [[*pair, json.loads(str(value))] for pair, value in zip(pairs, leased.values, strict=True)]
    told = {"token": leased.token, "items": [[seq, attempt, value] for seq, attempt, value in items]}
    return {"lease": told, "replayed": leased.replayed}


def _settled(settled: Answer) -> dict[str, Any]:
    outcomes = [(each.verdict, each.first) for entry in settled.entries for each in entry]
    lease = _lease(settled)
    return {
        "outcomes": [list(outcome) for outcome in outcomes],
        "lease": lease and lease["lease"],
        "replayed": settled.replayed,
    }


@dataclass
class Books:
    """One queue, as the answers tell it."""

    values: dict[int, Any] = field(default_factory=dict)
    state: dict[int, str] = field(default_factory=dict)
    attempt: dict[int, int] = field(default_factory=dict)
    pushed: set[int] = field(default_factory=set)


class WorkJudge:
    """``faults`` holds a sentence for each broken promise."""

    def __init__(self, story: Story, notebook: list[Entry]) -> None:
        self.story = story
        self.notebook = notebook
        self.faults: list[str] = []
        self.books = {name: Books() for name in QUEUES}

    async def judge(self, queues: Queues) -> list[str]:
        first: dict[str, Any] = {}
        for step_id, word, told in self.notebook:
            if word == "ok":
                first[step_id] = told
                self._entered(self.story.steps[step_id], told)
            elif word == "replay":
                self._replayed(step_id, first[step_id], told)
        for queue in queues.list():
            await self._balance(queue)
        return self.faults

    def _entered(self, step: Step, told: Any) -> None:
        books = self.books.get(step.queue)
        if books is None or not isinstance(told, dict):
            return
        if step.verb == "push":
            self._pushed(step, books, told)
        if step.verb == "settle":
            for verdict, seq in told["outcomes"]:
                self._settled(step, books, verdict, seq)
        if step.verb == "redrive":
            self._moved(step, books, told["count"], "dead", "waiting")
        if step.verb == "purge":
            self._moved(step, books, told["count"], "waiting", "purged")
        if told.get("lease"):
            self._leased(step, books, told["lease"]["items"])

    def _pushed(self, step: Step, books: Books, told: dict[str, Any]) -> None:
        for seq, text in zip(told["seqs"], told["values"], strict=True):
            if seq in books.pushed:
                self.faults.append(f"{step.id}: {step.queue} {seq} was pushed twice")
            books.pushed.add(seq)
            if json.loads(text) != books.values.setdefault(seq, json.loads(text)):
                self.faults.append(f"{step.id}: {step.queue} {seq} is {books.values[seq]}")
            books.state.setdefault(seq, "waiting")  # who asked at the same time may have it already

    def _leased(self, step: Step, books: Books, items: list[list[Any]]) -> None:
        for seq, attempt, value in items:
            if books.state.get(seq, "waiting") != "waiting":
                self.faults.append(f"{step.id} got {step.queue} {seq}, which was {books.state[seq]}")
            if attempt != books.attempt.get(seq, 0) + 1:
                self.faults.append(f"{step.id} got {step.queue} {seq} for the {attempt}-th time")
            if value != books.values.setdefault(seq, value):
                self.faults.append(f"{step.id} got {value} as {step.queue} {seq}")
            books.state[seq], books.attempt[seq] = "leased", attempt

    def _settled(self, step: Step, books: Books, verdict: str, seq: int) -> None:
        if books.state.get(seq) != "leased":
            self.faults.append(f"{step.id}: {step.queue} {seq} was {books.state.get(seq)}, and is {verdict}")
        if verdict == "released":
            books.attempt[seq] -= 1
        after = {"acked": "acked", "nacked": "waiting", "released": "waiting", "dead": "dead"}
        books.state[seq] = after.get(verdict, f"not {verdict}")

    def _moved(self, step: Step, books: Books, count: int, before: str, after: str) -> None:
        moved = [seq for seq, state in books.state.items() if state in (before, "dead")]
        if len(moved) != count:
            self.faults.append(f"{step.id} moved {count}, not {moved}")
        for seq in moved:
            books.state[seq], books.attempt[seq] = after, 0

    def _replayed(self, step_id: str, first: Any, told: Any) -> None:
        if not isinstance(first, dict):
            return
        step, same = self.story.steps[step_id], {**first, "replayed": True}
        if "next=" in step.source and not first["lease"] and told["lease"]:  # it asks for its lease again
            self._leased(step, self.books[step.queue], told["lease"]["items"])
            same |= {"lease": told["lease"], "replayed": False}
        if told != same:
            self.faults.append(f"{step_id} was answered {first}, then {told}")

    async def _balance(self, queue: Queue) -> None:
        """The ledger is what the answers say, item by item."""
        books, audit = self.books[queue.name], await queue.browser.audit()
        if not audit.balanced:
            self.faults.append(f"{audit} does not add up")
        inside = {item.seq: item.state for item in (await queue.browser.page(limit=1000)).items}
        if queue.name == "done":
            results = sum(
                self._results(step_id, told) for step_id, word, told in self.notebook if word == "ok"
            )
            if audit.cursor != results:
                self.faults.append(f"{results} results were acked, and {audit.cursor} are there")
            return
        told = {seq: state for seq, state in books.state.items() if state not in ("acked", "purged")}
        if inside != told:
            self.faults.append(f"{queue.name} holds {inside}, and the answers say {told}")
        acked = sum(state == "acked" for state in books.state.values())
        if audit.acked != acked:
            self.faults.append(f"{acked} of {queue.name} were acked, and {audit.acked} are counted")

    def _results(self, step_id: str, told: Any) -> int:
        """How many results a settling has pushed: one for each ack of its items after ``push``."""
        step = self.story.steps[step_id]
        if step.verb != "settle" or not told:
            return 0
        pushing = 0
        words = [word.partition("=") for word in step.source.split()[1:]]
        at = 0
        for verb, _, which in words:
            if verb == "next":
                continue
            first, last = map(int, which.split(":"))
            size = min(last - first, len(told["outcomes"]) - at)
            if verb == "push":
                pushing += sum(verdict == "acked" for verdict, _ in told["outcomes"][at : at + size])
            at += size
        return pushing
