"""A key that release 0.3 has filed keeps its answer after the upgrade: the texts here are what it filed."""

from __future__ import annotations

import json
from collections import namedtuple
from dataclasses import asdict
from typing import Any, get_args

import pytest
from dibs.errors import KeyReused
from dibs.ledger.ops import Define
from dibs.ledger.serve import Key, Keyed
from dibs.ledger.sqlite.checksum import of_answer
from dibs.ledger.work import Ack, Entry, Extend, Nack, Parcel, Release, Result
from dibs.queue import LeaseAsk, wording
from dibs.queue.definition import KEPT, queue_settings
from dibs.queue.wording import words
from dibs.sources import SourceSpec

THREE = "QueueSettings(max_attempts=3, backoff=1000, backoff_max=3600000, jitter=0.1, max_ready=None)"
DEFAULTS = "QueueSettings(max_attempts=10, backoff=1000, backoff_max=3600000, jitter=0.1, max_ready=None)"
OTHERS = "QueueSettings(max_attempts=None, backoff=500, backoff_max=2000, jitter=0.0, max_ready=7)"
NAMED = {"max_attempts": 0, "backoff": 0.5, "backoff_max": 2, "jitter": 0, "max_ready": 7}
K = Key("k", "")
ENTRIES = (
    Ack("t", ((1, 2),)),
    Nack("t", ((3, 3),), 500, "it's, dead=False)"),
    Extend("u", 9000),
    Release("v"),
)


@pytest.mark.parametrize(
    ("entries", "lease", "filed"),
    [
        ((Nack("tok", error="x"),), None, "settle 867e6a2f18a4dff259e780208bede2a8"),
        ((Ack("tok"),), None, "settle 0265e55535dc8955027f3700a991d8b5"),
        (ENTRIES, LeaseAsk(2, 60.0, worker="w"), "settle d2adc16654b0f6fa415f83c02afd6f7d"),
    ],
)
async def test_a_settle_is_filed_as_in_0_3(opened, entries, lease, filed):
    async with opened({"jobs": None}) as house:
        await house["jobs"].settle(entries, lease=lease, key="k")
        assert house.disk.batches[-1][0].asks[0].key.digest == filed


async def test_a_nack_that_makes_dead_is_another_request(opened):
    async with opened({"jobs": None}) as house:
        await house["jobs"].push((Parcel(("1",)),))
        token = (await house["jobs"].lease(LeaseAsk())).token
        await house["jobs"].settle((Nack(token),), key="k")
        with pytest.raises(KeyReused):
            await house["jobs"].settle((Nack(token, dead=True),), key="k")


@pytest.mark.parametrize(
    "sent",
    [
        Parcel(("1", '"ü"'), 500, 2, ("k", None)),
        Result("done", "1"),
        Ack("t", ((1, 2),), (Result("done", "1", key="k"),)),
        Nack("t", error="it's, dead=False)", dead=True),
        Extend("u", 9000),
        Release("v"),
    ],
)
def test_a_field_that_comes_later_is_told_only_where_it_is_set(monkeypatch, sent):
    kind = type(sent)
    fields, usual = (*kind._fields, "more"), (*kind._field_defaults.values(), 7)
    later: Any = namedtuple(kind.__name__, fields, defaults=usual)
    monkeypatch.setattr(wording, "FIRST", {**wording.FIRST, later: wording.FIRST[kind]})
    told = repr(sent).replace(", parent=None", "")  # that has come after 0.3
    assert words((later(*sent),)) == words((sent,)) == f"({told},)"
    assert words((later(*sent, more=8), sent)) == f"({told[:-1]}, more=8), {told})"


def test_all_that_is_sent_has_its_words():
    assert wording.FIRST.keys() == {*get_args(Entry), Parcel, Result}


async def test_pushes_redrives_and_purges_are_filed_as_in_0_3(opened):
    async with opened({"jobs": None}) as house:
        jobs, disk = house["jobs"], house.disk
        await jobs.push((Parcel(("1", '"ü"'), 500, 2, ("k", None)),), key="a")
        await jobs.redrive([(1, 3)], 2, 0.5, key="b")
        await jobs.redrive([(seq, seq) for seq in range(1, 40, 2)], key="c")
        await jobs.purge(("dead",), key="d")
        changes = [op for batch in disk.batches for op in batch if isinstance(op, Keyed)]
        assert [op.key.digest for op in changes] == [
            "push 18150a89ec8ef2f31a96a946f72a2e6f",
            "redrive ((1, 3),) 2 0.5",
            "66bfd280de9c9a779d37ce09271d59a6",
            "purge ('dead',)",
        ]


@pytest.mark.parametrize(
    ("filed", "source", "named", "reset"),
    [
        (f"define count(start=5) {THREE} reset=False", "count", {"max_attempts": 3}, False),
        (f"define count(start=5) {OTHERS} reset=True", "count", NAMED, True),
        (f"define pushed {THREE} reset=False", None, {"max_attempts": 3}, False),
        (f"define pushed {THREE} reset=False", KEPT, {"max_attempts": 3}, False),
        (f"define pushed {DEFAULTS} reset=False", KEPT, {}, False),
        ("define pushed reset=False", KEPT, {}, False),
        ("define count(start=5) reset=False", "count", {}, False),
    ],
)
async def test_a_definition_of_0_3_is_replayed(opened, filed, source, named, reset):
    def before(disk) -> None:
        [row] = disk.apply([Define("q", "", "{}")]).outcomes
        outcome = json.dumps({**asdict(row), "wide": False, "start": 0, "stop": 0, "step": 1})
        answer = row.root, row.generation, "", "k", filed, outcome, None, disk.now() + 60_000
        columns = "queue, generation, caller, key, request, outcome, item_values, expires, crc"
        values = *answer, of_answer(*answer)
        disk.files.writer.execute(
            f"INSERT INTO answer ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values
        )

    spec = SourceSpec("count", {"start": 5}) if source == "count" else source
    async with opened(disk=before) as house:
        answer = await house.queues.define("q", spec, settings=queue_settings(**named), reset=reset, key=K)
        assert answer.replayed
        for other in ({**named, "max_attempts": 4}, {**named, "history": 5}):
            with pytest.raises(KeyReused):
                await house.queues.define("q", spec, settings=queue_settings(**other), reset=reset, key=K)
        with pytest.raises(KeyReused):
            await house.queues.define("q", spec, settings=queue_settings(**named), reset=not reset, key=K)
