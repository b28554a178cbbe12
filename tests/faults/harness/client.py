"""A client that lives through the story as the README asks of one, and writes down what it was told.

What was answered "no" it asks again, what was answered "maybe" too, with the same key where it has one. Its
notebook is out of reach of every fault.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dibs.errors import LedgerFull, LedgerUnavailable, OutcomeUnknown, QueueStarting, Refused
from dibs.ledger.serve import Key
from dibs.queue import Answer, Queue, Queues, asking
from dibs.sources import parse_source
from story import Step, Story

PATIENCE = 60.0
NO = (LedgerFull, LedgerUnavailable, QueueStarting)
Entry = tuple[str, str, Any]
"""A step, what happened (ask, ok, refused, no, maybe, replay), and what was told."""


class Client:
    """Lives through the story from wherever its notebook stops; starts the ledger as a supervisor would."""

    def __init__(self, story: Story, data: Path, notebook: list[Entry]) -> None:
        self.story = story
        self.data = data
        self.notebook = notebook
        self.queues: Queues | None = None
        self.refused: Callable[[], None] = lambda: None

    async def live(self, hurt: Callable[[], bool] = lambda: False) -> None:
        """All groups; once the disk has ``hurt`` somebody, one more group and the epilogue."""
        await self.start()
        wounds = 0
        for group in self.story.groups:
            wounds += hurt()
            if wounds <= 1:
                await self._all(group)
        await self._all(self.story.epilogue)

    async def go_on(self) -> None:
        """After a crash: ask again what was not answered, where it has a key; then the epilogue."""
        answered = {step for step, word, _ in self.notebook if word in ("ok", "refused")}
        asked = {step for step, word, _ in self.notebook if word == "ask"} - answered
        await self.start()
        await self._all([step for step in self.story.steps.values() if step.id in asked and step.keyed])
        await self._all([step for step in self.story.epilogue if step.id not in answered | asked])

    async def replay(self) -> None:
        """Ask every answered request that had a key once more."""
        answered = [self.story.steps[step] for step, word, _ in self.notebook if word == "ok"]
        names = {queue.name for queue in self.opened.list()}
        await self._all([s for s in answered if s.keyed and s.hands_out and s.queue in names], "replay")

    async def start(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.queues is None:
                try:
                    self.queues = await Queues.open(self.data)
                except NO:
                    await asyncio.sleep(0.002)

    async def end(self) -> None:
        if self.queues is not None:
            queues, self.queues = self.queues, None
            await queues.close()

    async def _all(self, steps: list[Step], word: str = "ok") -> None:
        await asyncio.gather(*(self._do(step, word) for step in steps))

    async def _do(self, step: Step, word: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while not await self._asked(step, word):  # noqa: ASYNC110  # nobody tells a client when to ask again
                await asyncio.sleep(0.002)

    def _write(self, step: Step, word: str, told: Any = None) -> None:
        self.notebook.append((step.id, word, told))

    async def _asked(self, step: Step, word: str) -> bool:
        """Ask once; False if it has to be asked again."""
        self._write(step, "ask")
        try:
            told = await self._ask(step)
        except NO as error:
            self._write(step, "no", repr(error))
            self.refused()
            return False
        except OutcomeUnknown as error:
            self._write(step, "maybe", repr(error))
            return False
        except Refused as error:
            if step.expect not in ("*", type(error).__name__):
                raise
            self._write(step, "refused", repr(error))
            return True
        if step.expect not in ("", "*"):
            raise AssertionError(f"{step} was answered {told}")
        self._write(step, word, told)
        return True

    async def _ask(self, step: Step) -> Any:
        match step.verb:
            case "restart":
                await self.end()
                await self.start()
                return None
            case "mend":
                return self.story.flag.touch()
            case "define":
                source = parse_source(step.source)
                return (await self.opened.define(step.queue, source, trusted=True, key=key_of(step))).queue
            case "delete":
                return (await self.opened.delete(step.queue, key=key_of(step))).queue
            case _:
                return await self._ask_queue(step, self.opened.get(step.queue))

    async def _ask_queue(self, step: Step, queue: Queue) -> Any:
        key, limits = key_of(step), queue.line.limits
        match step.verb:
            case "take":
                patient = step.expect in ("", "*") and not queue.browser.info().paused
                taken = await queue.asked(asking.take(step.amount, limits, key), 10.0 if patient else 0.0)
                return _taken(taken)
            case "block":
                return _block(await queue.asked(asking.block(step.amount, limits, key)))
            case "advance":
                return (await queue.operations.advance(step.amount, key=key)).cursor
            case verb:
                return (await getattr(queue.operations, verb)(key=key)).state

    @property
    def opened(self) -> Queues:
        assert self.queues is not None
        return self.queues


def key_of(step: Step) -> Key | None:
    """The key of a step, or none; whoever files it adds what tells one request from another."""
    return None if step.key is None else Key(step.key, "")


def _taken(answer: Answer) -> dict[str, Any]:
    values = [json.loads(str(value)) for value in answer.values]
    return {"first": answer.first, "count": answer.size, "values": values, "replayed": answer.replayed}


def _block(answer: Answer) -> dict[str, Any]:
    values = [answer.values[0], answer.values[-1]]
    return {"first": answer.first, "count": answer.size, "values": values, "replayed": answer.replayed}
