"""Work under failing disks and repeated requests: nothing half done, and a key gets the first answer."""

from __future__ import annotations

import asyncio

import pytest
from dibs.errors import KeyReused, LedgerFull, LedgerUnavailable, OutcomeUnknown, QueueConflict, QueueFull
from dibs.ledger.ops import Define
from dibs.ledger.work import Ack, Nack, Parcel, Progress, Push, Release, Result, Settle
from dibs.queue import Definition, LeaseAsk


def parcel(*texts: str, **options) -> tuple[Parcel, ...]:
    return (Parcel(texts, **options),)


async def all_settle(house) -> None:
    """Every queue adds up, and no runs overlap."""
    for queue in house.queues.list():
        assert (await queue.audit()).balanced


@pytest.mark.parametrize("name", ["ids", "jobs"])
async def test_a_lease_again_with_its_key_is_the_same_lease(opened, name):
    async with opened({"ids": "count()", "jobs": None}) as house:
        await house["jobs"].push(parcel('"a"', '"b"', '"c"'))
        first = await house[name].lease(LeaseAsk(2, wait=1), key="k")
        again = await house[name].lease(LeaseAsk(2), key="k")
        assert (again.token, again.due, again.spans) == (first.token, first.due, first.spans)
        assert (list(again.values), again.replayed) == (list(first.values), True)
        await house[name].settle((Ack(first.token),))
        later = await house[name].lease(LeaseAsk(2), key="k")
        assert (later.token, list(later.values)) == (first.token, list(first.values))
        with pytest.raises(KeyReused):
            await house[name].lease(LeaseAsk(3), key="k")


@pytest.mark.parametrize("name", ["ids", "jobs"])
async def test_a_settle_again_with_its_key_gives_its_outcomes_and_its_lease(opened, name):
    async with opened({"ids": "count()", "jobs": None}) as house:
        await house["jobs"].push(parcel("1", "2", "3", "4"))
        leased = await house[name].lease(LeaseAsk(2))
        entries = (Ack(leased.token, ((1, 1),)), Nack(leased.token, ((2, 2),), delay=60_000, error="e"))
        first = await house[name].settle(entries, lease=LeaseAsk(1), key="k")
        again = await house[name].settle(entries, lease=LeaseAsk(1), key="k")
        assert again.entries == first.entries
        assert (again.lease.token, list(again.lease.values)) == (first.lease.token, list(first.lease.values))
        assert (again.replayed, again.lease.spans) == (True, first.lease.spans)
        assert (await house[name].audit()).acked == 1
        await all_settle(house)


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
        assert (first.lease.token, list(first.lease.values)) == (again.lease.token, ["2"])
        assert again.replayed


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
async def test_without_a_key_it_is_maybe_and_fresh_items_are_not_lost(opened, fault):
    async with opened({"ids": "count()"}) as house:
        leased = await house["ids"].lease(LeaseAsk(2))
        house.disk.faults.append(fault)
        with pytest.raises(OutcomeUnknown if fault == "present" else LedgerUnavailable):
            await house["ids"].settle((Ack(leased.token),), lease=LeaseAsk(3))
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


async def test_a_full_queue_refuses_its_producers_and_not_its_workers(opened):
    full = Definition(None, {"max_ready": 2})
    async with opened({"jobs": None, "done": full}) as house:
        await house["done"].push(parcel("1", "2"))
        with pytest.raises(QueueFull) as caught:
            await house["done"].push(parcel("3"))
        assert (caught.value.limit, caught.value.retry_after) == (2, 1.0)
        await house["jobs"].push(parcel("1"))
        leased = await house["jobs"].lease(LeaseAsk())
        settled = await house["jobs"].settle((Ack(leased.token, push=(Result("done", "3"),)),))
        assert settled.entries[0][0].verdict == "acked"
        held = await house["done"].lease(LeaseAsk(2))
        await house["done"].push(parcel("4"))  # what is leased does not wait
        assert held.count == 2


@pytest.mark.parametrize(("target", "reason"), [("none", "unknown"), ("closed", "closed"), ("ids", "source")])
async def test_a_target_that_takes_nothing_leaves_the_lease_alone(opened, target, reason):
    async with opened({"ids": "count()", "jobs": None, "closed": None}) as house:
        await house["closed"].close()
        await house["jobs"].push(parcel("1"))
        leased = await house["jobs"].lease(LeaseAsk())
        [[settled]] = (await house["jobs"].settle((Ack(leased.token, push=(Result(target, "1"),)),))).entries
        assert (settled.verdict, settled.reason, settled.target) == ("refused", reason, target)
        assert (await house["jobs"].audit()).leased == 1


@pytest.mark.parametrize(("name", "reason"), [("ids", "source-fed"), ("closed", "closed")])
async def test_a_push_where_none_can_be(opened, name, reason):
    async with opened({"ids": "count()", "closed": None}) as house:
        await house["closed"].close()
        with pytest.raises(QueueConflict) as caught:
            await house[name].push(parcel("1"))
        assert caught.value.reason == reason
        assert (await house[name].audit()).cursor == 0


async def test_a_stream_goes_on_where_its_key_stands(opened, tmp_path):
    async with opened({"jobs": None}, data=tmp_path) as house, house["jobs"].stream("s") as stream:
        assert stream.state.bytes == 0
        await stream.push(parcel("1", "2"), Progress(20, 2, 7))
        await house["jobs"].push(parcel("9"))
        await stream.push(parcel("3", keys=("k",)), Progress(30, 3, 8))
    async with opened(data=tmp_path) as house:
        async with house["jobs"].stream("s") as stream:
            assert stream.state == (30, 3, 8, 3, 0, ((1, 2), (4, 4)))
            house.disk.faults.append("present")
            state = await stream.push(parcel("4", "3", keys=(None, "k")), Progress(50, 5, 9))
            assert state == (50, 5, 9, 4, 1, ((1, 2), (4, 5)))
            house.disk.faults.append("absent")
            with pytest.raises(LedgerUnavailable):
                await stream.push(parcel("5"), Progress(60, 6, 10))
            assert (await stream.push(parcel("5"), Progress(60, 6, 10))).accepted == 5
        assert (await house["jobs"].audit()).cursor == 6


async def test_two_senders_of_one_stream_take_turns(opened, soon):
    async with opened({"jobs": None}) as house:
        async with house["jobs"].stream("s") as stream:

            async def second() -> int:
                async with house["jobs"].stream("s") as other:
                    return other.state.bytes

            waiting = await soon(second())
            await stream.push(parcel("1"), Progress(10, 1, 1))
            assert not waiting.done()
        assert await waiting == 10


async def test_settings_change_at_any_time_and_the_source_does_not(opened, tmp_path):
    async with opened({"ids": "count()"}, data=tmp_path) as house:
        await house["ids"].take(3)
        leased = await house["ids"].lease(LeaseAsk(1))
        changed = {"max_attempts": 1}
        info = await house.queues.define("ids", house["ids"].spec, settings=changed)
        assert (info.cursor, info.settings.max_attempts) == (4, 1)
        before = len(house.disk.ops(Define))
        assert (await house.queues.define("ids", house["ids"].spec)).settings == info.settings
        assert len(house.disk.ops(Define)) == before
        [[settled]] = (await house["ids"].settle((Nack(leased.token, error="e"),))).entries
        assert settled.verdict == "dead"
    async with opened({"ids": "count()"}, data=tmp_path) as house:
        assert house["ids"].info().settings == info.settings
        [item] = (await house["ids"].page("dead")).items
        assert (item.seq, item.value, item.error) == (4, "4", "e")
        assert (await house["ids"].redrive()).count == 1
        assert (await house["ids"].lease(LeaseAsk())).spans[0] == (4, 4, 1)


async def test_a_crowd_of_settles_is_few_transactions(opened, eventually):
    async with opened({"jobs": None}) as house:
        await house["jobs"].push(parcel(*map(str, range(200))))
        leases = await asyncio.gather(*(house["jobs"].lease(LeaseAsk()) for _ in range(200)))
        assert sorted(int(value) for leased in leases for value in leased.values) == list(range(200))
        house.disk.door.shut()
        first = asyncio.ensure_future(house["jobs"].settle((Ack(leases[0].token),)))
        await house.disk.door.somebody()
        rest = [asyncio.ensure_future(house["jobs"].settle((Ack(leased.token),))) for leased in leases[1:]]
        await eventually(lambda: house.in_line == 199)
        before = len(house.disk.batches)
        house.disk.door.open()
        await asyncio.gather(first, *rest)
        assert len(house.disk.batches) - before == 2
        assert len(house.disk.ops(Settle)) == 200
        assert len(house.disk.ops(Push)) == 1
        await all_settle(house)
