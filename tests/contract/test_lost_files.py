"""The files go away under a running ledger: nothing is handed out, and nothing of what was, again."""

import logging
import os
import shutil
import threading
from contextlib import suppress

import apsw
import pytest
from dibs.errors import LedgerDamaged, LedgerUnavailable
from dibs.ledger import open_ledger
from dibs.ledger.ops import EngineFailed
from dibs.ledger.sqlite.engine import SqliteEngine
from dibs.ledger.sqlite.scrub import Scrub
from words import define, taken


@pytest.fixture
def engine(tmp_path):
    engine = SqliteEngine(tmp_path / "data")
    taken(engine, define(engine), 3)
    yield engine
    engine.close()


def lose(engine, name):
    (engine.folder / name).unlink()


def replace(engine, name):
    """Another file under the same name, as a program does that writes a new one and renames it."""
    copy = engine.folder / "copy"
    shutil.copy(engine.folder / name, copy)
    copy.replace(engine.folder / name)


def test_while_all_is_there_nothing_is_missing(engine):
    assert engine.trouble() is None
    assert engine.rescue() is None
    taken(engine, 1, 300)
    engine.reopen()
    assert engine.trouble() is None


@pytest.mark.parametrize("name", ["dibs.db", "dibs.db-wal", "dibs.db-shm", "lock"])
def test_a_file_that_is_gone_or_replaced_is_named(engine, name):
    replace(engine, name)
    assert str(engine.trouble()) == f"{name} was replaced in {engine.folder}; nothing was handed out"
    lose(engine, name)
    assert isinstance(engine.trouble(), LedgerUnavailable)
    assert str(engine.trouble()) == f"{name} is missing from {engine.folder}; nothing was handed out"


def test_a_folder_that_is_gone_or_replaced_is_named(engine):
    folder = engine.folder
    elsewhere = folder.with_name("elsewhere")
    folder.rename(elsewhere)
    assert str(engine.trouble()).startswith(f"the data folder {folder} is missing; it is {elsewhere} now")
    folder.mkdir()
    assert str(engine.trouble()).startswith(f"the data folder {folder} was replaced; it is {elsewhere} now")
    folder.rmdir()
    elsewhere.rename(folder)
    assert engine.trouble() is None
    shutil.rmtree(folder)
    assert str(engine.trouble()) == f"the data folder {folder} is missing; nothing was handed out"


# -- what the next start does


def cursor_of_the_next_start(folder):
    engine = open_ledger(folder)
    try:
        return engine.row(1).cursor
    finally:
        engine.close()


@pytest.mark.parametrize("name", ["dibs.db-wal", "dibs.db-shm", "lock"])
def test_beside_the_ledger_itself_a_restart_goes_on_after_what_was_handed_out(engine, name):
    lose(engine, name)
    assert "a restart goes on" in engine.rescue()
    assert engine.rescue() is None  # once
    engine.close()
    assert cursor_of_the_next_start(engine.folder) == 3


@pytest.mark.parametrize("whole_folder", [True, False])
def test_of_a_ledger_that_is_gone_a_copy_is_saved_and_a_restart_does_not_begin_anew(engine, whole_folder):
    if whole_folder:
        shutil.rmtree(engine.folder)
    else:
        lose(engine, "dibs.db")
    told = engine.rescue()
    engine.close()
    [saved] = engine.folder.glob("rescued-*.db")
    assert str(saved) in told
    with pytest.raises(LedgerDamaged, match=saved.name):
        open_ledger(engine.folder)
    for left in engine.folder.glob("dibs.db-*"):
        left.unlink()
    saved.rename(engine.folder / "dibs.db")
    assert cursor_of_the_next_start(engine.folder) == 3


@pytest.mark.parametrize("first", ["dibs.db-shm", "dibs.db-wal", "lock"])
def test_what_goes_after_the_first_file_is_saved_as_well(engine, first):
    """The ledger was in its place when the first file went; it need not be there for long."""
    lose(engine, first)
    assert "a restart goes on" in engine.rescue()
    shutil.rmtree(engine.folder)
    assert "is a copy of all that was handed out" in engine.rescue()
    assert engine.rescue() is None  # once
    engine.close()
    with pytest.raises(LedgerDamaged, match="rescued-"):
        open_ledger(engine.folder)


@pytest.fixture
def reader(engine):
    """Somebody who reads an older state for long: a backup of a large ledger, a foreign program."""
    connection = apsw.Connection(str(engine.folder / "dibs.db"), flags=apsw.SQLITE_OPEN_READONLY)
    connection.execute("BEGIN")
    connection.execute("SELECT * FROM queue").fetchall()
    yield connection
    connection.close(force=True)


def test_a_log_that_is_still_read_is_saved_as_a_copy_and_a_start_without_it_is_refused(engine, reader):
    taken(engine, 1, 200)
    lose(engine, "dibs.db-wal")
    told = engine.rescue()
    [saved] = engine.folder.glob("rescued-*.db")
    assert str(saved) in told
    assert (engine.folder / "lock").read_text().endswith(" open\n")
    assert engine.rescue() is None  # one copy is enough
    killed(engine, engine.folder)
    with pytest.raises(LedgerDamaged, match=rf"dibs\.db-wal is missing .*{saved.name}"):
        open_ledger(engine.folder)
    saved.rename(engine.folder / "dibs.db")
    assert cursor_of_the_next_start(engine.folder) == 203


def test_once_nobody_reads_a_log_any_more_it_is_brought_into_the_ledger(engine, reader):
    taken(engine, 1, 200)
    lose(engine, "dibs.db-wal")
    engine.rescue()
    reader.execute("COMMIT")
    assert engine.rescue() == "all that was handed out is in dibs.db: a restart goes on after it"
    killed(engine, engine.folder)
    assert cursor_of_the_next_start(engine.folder) == 203


def test_a_check_of_the_whole_file_does_not_keep_a_log_from_being_saved(engine, monkeypatch):
    begun = threading.Event()

    def endless(scrub):
        with suppress(apsw.InterruptError):
            scrub._connection.execute("BEGIN")
            scrub._connection.execute("SELECT * FROM queue").fetchall()
            begun.set()
            scrub._connection.execute(
                "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT count(*) FROM n"
            )

    with monkeypatch.context() as patch:
        patch.setattr(Scrub, "_run", endless)
        engine.reopen()
    assert begun.wait(60)
    taken(engine, 1, 200)
    lose(engine, "dibs.db-wal")
    assert engine.rescue() == "all that was handed out is in dibs.db: a restart goes on after it"
    killed(engine, engine.folder)
    assert cursor_of_the_next_start(engine.folder) == 203


def test_a_log_that_came_back_and_goes_again_is_saved_again(engine):
    log, kept = engine.folder / "dibs.db-wal", engine.folder.with_name("kept")
    log.rename(kept)
    engine.rescue()
    assert (engine.folder / "lock").read_text().endswith(" closed\n")
    kept.rename(log)
    assert engine.rescue() is None
    assert (engine.folder / "lock").read_text().endswith(" open\n")
    taken(engine, 1, 200)
    lose(engine, "dibs.db-wal")
    assert engine.rescue() == "all that was handed out is in dibs.db: a restart goes on after it"
    killed(engine, engine.folder)
    assert cursor_of_the_next_start(engine.folder) == 203


def test_a_log_in_the_place_of_ours_is_not_taken_for_it(engine):
    replace(engine, "dibs.db-wal")
    taken(engine, 1, 200)
    assert "is a copy of all that was handed out" in engine.rescue()
    engine.close()
    [saved] = engine.folder.glob("rescued-*.db")
    for left in engine.folder.glob("dibs.db*"):
        left.unlink()
    saved.rename(engine.folder / "dibs.db")
    assert cursor_of_the_next_start(engine.folder) == 203


def test_files_are_forgotten_while_somebody_looks_for_them(engine, monkeypatch):
    files = engine.files.guard._files
    look = files._identity

    def identity(name):
        files.forget_log()  # as the committer's thread does that reopens
        return look(name)

    monkeypatch.setattr(files, "_identity", identity)
    assert engine.trouble() is None


def test_a_file_in_the_ledger_s_place_is_left_alone(engine):
    replace(engine, "dibs.db")
    before = (engine.folder / "dibs.db").read_bytes(), (engine.folder / "dibs.db-wal").read_bytes()
    engine.rescue()
    engine.close()
    assert before == ((engine.folder / "dibs.db").read_bytes(), (engine.folder / "dibs.db-wal").read_bytes())


def test_a_ledger_that_was_deleted_between_two_starts_is_not_begun_anew(engine):
    engine.close()
    lose(engine, "dibs.db")
    with pytest.raises(LedgerDamaged, match=r"dibs\.db is missing"):
        open_ledger(engine.folder)
    with pytest.raises(LedgerDamaged, match=r"dibs\.db is missing"):  # and again
        open_ledger(engine.folder)
    for left in engine.folder.iterdir():
        left.unlink()
    engine = open_ledger(engine.folder)
    assert engine.rows() == []
    engine.close()


def killed(engine, to):
    """The files as a kill leaves them, the ledger still the file that it was."""
    kept = {path.name: path.read_bytes() for path in engine.folder.iterdir() if path.is_file()}
    engine.close()
    for name, content in kept.items():
        with (to / name).open("wb") as file:
            file.write(content)


def test_a_log_that_was_deleted_after_a_kill_is_missed(engine):
    killed(engine, engine.folder)
    lose(engine, "dibs.db-wal")
    for _ in range(2):
        with pytest.raises(LedgerDamaged, match=r"dibs\.db-wal is missing"):
            open_ledger(engine.folder)
    lose(engine, "lock")  # to go on all the same
    open_ledger(engine.folder).close()


def test_after_a_kill_all_goes_on(engine):
    killed(engine, engine.folder)
    assert cursor_of_the_next_start(engine.folder) == 3


def test_a_backup_in_the_place_of_a_killed_ledger_is_served(engine):
    backup = engine.folder / "backups" / "b.db"
    engine.backup(str(backup))
    killed(engine, engine.folder)
    for left in engine.folder.glob("dibs.db*"):
        left.unlink()
    shutil.copy(backup, engine.folder / "dibs.db")
    assert cursor_of_the_next_start(engine.folder) == 3


# -- reopening


def test_a_ledger_that_is_gone_is_not_made_anew(engine):
    kept = engine.folder.with_name("kept")
    kept.mkdir()
    for path in engine.folder.glob("dibs.db*"):
        shutil.move(path, kept)
    with pytest.raises(EngineFailed, match="is missing from"):
        engine.reopen()
    assert not (engine.folder / "dibs.db").exists()
    assert engine.row(1).cursor == 3  # what is open is all that is left of it
    for path in kept.iterdir():
        shutil.move(path, engine.folder)
    engine.reopen()
    assert [row.cursor for row in engine.rows()] == [3]


def test_a_reopening_that_fails_misses_no_log_that_it_closed_itself(engine):
    engine.files.disconnect()  # as in a reopening that fails
    engine.reopen()
    assert engine.trouble() is None
    assert engine.row(1).cursor == 3


def test_another_ledger_in_its_place_is_not_taken_for_it(engine, tmp_path):
    other = SqliteEngine(tmp_path / "other")
    define(other)
    other.close()
    for path in engine.folder.glob("dibs.db*"):
        path.unlink()
    shutil.copy(tmp_path / "other" / "dibs.db", engine.folder)
    with pytest.raises(EngineFailed, match="was replaced in"):
        engine.reopen()


def test_room_that_can_not_be_held_back_is_a_fault_of_the_disk(engine):
    ballast = engine.folder / "ballast"
    ballast.unlink()
    ballast.mkdir()
    with pytest.raises(EngineFailed):
        engine.reserve()


# -- who may read it


@pytest.fixture(params=[0o000, 0o022, 0o777], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(folder):
    return {str(path.relative_to(folder)): path.stat().st_mode & 0o777 for path in folder.rglob("*")}


@pytest.mark.usefixtures("umask")
def test_the_folder_and_its_files_are_for_their_owner_only_whatever_the_umask(tmp_path):
    engine = SqliteEngine(tmp_path / "data")
    define(engine)
    engine.backup(str(tmp_path / "data" / "backups" / "b.db"))
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert modes(tmp_path / "data") == {
        "backups": 0o700,
        "backups/b.db": 0o600,
        **dict.fromkeys(("ballast", "dibs.db", "dibs.db-wal", "dibs.db-shm", "lock"), 0o600),
    }
    engine.close()


def test_a_folder_of_an_older_release_is_tightened(engine):
    engine.backup(str(engine.folder / "backups" / "b.db"))
    engine.close()
    for path in (engine.folder, *engine.folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    open_ledger(engine.folder).close()
    assert engine.folder.stat().st_mode & 0o777 == 0o700
    assert set(modes(engine.folder).values()) == {0o700, 0o600}


def test_a_folder_with_other_things_in_it_keeps_its_mode_and_the_ledger_is_private(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o755)
    (tmp_path / "data" / "my.txt").touch(0o644)
    open_ledger(tmp_path / "data").close()
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "data" / "my.txt").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "data" / "dibs.db").stat().st_mode & 0o777 == 0o600


def test_a_folder_of_another_owner_is_warned_about(engine, monkeypatch, caplog):
    engine.close()
    engine.folder.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with caplog.at_level(logging.WARNING, "dibs.ledger"):
        open_ledger(engine.folder).close()
    assert engine.folder.stat().st_mode & 0o777 == 0o755
    assert f"{engine.folder} belongs to another user" in caplog.text
