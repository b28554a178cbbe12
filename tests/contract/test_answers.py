"""Remembered in the same transaction as what it answers; recalled until it expires; pruned after."""

from __future__ import annotations

import json
from dataclasses import asdict

import apsw
import pytest
from dibs.ledger.ops import Advance, Close, Define, Delete, Pause, Retry, SourceEnd, Take
from dibs.ledger.sqlite.engine import SqliteEngine
from dibs.ledger.work import FOREVER, Parcel, Push


def test_a_take_is_recalled_with_its_first_seq_and_its_values(ledger, under):
    queue = ledger.define().id
    kept = ('"a"', '"b"', '"c"')
    ledger.engine.apply([Take(queue, 1, 4), Take(queue, 5, 3, remember=under("k", "take 3", values=kept))])
    found = ledger.engine.recall(queue, 1, "", "k")
    assert (found.request, dict(found.outcome), found.values, found.wide) == (
        "take 3",
        {"first": 5, "ending": None},
        kept,
        False,
    )


def test_a_take_that_met_the_end_says_so(ledger, under):
    queue = ledger.define().id
    ledger.do(Take(queue, 1, 2, end=SourceEnd("exhausted"), remember=under("k")))
    assert ledger.engine.recall(queue, 1, "", "k").outcome["ending"] == "exhausted"


@pytest.mark.parametrize(
    "values",
    [
        (),
        ('"ä\\u0000"', '{"a": [1, 2.5, null]}', '""', "1" * 100_000),
        range(0),
        range(5, 8),
        range(10, -20, -7),
        range(2**70, 2**70 + 10**6),
    ],
    ids=["none", "texts", "no numbers", "numbers", "downwards", "wide"],
)
@pytest.mark.parametrize("wide", [False, True])
def test_values_come_back_as_they_were(ledger, under, values, wide):
    queue = ledger.define().id
    ledger.do(Take(queue, 1, 1, remember=under("k", values=values, wide=wide)))
    found = ledger.engine.recall(queue, 1, "", "k")
    assert (found.values, type(found.values), found.wide) == (values, type(values), wide)


def test_a_million_numbers_are_kept_as_their_bounds(tmp_path, under):
    engine = SqliteEngine(tmp_path)
    queue = engine.apply([Define("q", "count", "{}")])[0].id
    engine.apply([Take(queue, 1, 10**6, remember=under("k", values=range(1, 10**6 + 1)))])
    assert sum(path.stat().st_size for path in tmp_path.glob("dibs.db*")) < 200_000
    engine.close()


@pytest.mark.parametrize(
    "op",
    [
        lambda q, r: Pause(q, True, r),
        Close,
        lambda q, r: Advance(q, 8, remember=r),
        Delete,
    ],
    ids=["pause", "close", "advance", "delete"],
)
def test_other_ops_are_recalled_by_the_row_they_left(ledger, under, op):
    queue = ledger.define().id
    row = ledger.do(op(queue, under("k", "that")))
    found = ledger.engine.recall(queue, 1, "", "k")
    assert (found.request, dict(found.outcome), found.values) == ("that", asdict(row), ())
    assert row == ledger.engine.row(queue)


def test_a_retry_and_a_definition_are_recalled_by_the_row_they_left(ledger, under):
    row = ledger.define("q", remember=under("d"))
    assert dict(ledger.engine.recall(row.id, 1, "", "d").outcome) == asdict(row)
    ledger.do(Take(row.id, 1, 0, end=SourceEnd("failed", "E", "m")))
    lifted = ledger.do(Retry(row.id, under("r")))
    assert dict(ledger.engine.recall(row.id, 1, "", "r").outcome) == asdict(lifted)


def test_a_reset_files_its_key_in_the_generation_it_begins(ledger, under):
    queue = ledger.define().id
    ledger.define("q", reset=True, remember=under("k"))
    assert ledger.engine.recall(queue, 1, "", "k") is None
    assert ledger.engine.recall(queue, 2, "", "k").outcome["generation"] == 2


def test_a_key_belongs_to_queue_generation_and_caller(ledger, under):
    a, b = ledger.define("a").id, ledger.define("b").id
    ledger.do(Take(a, 1, 1, remember=under("k", caller="ann")))
    ledger.do(Take(a, 2, 1, remember=under("k", caller="ben")))
    ledger.do(Take(b, 1, 1, remember=under("k", caller="ann")))
    assert ledger.engine.recall(a, 1, "ann", "k").outcome["first"] == 1
    assert ledger.engine.recall(a, 1, "ben", "k").outcome["first"] == 2
    assert ledger.engine.recall(b, 1, "ann", "k").outcome["first"] == 1
    for queue, generation, caller, key in (
        (a, 1, "", "k"),
        (a, 2, "ann", "k"),
        (b, 1, "ben", "k"),
        (a, 1, "ann", "K"),
    ):
        assert ledger.engine.recall(queue, generation, caller, key) is None


def test_a_key_of_an_old_generation_is_free_in_the_next(ledger, under):
    queue = ledger.define().id
    ledger.do(Take(queue, 1, 1, remember=under("k")))
    anew = ledger.define("q", reset=True).id
    assert ledger.engine.recall(anew, 2, "", "k") is None
    ledger.do(Take(anew, 1, 1, remember=under("k")))
    assert ledger.engine.recall(anew, 2, "", "k").outcome["first"] == 1


def test_a_key_is_found_by_every_row_of_its_queue(ledger, under):
    """A queue that was deleted, and one that was created in its place, know what was answered before."""
    first = ledger.define().id
    ledger.do(Take(first, 1, 1, remember=under("k")))
    ledger.do(Delete(first))
    second = ledger.define("q", "lines").id
    ledger.engine.apply([Take(second, 2, 1, remember=under("l")), Delete(second)])
    third = ledger.define("q", "lines").id
    ledger.restart()
    for queue in (first, second, third):
        assert ledger.engine.recall(queue, 1, "", "k").outcome["first"] == 1
        assert ledger.engine.recall(queue, 1, "", "l").outcome["first"] == 2
    ledger.refuses(Take(third, 3, 1, remember=under("k")))  # it is one key for all of them


def test_a_key_is_filed_once_and_a_second_filing_undoes_its_batch(ledger, under):
    queue = ledger.define().id
    ledger.do(Take(queue, 1, 1, remember=under("k")))
    ledger.refuses(Take(queue, 2, 1, remember=under("k")))
    assert ledger.engine.recall(queue, 1, "", "k").outcome["first"] == 1


def test_a_key_outlives_the_deletion_of_its_queue_and_its_coming_back(ledger, under):
    queue = ledger.define().id
    ledger.do(Take(queue, 1, 1, remember=under("k")))
    ledger.do(Delete(queue))
    assert ledger.engine.recall(queue, 1, "", "k") is not None
    ledger.define()
    assert ledger.engine.recall(queue, 1, "", "k") is not None


def test_a_key_is_kept_until_its_time_is_over_and_not_a_millisecond_more(ledger, under):
    queue = ledger.define().id
    ledger.do(Take(queue, 1, 1, remember=under("k", ttl=5_000)))
    ledger.time.pass_(4_999)
    assert ledger.engine.recall(queue, 1, "", "k") is not None
    ledger.time.pass_(1)
    assert ledger.engine.recall(queue, 1, "", "k") is None


def test_an_expired_key_can_be_filed_again(ledger, under):
    queue = ledger.define().id
    ledger.do(Take(queue, 1, 1, remember=under("k", ttl=5_000)))
    ledger.time.pass_(5_000)
    ledger.do(Take(queue, 2, 1, remember=under("k", "take 1", ttl=5_000)))
    assert ledger.engine.recall(queue, 1, "", "k").outcome["first"] == 2


def test_the_time_is_that_of_the_ledger_not_of_the_wall(ledger, under):
    queue = ledger.define().id
    ledger.do(Take(queue, 1, 1, remember=under("k", ttl=5_000)))
    ledger.time.wall += 1_000_000
    assert ledger.engine.recall(queue, 1, "", "k") is not None
    ledger.time.wall -= 2_000_000
    ledger.time.monotonic += 5_000
    assert ledger.engine.recall(queue, 1, "", "k") is None


def test_expired_answers_are_pruned_from_the_disk_and_live_ones_stay(tmp_path, time, under):
    """Of SQLite's file: what is on disk, seen from outside."""
    engine = SqliteEngine(tmp_path, clock=time.clock)
    queue = engine.apply([Define("q", "count", "{}")])[0].id
    engine.apply([Take(queue, n, 1, remember=under(f"old{n}", ttl=10_000)) for n in range(1, 6)])
    engine.apply([Take(queue, 6, 1, remember=under("new", ttl=3_600_000))])
    looking = apsw.Connection(str(tmp_path / "dibs.db"), flags=apsw.SQLITE_OPEN_READONLY)

    def keys() -> list[str]:
        return [key for (key,) in looking.execute("SELECT key FROM answer ORDER BY id")]

    time.pass_(10_000 - 1)
    engine.apply([Pause(queue, True)])
    time.pass_(1)
    engine.apply([Pause(queue, True)])
    assert len(keys()) == 6  # not at each commit: once a second
    time.pass_(1_000)
    engine.apply([Pause(queue, False)])
    assert keys() == ["new"]
    looking.close()
    engine.close()


def test_a_backlog_of_expired_answers_is_pruned_in_bounded_steps(tmp_path, time, under):
    engine = SqliteEngine(tmp_path, clock=time.clock)
    queue = engine.apply([Define("q", "count", "{}")])[0].id
    engine.apply([Take(queue, n, 1, remember=under(f"k{n}", ttl=1)) for n in range(1, 502)])
    looking = apsw.Connection(str(tmp_path / "dibs.db"), flags=apsw.SQLITE_OPEN_READONLY)
    left = []
    time.pass_(1_001)
    for _ in range(4):
        engine.apply([Pause(queue, True)])
        left.append(looking.execute("SELECT count(*) FROM answer").get)
    assert left == [301, 101, 0, 0]
    looking.close()
    engine.close()


def test_answers_are_pruned_in_the_order_in_which_they_expire(tmp_path, time, under):
    """Those that live for ever, or long, keep none of the others on the disk."""
    engine = SqliteEngine(tmp_path, clock=time.clock)
    queue = engine.apply([Define("q", "count", "{}")])[0].id
    lives = [FOREVER, 86_400_000, 10_000] * 100 + [5_000, FOREVER]
    takes = [Take(queue, n, 1, remember=under(f"k{n}", ttl=ttl)) for n, ttl in enumerate(lives, 1)]
    engine.apply(takes)
    looking = apsw.Connection(str(tmp_path / "dibs.db"), flags=apsw.SQLITE_OPEN_READONLY)
    left = []
    for passed in (5_000, 5_000, 86_390_000, FOREVER // 2):
        time.pass_(passed)
        engine.apply([Pause(queue, True)])
        left.append(looking.execute("SELECT count(*) FROM answer").get)
    assert left == [301, 201, 101, 101]
    assert engine.recall(queue, 1, "", "k1") is not None
    looking.close()
    engine.close()


def test_keys_are_pruned_faster_than_they_are_learned(tmp_path, time):
    """Else they would pile up for ever where each transaction learns thousands."""
    engine = SqliteEngine(tmp_path, clock=time.clock)
    queue = engine.apply([Define("q", "", "{}")])[0].id
    looking = apsw.Connection(str(tmp_path / "dibs.db"), flags=apsw.SQLITE_OPEN_READONLY)

    def learn(name: str, count: int) -> int:
        keys = tuple(f"{name}-{n}" for n in range(count))
        engine.apply([Push(queue, (Parcel(("1",) * count, keys=keys),), key_ttl=1)])
        time.pass_(10)
        return looking.execute("SELECT count(*) FROM item_key").get

    assert learn("backlog", 9_000) == 9_000
    time.pass_(1_000)
    left = [learn(f"n{n}", 2_000) for n in range(6)]
    assert left == [7_000, 5_000, 3_000, 2_000, 4_000, 6_000]  # all is pruned; the next is in a second
    looking.close()
    engine.close()


def test_what_is_filed_is_json(tmp_path, time, under):
    """So that another program, or a later version, can read it."""
    engine = SqliteEngine(tmp_path, clock=time.clock)
    queue = engine.apply([Define("q", "count", "{}")])[0].id
    engine.apply([Take(queue, 1, 2, remember=under("k", values=("1", '"x"')))])
    looking = apsw.Connection(str(tmp_path / "dibs.db"), flags=apsw.SQLITE_OPEN_READONLY)
    outcome, values = looking.execute("SELECT outcome, item_values FROM answer").fetchone()
    assert json.loads(outcome)["first"] == 1
    assert json.loads(values) == ["1", '"x"']
    looking.close()
    engine.close()
