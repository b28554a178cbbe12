"""The files go away under a running ledger: it must not take another one for its own, nor end for good."""

import shutil

import pytest
from dibs.ledger.ops import Define, EngineFailed, Take
from dibs.ledger.sqlite import SqliteEngine


@pytest.fixture
def engine(tmp_path):
    engine = SqliteEngine(tmp_path / "data")
    engine.apply([Define("q", "count", "{}"), Take(1, 1, 3)])
    yield engine
    engine.close()


def test_a_ledger_that_is_gone_is_not_made_anew(engine):
    kept = engine.folder.with_name("kept")
    kept.mkdir()
    for path in engine.folder.glob("dibs.db*"):
        shutil.move(path, kept)
    with pytest.raises(EngineFailed):
        engine.reopen()
    assert not (engine.folder / "dibs.db").exists()
    for path in kept.iterdir():
        shutil.move(path, engine.folder)
    engine.reopen()
    assert [row.cursor for row in engine.rows()] == [3]


def test_another_ledger_in_its_place_is_not_taken_for_it(engine, tmp_path):
    other = SqliteEngine(tmp_path / "other")
    other.apply([Define("q", "count", "{}")])
    other.close()
    for path in engine.folder.glob("dibs.db*"):
        path.unlink()
    shutil.copy(tmp_path / "other" / "dibs.db", engine.folder)
    with pytest.raises(EngineFailed, match="another ledger"):
        engine.reopen()


def test_room_that_can_not_be_held_back_is_a_fault_of_the_disk(engine):
    ballast = engine.folder / "ballast"
    ballast.unlink()
    ballast.mkdir()
    with pytest.raises(EngineFailed):
        engine.reserve()
