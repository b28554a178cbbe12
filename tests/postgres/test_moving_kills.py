"""A move is killed at system calls: whenever it syncs, writes to a file, or sends to the database."""

import itertools
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("psycopg")

sys.path.append(str(Path(__file__).parent))  # ``ledgers``

import ledgers
from dibs.errors import LedgerMigrated
from dibs.ledger.moving.back import migrate_back
from dibs.ledger.moving.forward import migrate
from dibs.ledger.postgres.ledger import Ledger
from dibs.ledger.postgres.site import Site
from dibs.ledger.sqlite.engine import SqliteEngine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CHILD = Path(__file__).with_name("moving_child.py")
SECONDS = 120
POINTS = [("fsync,fdatasync", 1), ("pwrite64", 5), ("sendto", 17)]
"""System calls, and of how many of them one is tried."""
INTO_FRESH = [("fsync,fdatasync", 5), ("pwrite64", 131), ("sendto", 37)]
"""The same, where a whole ledger is written."""


class Quiet:
    """Nobody listens."""

    def warn(self, warning):
        pass

    def step(self, done):
        pass

    def begin(self, total):
        pass

    def rows(self, table, done):
        pass


@pytest.fixture(scope="module")
def strace():
    found = shutil.which("strace")
    if found is None or subprocess.run([found, "-qq", "-e", "trace=none", "true"], check=False).returncode:
        pytest.skip("strace can't be used here")
    return found


def killed(strace, calls, number, way, folder, url):
    """Move, killed when one of the calls is made for this time; whether it was."""
    inject = f"inject={calls}:signal=KILL:when={number}"
    words = [strace, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", inject]
    words += [sys.executable, CHILD, "none", way, folder, url]
    done = subprocess.run(words, check=False, timeout=SECONDS, capture_output=True, text=True)
    assert done.returncode in {0, -signal.SIGKILL, 128 + signal.SIGKILL}, done.stderr
    return done.returncode != 0


def is_served(folder):
    """Whether a server can open what is in a folder. A ledger of its own does not count."""
    if not (folder / "dibs.db").exists():
        return False
    try:
        SqliteEngine(folder).close()
    except LedgerMigrated:
        return False
    return True


def is_there(url):
    with Site(url) as site:
        found = site.found()
    if found is None:
        return False
    try:
        Ledger(url).make()
    except LedgerMigrated:
        return False
    return True


@pytest.mark.parametrize(("calls", "every"), POINTS)
def test_on_the_way_there(strace, tmp_path, database, calls, every):
    ledgers.everything(tmp_path / "original")
    expected = ledgers.numbered(ledgers.in_file(tmp_path / "original" / "dibs.db"))
    kills = 0
    for number in itertools.count(1, every):
        folder, url = tmp_path / str(number), f"{database.url}?ledger=number_{number}"
        shutil.copytree(tmp_path / "original", folder)
        (folder / "lock").unlink()  # it names the file that was copied
        if not killed(strace, calls, number, "there", folder, url):
            break
        kills += 1
        assert not (is_served(folder) and is_there(url)), number
        assert is_served(folder) or ledgers.in_database(url) == expected
        migrate(folder, url, Quiet())
        assert (is_served(folder), is_there(url)) == (False, True), number
        assert ledgers.in_database(url) == expected
        shutil.rmtree(folder)
    assert kills >= 3


@pytest.mark.parametrize(
    ("fresh", "calls", "every"),
    [(False, *point) for point in POINTS] + [(True, *point) for point in INTO_FRESH],
)
def test_on_the_way_back(strace, tmp_path, database, fresh, calls, every):
    kills = 0
    for number in itertools.count(1, every):
        folder, url = tmp_path / str(number), f"{database.url}?ledger=number_{number}"
        ledgers.everything(folder)
        before = ledgers.in_file(folder / "dibs.db")
        migrate(folder, url, Quiet())
        to = tmp_path / f"fresh-{number}" if fresh else folder
        was_killed = killed(strace, calls, number, "back", to, url)
        assert not (is_served(to) and is_there(url)), number
        if was_killed and _exists(url):
            migrate_back(url, to, Quiet())
        assert (is_served(to), is_there(url)) == (True, False), number
        assert ledgers.in_file(to / "dibs.db") == (ledgers.numbered(before) if fresh else before)
        shutil.rmtree(folder)
        if not was_killed:
            break
        kills += 1
    assert kills >= 2


def _exists(url):
    with Site(url) as site:
        return site.found() is not None
