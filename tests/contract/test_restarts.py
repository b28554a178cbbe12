"""What was applied is there after a restart, all of it; ledger time never goes back."""

from __future__ import annotations

import pytest
from asks import take
from dibs.ledger.clock import LedgerClock
from dibs.ledger.ops import Advance, Close, Define, Delete, Pause
from dibs.ledger.serve import Drawn, End, Key, Keyed, Replay, Serve
from dibs.ledger.sqlite.engine import SqliteEngine
from words import apply, define, taken

HOUR = 3_600_000


def test_a_restart_keeps_every_row_and_every_answer(ledger):
    names = "open", "failed", "closed", "deleted", "jumped", "reset"
    ids = {name: ledger.define(name, "lines").id for name in names}
    kept = Serve(ids["open"], 1, (take(3, Key("k", "d")),), Drawn(1, ('"ä"', "2", "3"), mark="text"))
    failed = Drawn(1, ("1",), End("failed", "Ümlaut", "naïve \0 message"))
    deleting = Keyed(Delete(ids["deleted"]), Key("d", "d"))
    ledger.take(ids["deleted"], 7)
    [first], *_, tombstone = apply(
        ledger.engine,
        kept,
        Serve(ids["failed"], 1, (take(),), failed),
        Close(ids["closed"]),
        Advance(ids["jumped"], 2**53 - 1),
        Pause(ids["jumped"], True),
        Define("reset", "range", '{"stop": 1}', reset=True),
        deleting,
    )
    rows = ledger.engine.rows()
    assert [row.cursor for row in rows] == [0, 7, 1, 2**53 - 1, 3, 0]
    for _ in range(2):
        ledger.restart()
        assert ledger.engine.rows() == rows
        [again], deleted = apply(ledger.engine, kept, deleting)
        assert (again, deleted) == (
            first._replace(handed=first.handed._replace(fresh=False), replayed=True),
            Replay(tombstone),
        )
    ledger.take(ids["open"])


def test_a_reopening_keeps_what_was_applied(ledger):
    """``reopen`` is what the committer does after a failed commit: it must not lose what stood before."""
    queue = ledger.define().id
    ledger.take(queue, 3)
    rows = ledger.engine.rows()
    ledger.engine.reopen()
    assert ledger.engine.rows() == rows
    ledger.take(queue)
    assert ledger.engine.row(queue).cursor == 4


def test_two_ledgers_in_memory_share_nothing():
    one, other = SqliteEngine(None), SqliteEngine(None)
    define(one)
    assert other.rows() == []
    one.close()
    other.close()


def test_time_goes_on_over_a_restart_with_the_wall_clock_set_back(tmp_path, time):
    engine = SqliteEngine(tmp_path, clock=time.clock)
    before = engine.now()
    engine.close()
    time.wall -= HOUR
    engine = SqliteEngine(tmp_path, clock=time.clock)
    assert engine.now() >= before
    time.pass_(70)
    assert engine.now() >= before + 70
    engine.close()


def test_time_is_persisted_at_a_close_however_quiet_the_ledger_was(tmp_path, time):
    engine = SqliteEngine(tmp_path, clock=time.clock)
    time.pass_(HOUR)
    last = engine.now()
    engine.close()
    time.wall -= 2 * HOUR
    engine = SqliteEngine(tmp_path, clock=time.clock)
    assert engine.now() == last
    engine.close()


def test_a_crash_loses_no_more_than_a_second_of_time(tmp_path, time):
    """A copy of the files while the engine runs is what a crash leaves."""
    engine = SqliteEngine(tmp_path / "a", clock=time.clock)
    queue = define(engine)
    time.pass_(5_000)
    taken(engine, queue)
    time.pass_(999)
    taken(engine, queue)
    last = engine.now()
    (tmp_path / "b").mkdir()
    for path in (tmp_path / "a").glob("dibs.db*"):
        (tmp_path / "b" / path.name).write_bytes(path.read_bytes())
    engine.close()
    time.wall -= HOUR
    crashed = SqliteEngine(tmp_path / "b", clock=time.clock)
    assert last - 1_000 < crashed.now() <= last
    assert crashed.row(queue).cursor == 2
    crashed.close()


def test_an_answer_s_life_goes_on_over_a_restart(ledger):
    queue = ledger.define().id
    ask = take(1, Key("k", "d"))
    ledger.round(queue, ask, length=9, key_ttl=5_000)
    ledger.restart()
    ledger.time.pass_(4_999)
    assert ledger.round(queue, ask, length=9)[0].replayed
    ledger.time.pass_(1)
    assert not ledger.round(queue, ask, length=9)[0].replayed


@pytest.mark.parametrize(
    ("wall", "persisted", "starts_at"),
    [(10_000, 0, 10_000), (10_000, 9_999, 10_000), (10_000, 12_345, 12_345)],
)
def test_the_clock_starts_at_the_later_of_wall_and_persisted(wall, persisted, starts_at):
    monotonic = [7_000_000]
    clock = LedgerClock(persisted, wall=lambda: wall * 1_000_000, monotonic=lambda: monotonic[0])
    assert clock.now() == starts_at
    monotonic[0] += 3_999_999
    assert clock.now() == starts_at + 3
    monotonic[0] += 1
    assert clock.now() == starts_at + 4
