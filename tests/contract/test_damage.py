"""Bytes that the disk changed: refused or named, never served."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from tempfile import mkdtemp

import apsw
import pytest
from asks import lease, seqs, take
from dibs.errors import LedgerDamaged, LedgerError
from dibs.ledger import open_ledger
from dibs.ledger.ops import EngineDamaged
from dibs.ledger.serve import Key, Served
from dibs.ledger.sqlite.engine import SqliteEngine
from dibs.ledger.sqlite.files import Files
from dibs.ledger.work import Parcel, Push
from words import apply, define, served, taken

KEYS = [f"key-{number}" for number in range(40)]
VALUES = [f'"value {number} {"x" * (number % 90)}"' for number in range(300)]
COUNT, PUSHED, KEYED = 1, 2, 3


def fill(engine: SqliteEngine) -> None:
    """Numbers taken under keys; items pushed, some of them under a lease; items with keys."""
    for name, source in (("count", "count"), ("pushed", ""), ("keyed", "")):
        define(engine, name, source)
    for key in KEYS:
        taken(engine, COUNT, 1, Key(key, "take 1"))
    apply(engine, Push(PUSHED, (Parcel(tuple(VALUES)),)))
    served(engine, PUSHED, lease("token", 3, ttl=3_600_000))
    apply(engine, Push(KEYED, (Parcel(("1", "2"), keys=("keyed-a", "keyed-b")),)))


def handed(engine: SqliteEngine, most: int) -> dict[int, str]:
    """Take everything that waits, so many at once: the values by their seqs."""
    given: dict[int, str] = {}
    while (one := served(engine, PUSHED, take(most))[0]).handed is not None:
        given |= dict(zip(seqs(one), one.handed.values, strict=True))
    return given


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A folder that was closed in order."""
    folder = tmp_path_factory.mktemp("whole")
    engine = SqliteEngine(folder)
    fill(engine)
    engine.close()
    return folder


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Path:
    """The files as a kill leaves them: most of the ledger is in the log."""
    folder = tmp_path_factory.mktemp("killed")
    engine = SqliteEngine(folder / "live")
    fill(engine)
    shutil.copytree(folder / "live", folder / "data")
    engine.close()
    return folder / "data"


def asked(engine: SqliteEngine) -> None:
    """Ask for everything: each answer is the right one, or a refusal that names the damage."""
    try:
        for at, key in enumerate(KEYS):
            found = taken(engine, COUNT, 1, Key(key, "take 1"))
            assert found.replayed or found.why == "damaged"
            assert found.why or seqs(found) == [at + 1]
        rows = engine.rows()
        assert [(row.name, row.cursor, row.taken) for row in rows] == [
            ("count", 40, 40),
            ("keyed", 2, 0),
            ("pushed", 300, 0),
        ]
        assert apply(engine, Push(KEYED, (Parcel(("1",), keys=("keyed-b",)),)))[0].seqs == (2,)
        given = handed(engine, 50)
        assert {seq: VALUES[seq - 1] for seq in given} == given
        items, _ = engine.items(PUSHED, "dead", 0, 1_000, 1 << 20)
        assert sorted([*given, *(item.seq for item in items)]) == list(range(4, 301))
        assert all(engine.failures(PUSHED, item.seq)[-1].error == "damaged" for item in items)
    except Exception as error:
        refusal = engine.trouble()
        if refusal is None:
            raise
        assert isinstance(refusal, LedgerDamaged), error  # noqa: PT017


def flip(source: Path, to: Path, name: str, chance: random.Random) -> None:
    """A copy with one to three bytes changed."""
    shutil.copytree(source, to)
    content = bytearray((to / name).read_bytes())
    at = chance.randrange(len(content))
    for offset in range(at, min(at + chance.choice((1, 1, 1, 2, 3)), len(content))):
        content[offset] ^= chance.choice((1, 2, 0x20, 0x80, 0xFF))
    (to / name).write_bytes(content)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("where", ["closed", "log", "ledger under a log"])
def test_a_flipped_byte_is_never_served(whole, killed, quick_folder, where, seed):
    source, name = {
        "closed": (whole, "dibs.db"),
        "log": (killed, "dibs.db-wal"),
        "ledger under a log": (killed, "dibs.db"),
    }[where]
    chance = random.Random(f"{where} {seed}")
    for number in range(6):
        folder = quick_folder / f"{where} {seed} {number}"
        flip(source, folder, name, chance)
        try:
            engine = SqliteEngine(folder)
        except LedgerError:
            continue
        try:
            asked(engine)
        finally:
            engine.close()
            shutil.rmtree(folder)


def test_control_without_damage_everything_is_served(whole, killed, quick_folder):
    for at, source in enumerate((whole, killed)):
        folder = shutil.copytree(source, quick_folder / f"control {at}")
        engine = SqliteEngine(folder)
        asked(engine)
        assert engine.trouble() is None
        assert engine.row(PUSHED).cursor == 300
        engine.close()


@pytest.fixture
def second_log_begins(quick_folder, monkeypatch) -> Path:
    """What a loss of power may leave while a new ledger's second log begins in the place of its first.

    The ledger as it was after the first checkpoint, and the first log with half of the second's header.
    """
    folder, checkpoint = Path(mkdtemp(dir=quick_folder)) / "left", Files._checkpoint

    def keep(files: Files) -> None:
        log = bytearray(Path(f"{files.path}-wal").read_bytes())
        checkpoint(files)
        log[12:16] = (1).to_bytes(4)  # how many logs there were before
        folder.mkdir()
        shutil.copy(files.path, folder)
        (folder / "dibs.db-wal").write_bytes(log)

    with monkeypatch.context() as patch:
        patch.setattr(Files, "_checkpoint", keep)
        SqliteEngine(folder.parent / "first").close()
    return folder


def test_a_first_log_is_not_missed_though_only_the_ledger_s_pages_have_sums(second_log_begins):
    engine = SqliteEngine(second_log_begins)
    assert (engine.rows(), engine.trouble()) == ([], None)
    engine.close()


def test_a_page_of_it_that_the_ledger_does_not_have_is_missed(second_log_begins):
    log = second_log_begins / "dibs.db-wal"
    log.write_bytes(log.read_bytes()[:-100] + b"x" * 100)
    with pytest.raises(LedgerDamaged, match="in its header"):
        SqliteEngine(second_log_begins)


def change(folder: Path, old: bytes, new: bytes) -> None:
    path = folder / "dibs.db"
    content = path.read_bytes()
    assert content.count(old) >= 1
    path.write_bytes(content.replace(old, new))


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    return shutil.copytree(whole, tmp_path / "data")


def test_a_damaged_value_costs_the_items_of_its_block_and_the_others_go_on(folder):
    change(folder, b'"value 70 ', b'"value 17 ')
    engine = open_ledger(folder)
    given = handed(engine, 100)
    dead, _ = engine.items(PUSHED, "dead", 0, 1_000, 1 << 20)
    assert 71 in [item.seq for item in dead]
    assert {item.text for item in dead} == {"damaged"}
    assert {engine.failures(PUSHED, item.seq)[-1].error for item in dead} == {"damaged"}
    assert sorted([*given, *(item.seq for item in dead)]) == list(range(4, 301))
    assert len(given) > 150
    assert engine.trouble() is None
    assert engine.glance(PUSHED)[2] == len(dead)
    engine.close()


def test_values_that_are_not_utf_8_are_damaged_too(folder):
    change(folder, b'"value 70 ', b'"value \xff\xfe ')
    engine = open_ledger(folder)
    given = handed(engine, 300)
    assert 71 not in given
    assert {seq: VALUES[seq - 1] for seq in given} == given
    engine.close()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("outcome", "replace(outcome, '4', '7')"),
        ("request", "'take 2'"),
        ("expires", "1"),
        ("item_values", "'[\"1\"]'"),
    ],
)
def test_a_changed_answer_is_refused_and_not_taken_for_a_new_request(folder, column, value):
    connection = apsw.Connection(str(folder / "dibs.db"))
    connection.execute(f"UPDATE answer SET {column} = {value} WHERE key = 'key-3'")
    connection.close()
    engine = open_ledger(folder)
    assert taken(engine, COUNT, 1, Key("key-3", "take 1")) == Served(why="damaged")
    assert seqs(taken(engine, COUNT, 1, Key("key-4", "take 1"))) == [5]
    assert engine.row(COUNT).cursor == 40
    assert engine.trouble() is None
    engine.close()


def test_a_damaged_page_of_counters_is_refused_at_the_start(folder):
    change(folder, b"pushed", b"qushed")
    with pytest.raises(LedgerDamaged, match="put a backup in the place of"):
        open_ledger(folder)


@pytest.mark.parametrize(
    ("told", "meet"),
    [
        (EngineDamaged, lambda engine: [taken(engine, COUNT, 1, Key(key, "take 1")) for key in KEYS]),
        (LedgerDamaged, lambda engine: engine.item_keys(KEYED, 1, "", after="", most=9)),
    ],
    ids=["a batch", "a look"],
)
def test_damage_that_is_met_later_stops_the_ledger(folder, told, meet):
    """It was sound at the start: the page goes bad while the server has it open, and not in memory."""
    engine = open_ledger(folder)
    change(folder, b"key-30", b"kex-30")
    change(folder, b"keyed-b", b"kexed-b")
    engine.reopen()
    with pytest.raises(told, match="checksum"):
        meet(engine)
    assert isinstance(engine.trouble(), LedgerDamaged)
    with pytest.raises(LedgerDamaged):
        engine.backup(str(folder / "backups" / "b.db"))
    engine.close()


def test_pages_have_sums_from_the_first_and_after_a_migration(whole, tmp_path):
    assert (whole / "dibs.db").read_bytes()[20] == 8
    engine = open_ledger(whole)
    engine.backup(str(tmp_path / "backups" / "b.db"))
    engine.close()
    assert (tmp_path / "backups" / "b.db").read_bytes()[20] == 8


def test_a_file_whose_pages_lost_their_sums_is_refused(folder):
    content = bytearray((folder / "dibs.db").read_bytes())
    content[20] = 12
    (folder / "dibs.db").write_bytes(content)
    with pytest.raises(LedgerError):
        open_ledger(folder)
