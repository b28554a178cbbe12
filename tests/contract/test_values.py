"""Values are immutable and exact: every one comes back as it was, whatever became of its neighbours."""

from __future__ import annotations

import json
import random

import pytest
from asks import lease, settle
from dibs.ledger.ops import Define, Delete, OpFailed
from dibs.ledger.serve import Drawn
from dibs.ledger.work import Ack, Nack, Parcel, Purge, Push, QueueSettings, Release, Result, Sweep
from words import serve

KIB = 1024


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "0",
        "-0.0",
        "1e400",
        "9007199254740993",
        '""',
        '" "',
        '"ä ß 漢字 🦜 \u2028 \u0301"',
        '"\\u0000\\ud83d\\ude00"',
        '"\x7f"',
        '{"b": 1, "a": [1, 2.50, null], "a": 2}',
        "[[[[[[[[[[]]]]]]]]]]",
        '","',
        '"],["',
        json.dumps("x" * (256 * KIB - 2)),
        json.dumps("漢" * (85 * KIB), ensure_ascii=False),
    ],
)
def test_a_value_is_kept_to_the_byte(ledger, text):
    queue = ledger.jobs(text, '"next"', text)
    assert [item.text for item in ledger.items(queue)] == [text, '"next"', text]
    ledger.restart()
    assert ledger.claim(queue).values == (text, '"next"', text)
    ledger.one(queue, Ack("t", ((2, 2),)))
    ledger.one(queue, Release("t"))
    assert ledger.claim(queue, token="u").values == (text, text)


def test_large_and_small_values_of_many_blocks_keep_their_order(ledger):
    rng = random.Random(7)
    texts = [json.dumps("x" * rng.choice([0, 3, 100, 7 * KIB, 65 * KIB]) + str(n)) for n in range(300)]
    queue = ledger.jobs(*texts[:100])
    for text in texts[100:120]:
        ledger.push(queue, text)
    ledger.push(queue, *texts[120:])
    assert [item.text for item in ledger.items(queue)] == texts
    got = []
    while (claimed := ledger.claim(queue, rng.randint(1, 40), f"t{len(got)}", room=300 * KIB)).size:
        got += claimed.values
        assert claimed.size == 1 or sum(map(len, claimed.values)) <= 300 * KIB
    assert got == texts


def test_values_are_given_back_right_after_partial_acks(ledger):
    """Whatever was acked of a block, its other values stay and stay in place."""
    rng = random.Random(11)
    texts = {seq: json.dumps(f"{seq} " + "ä" * rng.randint(0, 900)) for seq in range(1, 401)}
    queue = ledger.jobs(*texts.values())
    left = set(texts)
    for turn in range(12):
        claimed = ledger.claim(queue, rng.randint(40, 300), f"t{turn}")
        seqs = ledger.seqs(claimed)
        assert claimed.values == tuple(texts[seq] for seq in seqs)
        acked = sorted(rng.sample(seqs, rng.randint(1, len(seqs) // 2)))
        told = ledger.one(queue, Ack(f"t{turn}", tuple((seq, seq) for seq in acked)))
        assert told == [(seq, "acked") for seq in acked]
        ledger.one(queue, rng.choice([Release(f"t{turn}"), Nack(f"t{turn}", delay=0)]))
        left -= set(acked)
        assert {item.seq: item.text for item in ledger.items(queue)} == {seq: texts[seq] for seq in left}


def test_values_outlive_a_block_s_neighbours_in_every_state(ledger):
    queue = ledger.jobs(*(f'"{n}"' for n in range(1, 10)), max_attempts=1)
    ledger.claim(queue, 7)
    ledger.time.pass_(1)
    ledger.settle(
        queue,
        Ack("t", ((1, 2),)),
        Nack("t", ((4, 5),)),
        Release("t", ((7, 7),)),
    )
    ledger.do(Purge(queue, ("dead",)))
    assert {item.seq: item.text for item in ledger.items(queue)} == {
        seq: f'"{seq}"' for seq in (3, 6, 7, 8, 9)
    }
    assert ledger.claim(queue, token=None).values == ('"8"', '"9"', '"7"')
    assert [item.text for item in ledger.items(queue)] == ['"3"', '"6"']


def bury_and_purge(ledger, queue: int) -> None:
    ledger.claim(queue)
    ledger.one(queue, Nack("t"))
    ledger.do(Purge(queue, ("dead",)))


def sweep(ledger, queue) -> None:
    while ledger.do(Sweep(queue)).rest is not None:
        pass


WAYS_OUT = {
    "ack": lambda ledger, queue: (ledger.claim(queue), ledger.one(queue, Ack("t"))),
    "ack in parts": lambda ledger, queue: (
        ledger.claim(queue),
        ledger.one(queue, Ack("t", tuple((item.seq, item.seq) for item in ledger.items(queue)[::2]))),
        ledger.one(queue, Ack("t")),
    ),
    "ack backwards": lambda ledger, queue: (
        ledger.claim(queue),
        ledger.settle(queue, *(Ack("t", ((i.seq, i.seq),)) for i in ledger.items(queue)[::-1])),
    ),
    "take": lambda ledger, queue: ledger.claim(queue, token=None),
    "purge": lambda ledger, queue: ledger.do(Purge(queue, ("waiting",))),
    "purge the dead": bury_and_purge,
    "delete": lambda ledger, queue: (ledger.do(Delete(queue)), sweep(ledger, queue)),
    "reset": lambda ledger, queue: (
        ledger.do(Define("jobs", "", "{}", True, settings=QueueSettings(1))),
        sweep(ledger, queue),
    ),
}


@pytest.mark.parametrize("leave", WAYS_OUT.values(), ids=WAYS_OUT.keys())
def test_the_room_of_values_is_given_back(ledger, leave):
    """The ledger grows with what is inside, not with what ever was."""
    if not ledger.engine.durable:
        pytest.skip("a ledger in memory has no file whose size could be looked at")
    for _ in range(12):
        queue = ledger.jobs(max_attempts=1)
        ledger.push(queue, *(json.dumps("x" * 4_000) for _ in range(100)))
        leave(ledger, queue)
        assert ledger.items(queue) == []
    ledger.restart()
    ledger.tidy()
    assert ledger.engine.size() < 12 * 400_000 / 3


def test_what_can_not_be_stored_is_the_op_s_fault_and_the_engine_works_on(ledger):
    queue = ledger.jobs("1")
    for text in ('"\ud800"', '"\udfff"'):
        ledger.refuses(Push(queue, (Parcel(("2",)),)), Push(queue, (Parcel((text,)),)))
    assert list(ledger.push(queue, "2").seqs) == [2]


@pytest.mark.parametrize("text", ['{"a":\n 1}', '"a"\n', "[1,\r\n2]", "\n\n1"])
def test_a_line_break_between_tokens_damages_nothing(ledger, text):
    """JSON allows it as white space: it is kept, or it is the op's fault, and its neighbours are well."""
    queue, source, target = ledger.jobs('"before"'), ledger.define("q", "lines").id, ledger.jobs(name="done")
    ledger.claim(queue, 1, "ack")
    for op in (
        Push(queue, (Parcel(('"1"', text, '"3"')),)),
        serve(ledger.engine, queue, settle(Ack("ack", push=(Result("done", text),)))),
        serve(ledger.engine, source, lease("t", 2, ttl=10), drawn=Drawn(1, (text, '"2"'))),
    ):
        try:
            ledger.do(op)
        except (OpFailed, ValueError):
            continue
    ledger.push(queue, '"after"')
    ledger.push(target, '"after"')
    ledger.time.pass_(30_000)
    for one in (queue, target, source):
        items = [json.loads(item.text) for item in ledger.items(one)]
        assert [json.loads(value) for value in ledger.claim(one, token=None).values or ()] == items
