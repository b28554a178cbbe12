"""Answers are kept until they expire, in the ledger's time, and pruned then."""

from __future__ import annotations

import json

import apsw
import pytest
from asks import LENGTH, take
from dibs.ledger.ops import Pause
from dibs.ledger.serve import Drawn, Key
from dibs.ledger.sqlite.engine import SqliteEngine
from dibs.ledger.work import FOREVER, Parcel, Push
from words import apply, define, serve, served, taken


class File:
    """A ledger, and a look at its file from outside."""

    def __init__(self, folder, time, source: str = "count") -> None:
        self.time = time
        self.engine = SqliteEngine(folder, clock=time.clock)
        self.queue = define(self.engine, source=source)
        self._outside = apsw.Connection(str(folder / "dibs.db"), flags=apsw.SQLITE_OPEN_READONLY)

    def see(self, statement: str) -> list:
        return self._outside.execute(statement).fetchall()

    def count(self, table: str) -> int:
        return self.see(f"SELECT count(*) FROM {table}")[0][0]

    def take(self, *lives: int, name: str = "k") -> None:
        """A take under a key of its own for each of these lives, all in one transaction."""
        asks = [
            serve(self.engine, self.queue, take(1, Key(f"{name}{n}", "d")), length=LENGTH, key_ttl=ttl)
            for n, ttl in enumerate(lives, 1)
        ]
        apply(self.engine, *asks)

    def pause(self) -> None:
        """Something that is written."""
        apply(self.engine, Pause(self.queue, True))

    def close(self) -> None:
        self._outside.close()
        self.engine.close()


@pytest.fixture
def file(tmp_path, time):
    opened = File(tmp_path, time)
    yield opened
    opened.close()


def test_the_time_is_that_of_the_ledger_not_of_the_wall(ledger):
    queue = ledger.define().id
    ask = take(1, Key("k", "d"))
    ledger.round(queue, ask, length=LENGTH, key_ttl=5_000)
    ledger.time.wall += 1_000_000
    assert ledger.round(queue, ask, length=LENGTH)[0].replayed
    ledger.time.wall -= 2_000_000
    ledger.time.monotonic += 5_000
    assert not ledger.round(queue, ask, length=LENGTH)[0].replayed


def test_a_million_numbers_are_kept_as_their_bounds(file, tmp_path):
    taken(file.engine, file.queue, 10**6, Key("k", "d"))
    assert sum(path.stat().st_size for path in tmp_path.glob("dibs.db*")) < 200_000


def test_expired_answers_are_pruned_from_the_disk_and_live_ones_stay(file, time):
    file.take(*[10_000] * 5, name="old")
    file.take(3_600_000, name="new")
    time.pass_(10_000 - 1)
    file.pause()
    time.pass_(1)
    file.pause()
    assert file.count("answer") == 6  # not at each commit: once a second
    time.pass_(1_000)
    file.pause()
    assert file.see("SELECT key FROM answer") == [("new1",)]


def test_a_backlog_of_expired_answers_is_pruned_in_bounded_steps(file, time):
    file.take(*[1] * 501)
    left = []
    time.pass_(1_001)
    for _ in range(4):
        file.pause()
        left.append(file.count("answer"))
    assert left == [301, 101, 0, 0]


def test_answers_are_pruned_in_the_order_in_which_they_expire(file, time):
    """Those that live for ever, or long, keep none of the others on the disk."""
    file.take(*[FOREVER, 86_400_000, 10_000] * 100, 5_000, FOREVER)
    left = []
    for passed in (5_000, 5_000, 86_390_000, FOREVER // 2):
        time.pass_(passed)
        file.pause()
        left.append(file.count("answer"))
    assert left == [301, 201, 101, 101]
    assert taken(file.engine, file.queue, 1, Key("k1", "d")).replayed


def test_keys_are_pruned_faster_than_they_are_learned(tmp_path, time):
    """Else they would pile up for ever where each transaction learns thousands."""
    file = File(tmp_path, time, source="")

    def learn(name: str, count: int) -> int:
        keys = tuple(f"{name}-{n}" for n in range(count))
        apply(file.engine, Push(file.queue, (Parcel(("1",) * count, keys=keys),), key_ttl=1))
        time.pass_(10)
        return file.count("item_key")

    assert learn("backlog", 9_000) == 9_000
    time.pass_(1_000)
    left = [learn(f"n{n}", 2_000) for n in range(6)]
    assert left == [7_000, 5_000, 3_000, 2_000, 4_000, 6_000]  # all is pruned; the next is in a second
    file.close()


def test_what_is_filed_is_json(tmp_path, time):
    """So that another program, or a later version, can read it."""
    file = File(tmp_path, time, source="lines")
    served(file.engine, file.queue, take(2, Key("k", "d")), drawn=Drawn(1, ("1", '"x"')))
    [(outcome, values)] = file.see("SELECT outcome, item_values FROM answer")
    assert json.loads(outcome) == ["served", [], [[[1, 2, 1]], None, None, None], "open"]
    assert [json.loads(line) for line in values.split("\n")] == [1, "x"]
    file.close()


def test_a_session_whose_answer_was_pruned_begins_again(file, time):
    def ask(n: int, name: str = "s"):
        return taken(file.engine, file.queue, 1, Key(name, f"d{n}", n))

    ask(1)
    ask(2)
    time.pass_(2 * 86_400_000)
    file.pause()
    apply(file.engine, Pause(file.queue, False))
    assert file.count("answer") == 0
    other = ask(1, "other")  # gets the row's number
    third = ask(3)
    assert not third.replayed
    assert ask(3).replayed
    assert ask(3).handed.spans == third.handed.spans
    assert ask(1, "other").handed.spans == other.handed.spans
