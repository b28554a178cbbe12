"""A ledger that an older dibs has left is brought to this version at the start, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest
from asks import LENGTH, lease, seqs, settle, take, verdicts
from dibs.errors import LedgerForeign, LedgerFull
from dibs.ledger import open_ledger
from dibs.ledger.access import AccessToken, AddToken
from dibs.ledger.looks import Copied, FailureRow, Kept
from dibs.ledger.ops import Accept, Define, Delete, EngineFailed, Pause
from dibs.ledger.serve import Handed, Key, Keyed, Serve, Served
from dibs.ledger.sqlite import files, format, migration
from dibs.ledger.sqlite.engine import SqliteEngine
from dibs.ledger.sqlite.format import APPLICATION_ID, VERSION
from dibs.ledger.sqlite.restoring import restore
from dibs.ledger.work import Ack, Nack, Parcel, Push, QueueSettings, Span, Sweep
from versions import TRACE, WRITE, opened
from words import apply, define, served, taken

NOW = 1_750_000_000_000


@pytest.fixture(params=WRITE.values(), ids=[f"version-{version}" for version in WRITE])
def old(request, tmp_path) -> Path:
    return request.param(tmp_path / "data")


def test_what_both_had_is_there_as_it_was(old):
    engine = open_ledger(old.parent)
    rows = {row.name: row for row in engine.rows()}
    jobs, ids, gone = rows["jobs"], rows["ids"], rows["gone"]
    assert (jobs.id, jobs.generation, jobs.source, jobs.args) == (1, 2, "lines", '{"path":"f"}')
    assert (jobs.ending, jobs.failure_type, jobs.failure_message, jobs.mark) == ("failed", "E", "m", "mark")
    assert (jobs.cursor, jobs.taken, jobs.jumped, jobs.acked, jobs.purged) == (9, 7, 2, 0, 0)
    assert {(row.root, row.base, row.edition) for row in (jobs, ids, gone)} == {
        (1, 0, 1),
        (2, 0, 1),
        (4, 0, 1),
    }
    assert (ids.id, ids.paused, ids.cursor, ids.created_at, ids.deleted_at) == (2, True, 4, 6, None)
    assert (gone.id, gone.deleted_at, gone.ending, gone.generation) == (4, 8, "closed", 3)
    assert {row.settings for row in (jobs, ids, gone)} == {QueueSettings()}
    assert {row.configured for row in (jobs, ids, gone)} == {"http"}
    assert engine.now() >= NOW
    numbers = "range", '{"start": 1, "stop": 5, "step": 1}'
    handed = Handed((Span(3, 4),), source=numbers)
    assert taken(engine, 2, 2, Key("k", "take 2", caller="ann")) == Served((), handed, replayed=True)
    engine.close()
    with opened(old) as file:
        assert file.execute("SELECT instance FROM ledger").get == "the instance"


@pytest.mark.parametrize("version", range(2, 8))
def test_what_was_inside_is_there_as_it_was(tmp_path, version):
    engine = open_ledger(WRITE[version](tmp_path / "data").parent)
    row = engine.row(5)
    assert (row.cursor, row.acked, row.settings) == (4, 1, QueueSettings(max_attempts=3))
    items, more = engine.items(5, None, 0, 10, 1000)
    shown = [(item.seq, item.state, item.attempt, item.priority, item.text) for item in items]
    assert shown == [(2, "waiting", 1, 3, '"b"'), (3, "leased", 2, 0, "3"), (4, "dead", 3, 0, "4")]
    assert not more
    assert engine.failures(5, 2) == [FailureRow(1, 8, "w", "it failed", 0)]
    assert [engine.kept(5, 2), engine.item_key(5, 1, 2)] == [Kept(0, ""), "k"]
    assert engine.traceparent(5, 2) == (TRACE if version == 7 else None)
    assert [action.what for action in engine.actions()] == ["paused it"] * (version >= 6)
    pushing = Keyed(Push(5, (Parcel(("5", "6"), keys=("k", "new")),)), Key("s", "push"))
    pushed, [settled] = apply(engine, pushing, Serve(5, 1, (settle(Ack("token")),)))
    assert (pushed.seqs, pushed.known) == ((2, 5), (0,))  # streams have no keys of their own any more
    assert verdicts(settled) == ["acked"]
    engine.close()


def test_it_goes_on_with_work(old):
    engine = open_ledger(old.parent)
    free = max(row.id for row in engine.rows()) + 1
    queue = define(engine, "new", "")
    apply(engine, Pause(2, False))
    assert [seqs(one) for one in served(engine, 2, lease("t", 2), take(), length=LENGTH)] == [[5, 6], [7]]
    served(engine, 2, settle(Ack("t", ((5, 5),))))
    apply(engine, Push(queue, (Parcel(("1", "2")),)), Serve(queue, 1, (lease("u"),)))
    assert queue == free
    assert (engine.row(2).acked, engine.row(2).taken) == (1, 5)
    assert engine.glance(queue) == (1, 1, 0)
    [token] = apply(engine, AddToken(AccessToken("id", "ann", bytes(32), "read:*", "a test")))
    assert [known for known in engine.access_tokens() if known.id != "old"] == [token]
    engine.close()


def test_its_schema_is_that_of_a_new_file_and_stays_so(old, tmp_path):
    def schema(path: Path) -> tuple:
        with opened(path) as file:
            found = set(file.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema"))
            return found, file.pragma("user_version"), file.pragma("integrity_check")

    for _ in range(2):
        open_ledger(old.parent).close()
    open_ledger(tmp_path / "new").close()
    assert schema(old) == schema(tmp_path / "new" / "dibs.db")
    assert schema(old)[1:] == (VERSION, "ok")


def test_a_copy_that_an_older_version_wrote_serves_too(old, tmp_path):
    """A backup is one file in the old format, without a log."""
    (tmp_path / "restored").mkdir()
    (tmp_path / "restored" / "dibs.db").write_bytes(old.read_bytes())
    engine = open_ledger(tmp_path / "restored")
    assert [row.cursor for row in engine.rows()[:3]] == [1, 4, 9]
    engine.close()


def test_a_tombstone_of_an_older_version_is_swept_and_created_again(tmp_path):
    engine = open_ledger(WRITE[3](tmp_path / "data").parent)
    assert engine.unswept() == [4]
    [row] = apply(engine, Define("gone", "count", "{}"))
    assert (row.id, row.root, row.base, row.cursor, row.generation) == (6, 4, 1, 1, 3)
    assert apply(engine, Sweep(4))[0].count == 1
    assert engine.unswept() == []
    engine.close()


def tables(path: Path) -> dict[str, list[tuple]]:
    """All rows of all tables."""
    with opened(path) as file:
        names = [name for (name,) in file.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        found = {name: file.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in names}
    file.close()
    return found


def test_this_format_can_be_brought_to_the_next(tmp_path, monkeypatch):
    """The next one has a column more: what this one has is there as it was, the numbers of rows included."""

    def create_next(writer: apsw.Connection) -> None:
        migration_create(writer)
        writer.execute("ALTER TABLE queue ADD COLUMN more INTEGER NOT NULL DEFAULT 7")

    folder = tmp_path / "data"
    engine = open_ledger(folder)
    define(engine, "other", "count")
    old = define(engine, "jobs", "")
    apply(engine, Push(old, (Parcel(("1", "2")),)), Serve(old, 1, (take(),)))
    apply(engine, Delete(old))
    [row] = apply(engine, Define("jobs", "", "{}"))
    assert (row.root, row.base) == (old, 2)  # neither is what another column says
    parcel = Parcel(("3", "4", "5"), keys=("a", None, None))
    apply(engine, Keyed(Push(row.id, (parcel,)), Key("k", "push")))
    served(engine, row.id, lease("t", 2, key=Key("l", "lease")))
    served(engine, row.id, settle(Nack("t", error="it failed")))  # what is leased is prolonged at the start
    row, unswept = engine.row(row.id), engine.unswept()
    engine.close()
    before = tables(folder / "dibs.db")

    migration_create = migration.create
    monkeypatch.setattr(migration, "create", create_next)
    for module in (files, format):
        monkeypatch.setattr(module, "VERSION", VERSION + 1)
    engine = open_ledger(folder)
    assert (engine.row(row.id), engine.unswept()) == (row, unswept)
    engine.close()
    after = tables(folder / "dibs.db")
    assert [one[-1] for one in after["queue"]] == [7] * len(before["queue"])
    after["queue"] = [one[:-1] for one in after["queue"]]
    assert after.keys() == before.keys()
    for name in before.keys() - {"ledger"}:  # its clock has gone on
        assert after[name] == before[name], name
    with opened(folder / "dibs.db") as file:
        assert (file.pragma("user_version"), file.pragma("integrity_check")) == (VERSION + 1, "ok")
    file.close()


class Kills(apsw.VFS):
    """A disk that keeps what a kill would leave before each of the writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.left: list[dict[str, bytes]] = []
        super().__init__("contract-kills", "")

    def xOpen(self, name, flags):
        return KillsFile(self, name, flags)

    def keep(self) -> None:
        self.left.append({path.name: path.read_bytes() for path in self.folder.glob("dibs.db*")})


class KillsFile(apsw.VFSFile):
    def __init__(self, disk: Kills, name, flags) -> None:
        self._disk = disk
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.keep()
        super().xWrite(data, offset)


def test_killed_at_any_step_it_is_what_it_was_or_what_it_becomes(old, tmp_path):
    disk = Kills(old.parent)
    try:
        SqliteEngine(old.parent, vfs="contract-kills").close()
    finally:
        disk.unregister()
    versions = []
    for number, left in enumerate(disk.left):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, content in left.items():
            (folder / name).write_bytes(content)
        with opened(folder / "dibs.db") as file:
            versions.append(file.pragma("user_version"))
        file.close()
        if number % 10 == 0:
            engine = open_ledger(folder)
            assert [row.cursor for row in engine.rows()[:3]] == [1, 4, 9]
            engine.close()
    before = versions[0]
    assert set(versions) == {before, VERSION}
    assert versions == sorted(versions)  # from one moment on it is the new one


class NoRoom(apsw.VFS):
    """A disk on which the log can't be written any more once it has ``room`` bytes."""

    def __init__(self, room: int) -> None:
        self.room = room
        super().__init__("contract-no-room", "")

    def xOpen(self, name, flags):
        return NoRoomFile(self, name, flags)


class NoRoomFile(apsw.VFSFile):
    def __init__(self, disk: NoRoom, name, flags) -> None:
        self._disk, self._is_log = disk, bool(flags[0] & apsw.SQLITE_OPEN_WAL)
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        if self._is_log and offset + len(data) > self._disk.room:
            raise apsw.FullError("no room")
        super().xWrite(data, offset)


@pytest.mark.parametrize("room", [0, 4096, 20_000, 40_000])
def test_without_room_it_stays_what_it_was(old, room):
    with opened(old) as file:
        before, queues = file.pragma("user_version"), file.execute("SELECT count(*) FROM queue").get
    file.close()
    disk = NoRoom(room)
    try:
        with pytest.raises(LedgerFull):
            SqliteEngine(old.parent, vfs="contract-no-room")
    finally:
        disk.unregister()
    with opened(old) as file:
        assert file.pragma("user_version") == before
        assert file.execute("SELECT count(*) FROM queue").get == queues
    file.close()
    engine = open_ledger(old.parent)
    assert len(engine.rows()) == queues
    engine.close()


def test_a_file_that_says_version_1_and_is_not_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    with opened(tmp_path / "data" / "dibs.db") as file:
        file.execute("CREATE TABLE queue (name TEXT)")
        file.pragma("application_id", APPLICATION_ID)
        file.pragma("user_version", 1)
    file.close()
    with pytest.raises(LedgerForeign):
        open_ledger(tmp_path / "data")


def test_an_older_file_under_a_running_ledger_is_not_taken_for_it(tmp_path):
    """Only a start brings a file to this version: what is reopened has to be what it was."""
    engine = open_ledger(tmp_path / "data")
    old = WRITE[1](tmp_path / "old")
    for path in (tmp_path / "data").glob("dibs.db*"):
        path.unlink()
    (tmp_path / "data" / "dibs.db").write_bytes(old.read_bytes())
    with pytest.raises(EngineFailed, match="was replaced in"):
        engine.reopen()
    with opened(tmp_path / "data" / "dibs.db") as file:
        assert file.pragma("user_version") == 1
    file.close()
    engine.close()


def test_a_backup_of_an_older_release_is_restored_with_the_mark_of_a_copy(old, tmp_path):
    """It comes into the older file, and stays as that is brought to this version."""
    rows = restore(old, tmp_path / "restored")
    engine = open_ledger(tmp_path / "restored")
    assert engine.copied == Copied(old.name, int(old.stat().st_mtime * 1000), None)
    assert {row.name for row in rows} >= {"jobs", "ids", "gone"}
    apply(engine, Accept())
    engine.backup(str(tmp_path / "again.db"))
    engine.close()
    engine = open_ledger(tmp_path / "restored")
    assert engine.copied.accepted is not None
    engine.close()
    assert restore(tmp_path / "again.db", tmp_path / "second") == rows
    second = open_ledger(tmp_path / "second")
    assert (second.copied.name, second.copied.accepted) == ("again.db", None)
    second.close()
