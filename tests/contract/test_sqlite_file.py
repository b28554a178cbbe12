"""What SQLite's engine promises of its folder: whose file it is, one owner, copies while it works."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import apsw
import pytest
from dibs.errors import LedgerForeign, LedgerLocked, LedgerTooNew, LedgerUnavailable
from dibs.ledger import open_ledger
from dibs.ledger.ops import Advance, EngineFailed
from dibs.ledger.sqlite import readers
from dibs.ledger.sqlite.engine import SqliteEngine
from dibs.ledger.sqlite.files import LOG_BYTES, Files
from dibs.ledger.sqlite.format import APPLICATION_ID, VERSION
from words import apply, define, taken


def sql(folder, statement: str):
    connection = apsw.Connection(str(folder / "dibs.db"))
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def refused(folder, kind: type[Exception], *, ours: bool = False) -> str:
    """The refusal; a file that is not ours is as it was, and the folder is free for the next."""
    path = folder / "dibs.db"
    before = path.read_bytes()
    with pytest.raises(kind) as caught:
        open_ledger(folder)
    assert ours or path.read_bytes() == before
    with pytest.raises(kind):  # not LedgerLocked
        open_ledger(folder)
    return str(caught.value)


def test_the_file_says_whose_it_is_from_the_first(folder):
    assert sql(folder, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert sql(folder, "PRAGMA user_version") == [(VERSION,)]
    (instance,) = sql(folder, "SELECT instance FROM ledger")[0]
    open_ledger(folder).close()
    assert sql(folder, "SELECT instance FROM ledger") == [(instance,)]


def test_a_missing_folder_is_made(tmp_path):
    engine = open_ledger(tmp_path / "a" / "b")
    assert (engine.folder, engine.durable, engine.rows()) == (tmp_path / "a" / "b", True, [])
    engine.close()


def test_memory_is_no_folder():
    engine = open_ledger(":memory:")
    assert (engine.folder, engine.durable, engine.size()) == (None, False, 0)
    engine.close()


def test_an_empty_file_is_a_new_ledger(tmp_path):
    (tmp_path / "dibs.db").touch()
    engine = open_ledger(tmp_path)
    assert engine.rows() == []
    engine.close()


def test_a_newer_format_is_refused(folder):
    sql(folder, f"PRAGMA user_version = {VERSION + 1}")
    assert f"format {VERSION + 1}" in refused(folder, LedgerTooNew)


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE t (x)", "PRAGMA user_version = 1", "PRAGMA application_id = 77"],
    ids=["table", "version", "application"],
)
def test_another_program_s_database_is_refused(tmp_path, statement):
    sql(tmp_path, statement)
    assert "not a ledger of dibs" in refused(tmp_path, LedgerForeign)


def test_a_text_file_is_refused(tmp_path):
    (tmp_path / "dibs.db").write_text("Dear diary, " * 100)
    assert "dibs.db" in refused(tmp_path, LedgerForeign)


@pytest.mark.parametrize("where", [0, 16, 100], ids=["magic", "page size", "schema"])
def test_a_damaged_file_is_refused(folder, where):
    path = folder / "dibs.db"
    content = bytearray(path.read_bytes())
    content[where : where + 60] = b"\xa5" * 60
    path.write_bytes(content)
    refused(folder, LedgerForeign)


def test_a_file_that_was_cut_short_is_refused(folder):
    path = folder / "dibs.db"
    path.write_bytes(path.read_bytes()[:4096])
    refused(folder, LedgerForeign)


def test_our_file_without_its_tables_is_refused(tmp_path):
    sql(tmp_path, f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}")
    refused(tmp_path, LedgerForeign, ours=True)


def test_our_file_without_its_own_row_is_refused(folder):
    sql(folder, "DELETE FROM ledger")
    refused(folder, LedgerForeign, ours=True)


def test_a_file_where_the_folder_should_be_is_refused(tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(LedgerUnavailable):
        open_ledger(tmp_path / "data")


def test_a_folder_where_the_file_should_be_is_refused(tmp_path):
    (tmp_path / "dibs.db").mkdir()
    with pytest.raises(LedgerUnavailable):
        open_ledger(tmp_path)


# -- one owner


def test_a_second_opener_is_refused_with_the_pid_of_the_first(folder):
    engine = open_ledger(folder)
    with pytest.raises(LedgerLocked, match=rf"process {os.getpid()}\b"):
        open_ledger(folder)
    engine.close()
    open_ledger(folder).close()


OWNER = """
import sys
from dibs.ledger import open_ledger
engine = open_ledger(sys.argv[1])
print("mine", flush=True)
sys.stdin.read()
"""


def test_another_process_keeps_us_out_until_it_is_killed(folder):
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout.readline() == b"mine\n"
        with pytest.raises(LedgerLocked, match=rf"process {owner.pid}\b"):
            open_ledger(folder)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    engine = open_ledger(folder)
    assert engine.rows()[0].cursor == 3
    engine.close()


def test_who_takes_the_lock_as_its_owner_goes_reads_the_last_note(folder, monkeypatch):
    """The owner notes that its log may be gone, and lets go, just before the lock is tried."""
    owner, flock = open_ledger(folder), fcntl.flock

    def late(*asked):
        monkeypatch.undo()
        owner.close()
        flock(*asked)

    monkeypatch.setattr(fcntl, "flock", late)
    open_ledger(folder).close()


def test_closing_twice_closes_nobody_else_s_file(folder, tmp_path):
    engine = open_ledger(folder)
    engine.close()
    with (tmp_path / "bystander").open("w") as bystander:
        engine.close()
        os.fstat(bystander.fileno())


# -- looking after it was closed, and while it is not certain


def test_a_closed_ledger_can_not_be_read_and_says_so(folder):
    engine = open_ledger(folder)
    engine.close()
    with pytest.raises(LedgerUnavailable):
        engine.rows()


class Disk(apsw.VFS):
    """A file system whose syncs of the database file (not of its log) fail while ``broken``."""

    broken = False

    def __init__(self) -> None:
        super().__init__("contract-disk", "")

    def xOpen(self, name, flags):
        return DiskFile(self, name, flags)


class DiskFile(apsw.VFSFile):
    def __init__(self, disk: Disk, name, flags) -> None:
        self._disk, self._is_log = disk, bool(flags[0] & apsw.SQLITE_OPEN_WAL)
        super().__init__("", name, flags)

    def xSync(self, flags: int) -> None:
        if self._disk.broken and not self._is_log:
            raise apsw.IOError("no")
        super().xSync(flags)


def test_nothing_is_read_before_a_reopening_is_certain(tmp_path):
    """Until the checkpoint has synced it, what the log says may be gone after a loss of power."""
    disk = Disk()
    engine = SqliteEngine(tmp_path, vfs="contract-disk")
    queue = define(engine)
    # A reader keeps the close from checkpointing, as the files of a failed commit would.
    looking = apsw.Connection(str(tmp_path / "dibs.db"), flags=apsw.SQLITE_OPEN_READONLY)
    looking.execute("SELECT count(*) FROM queue").fetchall()
    disk.broken = True
    with pytest.raises(EngineFailed):
        engine.reopen()
    with pytest.raises(LedgerUnavailable):
        engine.row(queue)
    disk.broken = False
    engine.reopen()
    assert engine.row(queue).name == "q"
    looking.close()
    engine.close()
    disk.unregister()


class Cuts(apsw.VFS):
    """A disk that counts how often a log is cut."""

    def __init__(self) -> None:
        self.cuts = 0
        super().__init__("contract-cuts", "")

    def xOpen(self, name, flags):
        return CutsFile(self, name, flags)


class CutsFile(apsw.VFSFile):
    def __init__(self, disk: Cuts, name, flags) -> None:
        self._disk, self._is_log = disk, bool(flags[0] & apsw.SQLITE_OPEN_WAL)
        super().__init__("", name, flags)

    def xTruncate(self, size: int) -> None:
        self._disk.cuts += self._is_log
        super().xTruncate(size)


def test_the_log_begins_anew_in_its_place_and_is_not_cut_and_grown_again(folder):
    disk = Cuts()
    engine = SqliteEngine(folder, vfs="contract-cuts")
    disk.cuts = 0
    log = folder / "dibs.db-wal"
    begun = set()
    for _ in range(800):
        taken(engine, 1)
        with log.open("rb") as file:
            begun.add(file.read(24)[16:])  # the salts: new ones each time
    assert len(begun) > 2
    assert disk.cuts == 0
    assert log.stat().st_size <= LOG_BYTES
    engine.close()
    disk.unregister()


# -- the last line of defence


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE counter SET cursor = -1",
        "UPDATE counter SET taken = -1",
        "UPDATE counter SET jumped = -1",
        "UPDATE counter SET taken = taken + 1",
        "UPDATE counter SET jumped = 1",
        "UPDATE counter SET cursor = 2",
        "UPDATE queue SET paused = 2",
        "UPDATE queue SET ending = 'tired'",
        "UPDATE queue SET ending = 'failed'",
        "UPDATE queue SET failure_type = 'E'",
        "UPDATE queue SET generation = 0",
        "UPDATE queue SET name = NULL",
        "UPDATE counter SET cursor = 'three'",
        "UPDATE counter SET base = 1",
        "UPDATE counter SET base = -1",
        "UPDATE queue SET edition = 0",
        "UPDATE queue SET root = 2",
        "INSERT INTO queue (name, root, source, args, created_at) VALUES ('q', 1, 'count', '{}', 0)",
        "UPDATE ledger SET number = -1",
        "INSERT INTO ledger VALUES (2, 'x', 0, 0, 0)",
    ],
)
def test_a_row_that_can_not_be_true_is_refused_by_the_database_itself(folder, statement):
    with pytest.raises(apsw.ConstraintError):
        sql(folder, statement)


def test_a_damaged_counter_is_not_made_good_by_what_comes_after(folder):
    """Each counter moves by its own length and none is derived from another: so an audit can find it."""
    sql(folder, "UPDATE counter SET taken = taken - 1")
    engine = open_ledger(folder)
    taken(engine, 1, 2)
    apply(engine, Advance(1, 9))
    taken(engine, 1)
    row = engine.row(1)
    engine.close()
    assert (row.cursor, row.taken, row.jumped) == (10, 5, 4)  # one is missing, still


def test_a_look_waits_for_a_reopening_but_not_for_a_disk_that_fails_on(folder, monkeypatch):
    engine = SqliteEngine(folder)
    go, begun = threading.Event(), threading.Event()

    def slowly(*args, **options):
        begun.set()
        assert go.wait(60)
        return Files._open(engine.files, *args, **options)

    monkeypatch.setattr(engine.files, "_open", slowly)
    monkeypatch.setattr(readers, "REOPEN_PATIENCE", 10.0)
    with ThreadPoolExecutor() as pool:
        reopening = pool.submit(engine.reopen)
        assert begun.wait(60)
        looks = pool.submit(engine.row, 1), pool.submit(engine.counts, 1)
        go.set()
        assert [look.result(10).cursor for look in looks] == [3, 3]
        reopening.result(10)
    monkeypatch.setattr(readers, "REOPEN_PATIENCE", 0.0)
    monkeypatch.setattr(engine.files, "_open", lambda **options: sql(folder, "no SQL"))
    with pytest.raises(EngineFailed):
        engine.reopen()
    with pytest.raises(LedgerUnavailable, match="being reopened"):
        engine.row(1)
    engine.close()
