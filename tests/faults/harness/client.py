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
from dibs.queue import Block, Queue, Queues, Taken
from dibs.sources import parse_source
from story import Step, Story

PATIENCE = 10.0
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
                return (await self.opened.define(step.queue, source, trusted=True, key=step.key)).queue
            case "delete":
                return (await self.opened.delete(step.queue, key=step.key)).queue
            case _:
                return await self._ask_queue(step, self.opened.get(step.queue))

    async def _ask_queue(self, step: Step, queue: Queue) -> Any:
        match step.verb:
            case "take":
                patient = step.expect in ("", "*") and not queue.info().paused
                return await Taking(queue, step, wait=10 if patient else 0).told
            case "block":
                return _told(await queue.block(step.amount, key=step.key))
            case "advance":
                return (await queue.advance(step.amount, key=step.key)).cursor
            case verb:
                return (await getattr(queue, verb)(key=step.key)).state

    @property
    def opened(self) -> Queues:
        assert self.queues is not None
        return self.queues


class Taking:
    """A take, with all that are asked for at the same time; by itself where it has to be."""

    def __init__(self, queue: Queue, step: Step, wait: float) -> None:
        self.count, self.key, self.request = step.amount, step.key, f"take {step.amount}"
        self._queue, self._wait = queue, wait
        self.told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        queue.gathering.take(self)

    def handed(self, first: int, values: Any, state: str) -> None:
        """Together with others."""
        self.told.set_result(_told(Taken(self._queue.name, state, first, values)))

    def refused(self, error: Exception) -> None:
        """Nobody has got anything."""
        self.told.set_exception(error)

    def alone(self) -> None:
        """It waits, or replays, or meets an end."""
        self._task = asyncio.ensure_future(self._ask())

    async def _ask(self) -> None:
        try:
            self.told.set_result(_told(await self._queue.take(self.count, wait=self._wait, key=self.key)))
        except Exception as error:
            self.told.set_exception(error)


def _told(answer: Taken | Block) -> dict[str, Any]:
    if isinstance(answer, Block):
        values: Any = [answer.first, answer.last]
        return {"first": answer.seq, "count": answer.count, "values": values, "replayed": answer.replayed}
    values = [json.loads(str(value)) for value in answer.values]
    return {"first": answer.first, "count": answer.count, "values": values, "replayed": answer.replayed}
