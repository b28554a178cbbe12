"""The folder of an owner's memory goes with the owner, or with the next one."""

import os
import signal
import subprocess
import sys
import tempfile

import pytest
from dibs.ledger.sqlite.scratch_folders import ScratchFolder

OWNER = """
import signal
from dibs.ledger.sqlite.scratch_folders import ScratchFolder
folder = ScratchFolder()
(folder.path / "memory.db").write_bytes(b"x")
print(folder.path, flush=True)
signal.pause()
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_goes_with_its_owner_and_is_nobody_else_s(temporary):
    one, two = ScratchFolder(), ScratchFolder()
    assert {path.name for path in temporary.iterdir()} == {one.path.name, two.path.name}
    assert one.path.name.startswith("dibs-owner-")
    assert one.path.stat().st_mode & 0o777 == 0o700
    one.remove()
    one.remove()
    assert list(temporary.iterdir()) == [two.path]
    two.remove()


def test_that_of_an_owner_that_was_killed_goes_with_the_next_one(temporary):
    other = temporary / "dibs-owner-none"  # without a lock it is nobody's that we know
    other.mkdir()
    killed = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    path = killed.stdout.readline().strip()
    while_it_lives = ScratchFolder()
    assert os.path.exists(f"{path}/memory.db")
    while_it_lives.remove()
    killed.send_signal(signal.SIGKILL)
    killed.wait(60)
    killed.stdout.close()
    assert os.path.exists(path)
    after = ScratchFolder()
    assert not os.path.exists(path)
    assert other.exists()
    after.remove()
