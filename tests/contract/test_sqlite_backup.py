"""Copies of the ledger while it works: of one moment, in one file, openable."""

from __future__ import annotations

import threading

import apsw
import pytest
from asks import LENGTH, take
from dibs.errors import LedgerDamaged, LedgerError, LedgerFull, LedgerUnavailable
from dibs.ledger import open_ledger
from dibs.ledger.sqlite import moved, restoring
from dibs.ledger.sqlite.copied import verify
from dibs.ledger.sqlite.leaving import Leaving
from dibs.ledger.work import Parcel, Push
from words import apply, define, serve, taken


def test_a_backup_is_a_ledger_in_one_file(folder, tmp_path):
    engine = open_ledger(folder)
    (tmp_path / "copy").mkdir()
    size = engine.backup(str(tmp_path / "copy" / "dibs.db"))
    rows = engine.rows()
    engine.close()
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["dibs.db"]
    assert size == (tmp_path / "copy" / "dibs.db").stat().st_size
    copy = open_ledger(tmp_path / "copy")
    assert copy.rows() == rows
    copy.close()


def test_a_backup_is_of_one_moment_while_writes_go_on(folder, tmp_path):
    engine = open_ledger(folder)
    other = define(engine, "other")
    taken(engine, other, 3)
    begun, enough = threading.Event(), threading.Event()

    def write() -> None:
        while not enough.is_set():
            apply(engine, *[serve(engine, queue, take(), length=LENGTH) for queue in (1, other)])
            begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait()
    copies = [tmp_path / f"{n}" for n in range(5)]
    for copy in copies:
        copy.mkdir()
        engine.backup(str(copy / "dibs.db"))
    enough.set()
    writer.join()
    last = engine.row(1).cursor
    engine.close()
    cursors = []
    for copy in copies:
        opened = open_ledger(copy)
        one, two = opened.rows()
        assert one.cursor == two.cursor == one.taken == two.taken
        cursors.append(one.cursor)
        opened.close()
    assert cursors == sorted(cursors)
    assert 3 < cursors[0] <= cursors[-1] <= last


def test_a_backup_that_fails_leaves_nothing_and_harms_nothing(folder, tmp_path):
    engine = open_ledger(folder)
    with pytest.raises(LedgerUnavailable):
        engine.backup(str(tmp_path / "no" / "where" / "dibs.db"))
    taken(engine, 1)
    engine.close()


def test_the_size_is_that_of_all_that_the_ledger_keeps(folder):
    engine = open_ledger(folder)
    taken(engine, 1)
    database = sum(path.stat().st_size for path in folder.glob("dibs.db*"))
    assert 0 < database <= engine.size() <= sum(path.stat().st_size for path in folder.iterdir())
    engine.close()


def test_the_sums_of_a_copy_are_right_though_it_is_larger_than_the_cache(folder, tmp_path):
    """SQLite writes pages out early when its cache of 2 MB is full: before the header, which comes last.

    Pages that are in the log alone, since somebody reads an older state, have no sums there.
    """
    engine = open_ledger(folder)
    jobs = define(engine, "jobs", "")
    reader = apsw.Connection(str(folder / "dibs.db"), flags=apsw.SQLITE_OPEN_READONLY)
    assert reader.execute("BEGIN; SELECT count(*) FROM queue").get > 0
    text = '"' + "x" * 200_000 + '"'
    apply(engine, *[Push(jobs, (Parcel((text,)),), 0) for _ in range(20)])
    engine.backup(str(tmp_path / "copy.db"))  # it is checked
    reader.close(force=True)
    engine.close()
    assert (tmp_path / "copy.db").stat().st_size > 4_000_000
    assert verify(tmp_path / "copy.db").name == "copy.db"
    spoilt = bytearray((tmp_path / "copy.db").read_bytes())
    spoilt[2_000_000] ^= 1
    (tmp_path / "spoilt.db").write_bytes(spoilt)
    with pytest.raises(LedgerDamaged, match="the backup is damaged"):
        verify(tmp_path / "spoilt.db")


@pytest.mark.parametrize(
    ("fault", "told"), [(apsw.FullError("full"), LedgerFull), (apsw.IOError("EIO"), LedgerUnavailable)]
)
def test_a_disk_that_fails_under_a_mark_is_an_error_with_words(folder, tmp_path, monkeypatch, fault, told):
    def fail(*_):
        raise fault

    engine = open_ledger(folder)
    engine.backup(str(tmp_path / "copy.db"))
    engine.close()
    monkeypatch.setattr(restoring, "give_mark", fail)
    monkeypatch.setattr(moved, "mark", fail)
    with pytest.raises(LedgerError) as restored:
        restoring.restore(tmp_path / "copy.db", tmp_path / "to")
    with Leaving(folder) as leaving, pytest.raises(LedgerError) as left:
        leaving.mark("there", "now", 1)
    assert (type(restored.value), type(left.value)) == (told, told)
    assert not (tmp_path / "to").exists()
