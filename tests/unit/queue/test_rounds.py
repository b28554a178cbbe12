"""Rounds: one batch at a time, and what does not fit comes next; another's fault keeps nobody."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from dibs.errors import LedgerError, LedgerFull, LedgerUnavailable, OutcomeUnknown
from dibs.ledger.ops import Conflict, Pause
from dibs.ledger.serve import After, Ask, HandOut, Serve
from dibs.ledger.work import Parcel, Push
from dibs.queue import rounds as rounds_module
from dibs.queue.batch import ASKS_MOST, BYTES_MOST, ITEMS_MOST
from dibs.queue.limits import Limits
from dibs.queue.rounds import Rounds

from .conftest import PATIENCE, Clock, Disk

OP = Pause(99, True)  # of a queue that is not there: a Conflict


class Begun:
    """A round that notes what becomes of it."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.op = Serve(98, 1, (Ask(HandOut(1, 100)),))

    def settle(self, outcome: Any, now: int) -> None:
        self.member.note("settle", outcome[0] if isinstance(outcome, tuple) else outcome)

    def tell(self) -> None:
        self.member.note("tell", None)

    def give_up(self, error: Exception) -> None:
        self.member.note("give up", type(error))


class Member:
    """A queue that takes part once, and uses up ``room`` of a batch."""

    def __init__(self, **room: int) -> None:
        self.room = room
        self.raises: str | None = None
        self.told: list[Any] = []

    def note(self, what: str, detail: Any) -> None:
        self.told.append(detail if what == "give up" else what)
        if self.raises == what:
            raise ZeroDivisionError

    def begin(self, batch: Any) -> Begun | None:
        self.note("begin", None)
        for name, amount in self.room.items():
            setattr(batch, name, getattr(batch, name) - amount)
        return Begun(self)

    def learn(self, after: After) -> None:
        self.note("learn", after)

    def resume(self) -> None:
        self.note("resume", None)

    def refuse_waiting(self, error: LedgerError) -> None:
        self.note("refuse", error)


class Desk:
    """Rounds on a real ledger in memory behind a disk that does what the test says."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.tell(asyncio.get_running_loop())
        self.disk = Disk(None, self.clock)
        self.members: dict[int, Any] = {}
        self.rounds = Rounds(
            asyncio.get_running_loop(),
            self.disk,
            by_id=self.members,
            changed=lambda row: None,
            limits=Limits(),
        )

    async def __aenter__(self) -> Desk:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.disk.door.open()
        self.disk.repair_door.open()
        assert await asyncio.to_thread(self.rounds.writer.close, PATIENCE)
        self.rounds.close()

    @property
    def batches(self) -> list[int]:
        return [len(ops) for ops in self.disk.batches]

    async def busy(self) -> asyncio.Future[Any]:
        """A batch is at the disk, behind its shut door."""
        self.disk.door.shut()
        first = self.rounds.commit(OP)
        await self.disk.door.somebody()
        return first


async def settled(*members: Member) -> None:
    async with asyncio.timeout(PATIENCE):
        while not all("tell" in member.told for member in members):  # noqa: ASYNC110
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    "room", [{"asks": ASKS_MOST}, {"items": ITEMS_MOST}, {"ranges": ITEMS_MOST}, {"bytes": BYTES_MOST}]
)
async def test_a_queue_for_which_a_batch_has_no_room_comes_in_the_next_in_its_order(room):
    async with Desk() as desk:
        members = [Member(**room), Member(), Member()]
        for member in members:
            desk.rounds.join(member)
        await settled(*members)
        assert desk.batches == [1, 2]


async def test_ops_of_callers_come_before_all_rounds_and_their_values_fill_a_batch():
    async with Desk() as desk:
        await_first = await desk.busy()
        member = Member()
        desk.rounds.join(member)
        large = Push(99, (Parcel(("x" * BYTES_MOST,)),), 0)
        futures = [desk.rounds.commit(op) for op in (large, OP, OP)]
        desk.disk.door.open()
        await await_first
        assert isinstance(await futures[2], Conflict)
        await settled(member)
        assert [[type(op) for op in ops] for ops in desk.disk.batches] == [
            [Pause],
            [Push],
            [Pause, Pause, Serve],
        ]


async def test_a_queue_that_can_not_begin_keeps_no_other_from_it(caplog):
    async with Desk() as desk:
        broken, sound = Member(), Member()
        broken.raises = "begin"
        desk.rounds.join(broken)
        desk.rounds.join(sound)
        await settled(sound)
        assert (broken.told, "beginning a round" in caplog.text) == (["begin"], True)


async def test_answers_that_can_not_be_made_are_told_as_unknown_and_the_others_as_they_are(caplog):
    async with Desk() as desk:
        broken, sound = Member(), Member()
        broken.raises = "settle"
        desk.rounds.join(broken)
        desk.rounds.join(sound)
        await settled(sound)
        assert broken.told == ["begin", "settle", OutcomeUnknown, "tell"]
        assert sound.told == ["begin", "settle", "tell"]


async def test_what_a_queue_fails_to_follow_keeps_nobody_from_its_answer(opened, caplog):
    async with opened({"q": "count()"}) as house:
        row, by_id = house["q"].line.row.id, house.queues.rounds._by_id
        member = Member()
        member.raises = "learn"
        line, by_id[row] = by_id[row], member
        assert (await house["q"].take(1)).first == 1
        by_id[row] = line
        assert member.told == ["learn"]


async def test_a_writer_that_has_ended_is_told_to_all():
    async with Desk() as desk:
        desk.rounds.writer.close()
        member = Member()
        desk.rounds.join(member)
        ops = [desk.rounds.commit(OP) for _ in range(ASKS_MOST + 1)]  # more than go into one batch
        async with asyncio.timeout(PATIENCE):
            told = await asyncio.gather(*ops, return_exceptions=True)
        assert {type(error) for error in told} == {LedgerUnavailable}
        assert member.told == ["begin", LedgerUnavailable]


# -- a disk that is silent, or fails


async def test_a_disk_that_is_silent_leaves_its_callers_in_doubt_and_goes_on_when_it_speaks():
    async with Desk() as desk:
        assert isinstance(await desk.rounds.commit(OP), Conflict)  # the one timer runs from here on
        desk.clock.skip(10)
        member = Member()
        desk.rounds.join(member)
        silent = await desk.busy()
        desk.clock.skip(30)
        with pytest.raises(OutcomeUnknown, match="did not answer in time"):
            await silent
        assert member.told == ["begin", OutcomeUnknown]
        with pytest.raises(LedgerUnavailable, match="does not answer"):  # nobody waits behind it
            await desk.rounds.commit(OP)
        desk.disk.door.open()
        while desk.rounds.down is not None:  # noqa: ASYNC110  # the writer tells it
            await asyncio.sleep(0)
        assert isinstance(await desk.rounds.commit(OP), Conflict)
        assert desk.batches == [1, 2, 1]


@pytest.mark.parametrize("full", [False, True])
async def test_while_the_disk_fails_callers_wait_a_moment_for_certainty(monkeypatch, full):
    monkeypatch.setattr(rounds_module, "GRACE", 0.02)
    async with Desk() as desk:
        desk.disk.faults.append("full" if full else "absent")
        desk.disk.repair_door.shut()
        future = desk.rounds.commit(OP)
        await desk.disk.repair_door.somebody()
        with pytest.raises(LedgerFull if full else OutcomeUnknown):
            await future


async def test_a_ledger_that_comes_back_by_itself_is_waited_for_as_long_as_a_commit_may_take(monkeypatch):
    monkeypatch.setattr(rounds_module, "GRACE", 0.0)
    async with Desk() as desk:
        desk.disk.returns = True
        desk.disk.faults.append("absent")
        desk.disk.repair_door.shut()
        future = desk.rounds.commit(OP)
        await desk.disk.repair_door.somebody()
        desk.clock.skip(29)
        assert not future.done()
        desk.clock.skip(2)
        with pytest.raises(OutcomeUnknown):
            await future


async def test_what_has_not_begun_when_the_disk_fails_is_refused(monkeypatch):
    async with Desk() as desk:
        first = await desk.busy()
        waiting, member = desk.rounds.commit(OP), Member()
        desk.rounds.join(member)
        desk.disk.faults.append("absent")
        desk.disk.repair_door.shut()
        desk.disk.door.open()
        with pytest.raises(LedgerUnavailable):
            await waiting
        assert member.told == ["refuse"]
        with pytest.raises(LedgerUnavailable):
            await desk.rounds.commit(OP)
        desk.disk.repair_door.open()
        with pytest.raises(LedgerUnavailable):
            await first
        await settled(member)


async def test_a_batch_that_is_done_after_its_loop_has_ended_is_told_to_nobody():
    desks: list[Desk] = []

    async def other_loop() -> None:
        desk = Desk()
        desks.append(desk)
        desk.disk.door.shut()
        desk.rounds.commit(OP)
        await desk.disk.door.somebody()

    await asyncio.to_thread(asyncio.run, other_loop())
    desk = desks[0]
    desk.disk.faults.append("absent")  # that the ledger is down is told to nobody, too
    desk.disk.door.open()
    assert await asyncio.to_thread(desk.rounds.writer.close, PATIENCE)
