"""Work under failing disks and repeated requests: nothing half done, and a key gets the first answer."""

from __future__ import annotations

import asyncio

import apsw
import pytest
from dibs.errors import KeyReused, LedgerFault, LedgerFull, LedgerUnavailable
from dibs.ledger.sqlite import blocks
from dibs.ledger.work import Ack, Parcel, Release, Result
from dibs.queue import LeaseAsk


def parcel(*texts: str, **options) -> tuple[Parcel, ...]:
    return (Parcel(texts, **options),)


async def all_settle(house) -> None:
    """Every queue adds up, and no runs overlap."""
    for queue in house.queues.list():
        assert (await queue.browser.audit()).balanced


async def test_a_statement_of_ours_that_is_wrong_fails_its_request_alone(opened, monkeypatch, caplog):
    async with opened({"ids": "count()", "jobs": None}) as house:
        house.disk.door.shut()
        first = asyncio.ensure_future(house["ids"].take())
        await house.disk.door.somebody()
        calls = [
            house["jobs"].push(parcel('"a"')),
            house["ids"].take(),
            house["jobs"].lease(LeaseAsk(wait=5)),
        ]
        pushed, *others = [asyncio.ensure_future(call) for call in calls]
        await asyncio.sleep(0)
        monkeypatch.setattr(
            blocks, "of_block", lambda *of: apsw.Connection(":memory:").execute("SELECT ?", of)
        )
        house.disk.door.open()
        with pytest.raises(LedgerFault):
            await pushed
        monkeypatch.undo()
        await house["jobs"].push(parcel('"b"'))
        taken, leased = await asyncio.gather(*others)
        assert [(await first).first, taken.first, list(leased.values)] == [1, 2, ['"b"']]
        assert (house.queues.rounds.down, house.queues.rounds.writer.reopened) == (None, 0)
        assert "Incorrect number of bindings" in caplog.text


async def test_a_next_lease_that_came_later_is_found_under_the_key_too(opened, soon, eventually):
    async with opened({"jobs": None}) as house:
        await house["jobs"].push(parcel("1"))
        leased = await house["jobs"].lease(LeaseAsk())
        ask = LeaseAsk(wait=20)
        settling = await soon(house["jobs"].settle((Ack(leased.token),), lease=ask, key="k"))
        await eventually(lambda: house["jobs"].stats().waiting == 1)
        assert (await house["jobs"].audit()).acked == 1  # the acks don't wait
        await house["jobs"].push(parcel("2"))
        first = await settling
        again = await house["jobs"].settle((Ack(leased.token),), lease=ask, key="k")
        assert (first.token, list(first.values)) == (again.token, ["2"])
        assert again.replayed


@pytest.mark.parametrize("fault", ["absent", "present"])
async def test_a_settling_whose_lease_got_nothing_is_a_replay_when_it_is_sent_again(opened, stage, fault):
    stage.script("s", [1])
    async with opened({"q": stage.spec()}) as house:
        leased = await house["q"].lease(LeaseAsk())
        ask = (Ack(leased.token),)
        house.disk.faults.append(fault)
        if fault == "absent":
            with pytest.raises(LedgerUnavailable):
                await house["q"].settle(ask, lease=LeaseAsk(), key="k")
        told = [await house["q"].settle(ask, lease=LeaseAsk(), key="k") for _ in range(3)]
        assert [(each.entries[0][0].verdict, each.size) for each in told] == [("acked", 0)] * 3
        assert [each.replayed for each in told] == [False, True, True]
        assert (await house["q"].audit()).acked == 1


@pytest.mark.parametrize("fault", ["absent", "present", "full"])
@pytest.mark.parametrize("name", ["ids", "jobs"])
async def test_a_settle_on_a_failing_disk_is_whole_or_not_at_all(opened, name, fault):
    async with opened({"ids": "count()", "jobs": None}) as house:
        await house["jobs"].push(parcel("1", "2", "3"))
        leased = await house[name].lease(LeaseAsk(2))
        house.disk.faults.append(fault)
        entries = (Ack(leased.token, ((1, 1),)), Release(leased.token, ((2, 2),)))
        refused = LedgerFull if fault == "full" else LedgerUnavailable
        if fault == "present":
            settled = await house[name].settle(entries, key="k")
            assert [results[0].verdict for results in settled.entries] == ["acked", "released"]
        else:
            with pytest.raises(refused):
                await house[name].settle(entries, key="k")
            audit = await house[name].audit()
            assert (audit.acked, audit.leased) == (0, 2)
            settled = await house[name].settle(entries, key="k")
            assert not settled.replayed
        audit = await house[name].audit()
        assert (audit.acked, audit.leased) == (1, 0)
        await all_settle(house)


@pytest.mark.parametrize("fault", ["absent", "present"])
async def test_without_a_key_it_is_certain_too_and_fresh_items_are_not_lost(opened, fault):
    async with opened({"ids": "count()"}) as house:
        leased = await house["ids"].lease(LeaseAsk(2))
        house.disk.faults.append(fault)
        settling = house["ids"].settle((Ack(leased.token),), lease=LeaseAsk(3))
        if fault == "present":
            assert (await settling).first == 3
        else:
            with pytest.raises(LedgerUnavailable):
                await settling
        audit = await house["ids"].audit()
        assert (audit.acked, audit.leased) == ((2, 3) if fault == "present" else (0, 2))
        fresh = await house["ids"].lease(LeaseAsk(1))
        assert fresh.spans[0].first == (6 if fault == "present" else 3)
        await all_settle(house)


async def test_a_lease_of_fresh_items_is_granted_by_the_cursor(opened):
    async with opened({"ids": "count()"}) as house:
        house.disk.faults.append("present")
        leased = await house["ids"].lease(LeaseAsk(3, ttl=30))
        assert 29 < leased.expires_in <= 30
        settled = await house["ids"].settle((Ack(leased.token),))
        assert settled.entries[0][0].verdict == "acked"


@pytest.mark.parametrize("fault", ["absent", "present"])
async def test_a_push_again_with_its_key_is_pushed_once(opened, fault):
    async with opened({"jobs": None}) as house:
        house.disk.faults.append(fault)
        if fault == "absent":
            with pytest.raises(LedgerUnavailable):
                await house["jobs"].push(parcel("1", "2"), key="k")
        first = await house["jobs"].push(parcel("1", "2"), key="k")
        again = await house["jobs"].push(parcel("1", "2"), key="k")
        assert list(first.seqs) == list(again.seqs) == [1, 2]
        assert again.replayed
        assert (await house["jobs"].audit()).waiting == 2
        with pytest.raises(KeyReused):
            await house["jobs"].push(parcel("1"), key="k")


async def test_the_ack_and_its_results_are_one_op(opened):
    async with opened({"ids": "count()", "done": None}) as house:
        leased = await house["ids"].lease(LeaseAsk(2))
        house.disk.faults.append("absent")
        ack = Ack(leased.token, push=(Result("done", '"r"'), Result("done", '"s"')))
        with pytest.raises(LedgerUnavailable):
            await house["ids"].settle((ack,), key="k")
        assert (await house["done"].audit()).cursor == 0
        await house["ids"].settle((ack,), key="k")
        await house["ids"].settle((ack,), key="k")
        assert list((await house["done"].take(5)).values) == ['"r"', '"s"']
        await all_settle(house)
