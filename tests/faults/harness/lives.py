"""One life of a server after the other, on a disk that fails at a chosen call, and what a crash leaves."""

from __future__ import annotations

import asyncio
import faulthandler
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import apsw
from client import Client, Entry
from dibs.ledger.sqlite import ballast
from disk import CHANGES, Disk, Images, Plan, Write
from judge import Judge
from shm import SharedMemory
from story import Story
from work import WorkClient, WorkJudge, WorkStory

HANG = 30.0
LATER = (0, 1, 2, 3, 5, 8, 13, 21)
"""How many calls after a fault the power is lost."""


@dataclass(frozen=True)
class Left:
    """What a crash left: the files, the notebook, whether the broken source had been mended."""

    how: str
    images: Images
    notebook: tuple[Entry, ...]
    mended: bool

    @property
    def what(self) -> tuple[object, ...]:
        """All that the next life finds."""
        return self.images, self.notebook, self.mended


class Lives:
    """Lives of one place, one after the other, on one disk."""

    def __init__(self, place: Path, *, bulky: bool = False, work: bool = False, shared: bool = False) -> None:
        self._disk = Disk()
        self._shared = SharedMemory(self._disk) if shared else None  # a call of ours for each of SQLite's
        ballast.BALLAST = 4096  # it is none of the disk's calls: 2 MiB for each life prove no more
        self._data = place / "data"
        self._story: Story = WorkStory(place) if work else Story(place, bulky=bulky)
        self._client, self._judge = (WorkClient, WorkJudge) if work else (Client, Judge)
        self._left: list[Left] = []
        self._calls = 0
        self.faults: list[str] = []

    def ended_at(self, plan: Plan, calls: range) -> int:
        """One life without a fault, which might have ended at each of ``calls``; each end is judged."""
        client = self._new(plan)

        def before(call: int, write: Write | None) -> None:
            if call in calls:
                how = f"at call {call}:"
                self._remember(f"{how} killed", client, self._disk.left_by_a_kill())
                self._remember(f"{how} power lost", client, self._disk.left_by_a_loss_of_power())
                if call % 2:
                    partly = self._disk.left_by_a_loss_of_power(call)
                    self._remember(f"{how} power lost, some writes had landed", client, partly)
                elif write is not None:
                    self._remember(f"{how} killed in its middle", client, self._disk.left_by_a_kill(write))

        self._disk.before = before
        asyncio.run(self._live(client, "no fault"))
        return self._judge_left()

    def failed_at(self, plan: Plan) -> int:
        """One life with a fault, which goes on; and those that end after the fault, at the worst moments.

        These are: when the files that couldn't be written are closed; when a client has been told no and has
        not asked again; some calls later.
        """
        client = self._new(plan)
        disk, moments = self._disk, set[str]()
        later = plan.nth + plan.times + LATER[plan.nth % len(LATER)]

        def once(moment: str, *images: Callable[[], Images]) -> None:
            if disk.failed and moment not in moments and set(plan.kinds) & set(CHANGES):
                moments.add(moment)
                for image in images:
                    self._remember(f"{plan}, {image.__name__} {moment}", client, image())

        def power_lost_partly() -> Images:
            return disk.left_by_a_loss_of_power(plan.nth)

        def before(call: int, _: Write | None) -> None:
            if call == later:
                once("later", disk.left_by_a_loss_of_power)

        disk.before = before
        disk.closing = lambda: once("at the closing", disk.left_by_a_kill, power_lost_partly)
        client.refused = lambda: once("after a no", disk.left_by_a_kill)
        asyncio.run(self._live(client, str(plan)))
        return disk.failed and 1 + self._judge_left()

    def calls(self, plan: Plan) -> int:
        """How many calls of the plan's kinds a life has."""
        asyncio.run(self._live(self._new(plan), "counting"))
        return self._calls

    # -- living

    def _new(self, plan: Plan) -> Client:
        faulthandler.dump_traceback_later(HANG, exit=True)
        self._clear()
        self._disk.reset(plan)
        return self._client(self._story, self._data, [])

    def _clear(self) -> None:
        shutil.rmtree(self._data, ignore_errors=True)
        self._story.flag.unlink(missing_ok=True)

    async def _live(self, client: Client, how: str) -> None:
        await self._to_the_end(client, how, client.live(lambda: self._disk.failed > 0))

    async def _to_the_end(self, client: Client, how: str, life: object) -> None:
        """Live, be sent every keyed request again, be judged; after a fault with a start in between."""
        try:
            await life
            if self._disk.failed:
                await client.end()
                self._disk.plan = replace(self._disk.plan, nth=0)
                await client.start()
            await client.replay()
            plan, self._disk.plan = self._disk.plan, replace(self._disk.plan, nth=0)
            faults = await self._judge(self._story, client.notebook).judge(client.opened)
            self._disk.plan = plan
            await client.end()
            self._calls = self._disk.calls
            faults += self._integrity()
        except Exception as error:
            logging.exception("%s", how)
            faults = [f"{type(error).__name__}: {error}"]
        self.faults += [f"{how}: {fault}" for fault in faults]
        if faults:
            logging.critical("%s", json.dumps(client.notebook, indent=1))

    def _integrity(self) -> list[str]:
        self._disk.plan = replace(self._disk.plan, nth=0)
        check = apsw.Connection(str(self._data / "dibs.db")).pragma("integrity_check")
        return [] if check == "ok" else [f"integrity_check: {check}"]

    # -- crashes

    def _remember(self, how: str, client: Client, images: Images) -> None:
        """Keep what a crash leaves, unless another one of this life left the very same."""
        left = Left(how, images, tuple(client.notebook), self._story.flag.exists())
        if all(left.what != other.what for other in self._left):
            self._left.append(left)

    def _judge_left(self) -> int:
        left, self._left = self._left, []
        for crash in left:
            client = self._new(Plan())
            self._data.mkdir()
            for path, image in crash.images.items():
                Path(path).write_bytes(image)
            if crash.mended:
                self._story.flag.touch()
            client.notebook[:] = crash.notebook
            asyncio.run(self._to_the_end(client, crash.how, client.go_on()))
        return len(left)
