"""Over a limit is an error that names field and limit; at the limit is fine."""

from __future__ import annotations

import pytest
from dibs.errors import KeySuperseded, LimitExceeded, QueueConflict, QueueUnknown
from dibs.ledger.serve import Key
from dibs.ledger.work import LAST_PRIORITY, Parcel
from dibs.queue.limits import Limits, check_name

LIMITS = Limits()


@pytest.mark.parametrize("name", ["a", "0", "a.b-c_d", "x" * 64, "...", "-"])
def test_a_name(name):
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", "x" * 65, "A", "a b", "a/b", "ä", "a\0", "a\n", ".", "..", "a%2fb", "{q}", "\ud800"]
)
def test_no_name(name):
    with pytest.raises(LimitExceeded) as caught:
        check_name(name)
    assert caught.value.field == "queue"


async def test_a_name_that_can_not_be_is_told_from_one_that_is_not_there(opened):
    async with opened() as house:
        for name, told in {"q": QueueUnknown, "a/b": LimitExceeded}.items():
            with pytest.raises(told):
                house.queues.get(name)


def test_the_defaults_are_those_of_the_design():
    assert (LIMITS.count, LIMITS.block, LIMITS.handout_bytes) == (10_000, 1_000_000, 4 * 2**20)
    assert (LIMITS.wait, LIMITS.key_bytes, LIMITS.key_ttl) == (30, 255, 86_400)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda queue: queue.redrive(limit=0), "limit"),
        (lambda queue: queue.redrive(rate=0.0001), "rate"),
        (lambda queue: queue.redrive(rate=1e6), "rate"),
        (lambda queue: queue.redrive(((1, 2), (2, 3))), "seqs"),
        (lambda queue: queue.redrive(((3, 2),)), "seqs"),
        (lambda queue: queue.redrive(tuple((seq, seq) for seq in range(1, 20_002))), "seqs"),
        (lambda queue: queue.purge(()), "states"),
        (lambda queue: queue.purge(("waiting", "leased")), "states"),
        (lambda queue: queue.pause(key=""), "Idempotency-Key"),
        (lambda queue: queue.pause(key="k" * 256), "Idempotency-Key"),
        (lambda queue: queue.pause(key="ä" * 128), "Idempotency-Key"),  # 256 bytes
        (lambda queue: queue.pause(key="\ud800"), "Idempotency-Key"),
    ],
)
async def test_what_is_over_a_limit_changes_nothing(opened, call, field):
    async with opened({"q": None}) as house:
        before = len(house.disk.batches)
        with pytest.raises(LimitExceeded) as caught:
            await call(house["q"])
        assert (caught.value.field, len(house.disk.batches)) == (field, before)


async def test_the_last_priority_is_one_that_the_ledger_keeps(opened):
    async with opened({"q": None}) as house:
        await house["q"].push((Parcel(("last",), priority=LAST_PRIORITY), Parcel(("first",))))
        assert list((await house["q"].take(2)).values) == ["first", "last"]


async def test_an_operation_of_a_session_that_has_gone_on_is_refused(opened):
    async with opened({"q": None}) as house:
        queue = house["q"]
        await queue.pause(key=Key("s", "", n=2))
        with pytest.raises(KeySuperseded):
            await queue.resume(key=Key("s", "", n=1))
        assert queue.info().paused


async def test_a_queue_without_a_source_is_not_advanced(opened):
    async with opened({"q": None}) as house:
        with pytest.raises(QueueConflict, match="no source"):
            await house["q"].advance(10)
