"""Compares a client's notebook with the promises, and with the ledger as it is in the end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from client import Entry
from dibs.errors import QueueUnknown
from dibs.queue import Audit, Queues
from story import QUEUES, Step, Story


class Judge:
    """``faults`` holds a sentence for each broken promise."""

    def __init__(self, story: Story, notebook: list[Entry]) -> None:
        self.story = story
        self.notebook = notebook
        self.faults: list[str] = []

    async def judge(self, queues: Queues) -> list[str]:
        for name in QUEUES:
            handed = self._handed(name)
            try:
                audit = await queues.get(name).browser.audit()
            except QueueUnknown:
                if handed and not self._words("delete", name):
                    self.faults.append(f"{name} is gone")
            else:
                self._counters(audit, handed)
                self._state(name, queues)
        for step in self.story.steps.values():
            self._replays(step)
        return self.faults

    def _handed(self, name: str) -> dict[int, str]:
        """Who was answered which seq; nobody twice, in the order of time, each its own value."""
        handed: dict[int, str] = {}
        highest, before = 0, {}
        for step_id, word, answer in self.notebook:
            step = self.story.steps[step_id]
            if step.queue != name or not step.hands_out:
                continue
            if word == "ask":
                before[step_id] = highest
            elif word == "ok":
                seqs = range(answer["first"], answer["first"] + answer["count"])
                if twice := [seq for seq in seqs if seq in handed]:
                    self.faults.append(f"{name} {twice} went to {handed[twice[0]]} and to {step_id}")
                if not answer["replayed"] and seqs[0] <= before[step_id]:
                    self.faults.append(f"{name} {seqs[0]} went out after {before[step_id]} had")
                self._values(step, seqs, answer["values"])
                handed |= dict.fromkeys(seqs, step_id)
                highest = max(highest, seqs[-1])
        return handed

    def _values(self, step: Step, seqs: range, values: list[Any]) -> None:
        right = [self.story.value(step.queue, seq) for seq in seqs]
        if values != (right if step.verb == "take" else [right[0], right[-1]]):
            self.faults.append(f"{step.id} got {values} for {seqs}")

    def _counters(self, audit: Audit, handed: dict[int, str]) -> None:
        """What was answered stands, and what is neither answered nor jumped was asked for by somebody."""
        name = audit.queue
        steps = [step for step in self.story.steps.values() if step.queue == name and not step.keyed]
        lost = [step.amount for step in steps if step.hands_out for _ in range(self._unanswered(step))]
        if not audit.balanced:
            self.faults.append(f"{audit} does not add up")
        if handed and max(handed) > audit.cursor:
            self.faults.append(f"{name} {max(handed)} was answered, but the cursor is {audit.cursor}")
        answered = sum(seq > audit.base for seq in handed)  # since the queue was created again, if it was
        if audit.taken - answered not in _sums(lost):
            self.faults.append(f"{name}: {audit.taken} taken, {answered} answered, perhaps lost: {lost}")
        missing = [seq for seq in range(1, audit.cursor + 1) if seq not in handed]
        gap = range(missing[0], missing[-1] + 1) if missing else range(0)
        if not lost and (audit.jumped != len(missing) or missing != list(gap)):
            self.faults.append(f"{name}: nobody was answered {missing}, and {audit.jumped} were jumped")

    def _state(self, name: str, queues: Queues) -> None:
        """What an operator was answered stands."""
        info = queues.get(name).browser.info()
        for verb, undone, stands in (
            ("pause", "resume", info.paused),
            ("close", "delete", info.state == "closed"),
            ("advance", "delete", info.cursor >= 500),
        ):
            if "ok" in self._words(verb, name) and not self._words(undone, name) and not stands:
                self.faults.append(f"{name}: {verb} was answered, and it is {info}")

    def _replays(self, step: Step) -> None:
        mine = [(word, told) for step_id, word, told in self.notebook if step_id == step.id]
        answers = [told for word, told in mine if word == "ok"]
        if not answers or not step.keyed or not step.hands_out:
            return
        if answers[0]["replayed"] and not self._unanswered(step):
            self.faults.append(f"{step.id} was told no, and had it all the same: {mine}")
        for word, told in mine:
            if word == "replay" and told != {**answers[0], "replayed": True}:
                self.faults.append(f"{step.id} was answered {answers[0]}, then {told}")

    def _unanswered(self, step: Step) -> int:
        """How many of a step's requests were never answered for certain."""
        words = [word for step_id, word, _ in self.notebook if step_id == step.id]
        return words.count("ask") - sum(words.count(word) for word in ("ok", "no", "refused", "replay"))

    def _words(self, verb: str, queue: str) -> list[str]:
        steps = {step.id for step in self.story.steps.values() if (step.verb, step.queue) == (verb, queue)}
        return [word for step_id, word, _ in self.notebook if step_id in steps]


def _sums(amounts: Iterable[int]) -> set[int]:
    sums = {0}
    for amount in amounts:
        sums |= {total + amount for total in sums}
    return sums
