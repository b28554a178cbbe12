"""A disk without room, and a loss of power on a real file system. Both need root, to mount."""

import fcntl
import os
import shutil
import struct
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root"),
]

EXT4_IOC_SHUTDOWN, NOLOGFLUSH = 0x8004587D, 2


def mount(*arguments):
    """Mount, or skip: a container may be root and yet not allowed to."""
    done = subprocess.run(["mount", *map(str, arguments)], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"can't mount here: {done.stderr.strip()}")


@pytest.fixture
def small(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=6m", "dibs-test", folder)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_backup_onto_a_full_disk_harms_none_that_is_there(serve, small, tmp_path):
    server = serve()
    server.post("/next?count=5").raise_for_status()

    def backup():
        command = [sys.executable, "-m", "dibs", "backup", "--to", str(small), "--keep", "1"]
        return subprocess.run(
            [*command, "--url", server.url],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=60,
        )

    assert backup().returncode == 0
    (good,) = small.iterdir()
    content = good.read_bytes()
    (small / "filler").write_bytes(b"x" * (6 * 1024 * 1024 - len(content) - 40_000))
    full = backup()
    assert (full.returncode, full.stderr) == (4, f"dibs: there is no room in {small} for the backup\n")
    assert sorted(path.name for path in small.iterdir()) == [good.name, "filler"]
    assert good.read_bytes() == content
    (small / "filler").unlink()
    assert backup().returncode == 0
    (newer,) = small.iterdir()
    assert newer.name > good.name  # the older one went when the new one was good


def test_a_full_disk_hands_out_nothing_and_recovers_by_itself(serve, small):
    server = serve(data=small / "data")
    first = [server.post(key=f"k{number}").json()["seq"] for number in range(5)]
    filler = small / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    refused, answered = [], []
    for number in range(4000):  # a log that has room left takes some more; then it is full
        reply = server.post("/next?count=50", key=f"full-{number}-" + "x" * 200)
        (answered if reply.status_code == 200 else refused).append(reply)
        if len(refused) == 5:
            break
    assert [reply.status_code for reply in refused] == [507] * 5
    assert all(reply.json()["type"] == "urn:dibs:problem:ledger-full" for reply in refused)
    assert all(reply.json()["handed_out"] == "no" for reply in refused)
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in refused)
    filler.unlink()
    seqs = first + [item["seq"] for reply in answered for item in reply.json()["items"]]
    after = server.post(key="after")
    assert after.status_code == 200
    assert [*seqs, after.json()["seq"]] == list(range(1, len(seqs) + 2))
    assert server.audit()["balanced"]
    server.kill()
    again = serve(data=small / "data")
    assert again.post().json()["seq"] == len(seqs) + 2
    assert again.post(key="k0").json()["seq"] == 1


@pytest.fixture
def power(tmp_path):
    """A file system on a loop device: ``power.cut(server)`` forgets whatever was not synced."""
    if not shutil.which("losetup") or not shutil.which("mkfs.ext4"):
        pytest.skip("needs losetup and mkfs.ext4")
    power = Power(tmp_path)
    yield power
    power.end()


class Power:
    def __init__(self, folder):
        self.folder = folder / "disk"
        self.folder.mkdir()
        image = folder / "image"
        with image.open("wb") as file:
            file.truncate(64 * 1024 * 1024)
        found = subprocess.run(
            ["losetup", "-f", "--show", image], check=False, capture_output=True, text=True
        )
        if found.returncode:
            pytest.skip(f"no loop device here: {found.stderr.strip()}")
        self.device = found.stdout.strip()
        subprocess.run(["mkfs.ext4", "-q", self.device], check=True)
        mount(self.device, self.folder)

    def cut(self, server):
        """No instruction of the server is executed after the cut.

        Else the kernel may tell it that a sync has succeeded though the file system was lost meanwhile (so
        it told a bare ``fdatasync`` in 3 of 105 trials), and the server answers what no power loss lets it.
        """
        server.freeze()
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, EXT4_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(handle)
        server.kill()

    def back(self):
        subprocess.run(["umount", self.folder], check=True)
        mount(self.device, self.folder)

    def end(self):
        subprocess.run(["umount", "-l", self.folder], check=False, capture_output=True)
        subprocess.run(["losetup", "-d", self.device], check=False)


def test_after_a_loss_of_power_every_answered_number_stands(serve, load, power):
    data = power.folder / "data"
    server = serve(data=data)
    keyed = {f"k{number}": server.post(key=f"k{number}").json()["seq"] for number in range(5)}
    asking = load(server)
    asking.until(500)
    power.cut(server)
    asking.end()
    power.back()
    answered = [*keyed.values(), *asking.answers]
    assert len(set(answered)) == len(answered)
    again = serve(data=data)
    assert {key: again.post(key=key).json()["seq"] for key in keyed} == keyed
    assert again.post().json()["seq"] > max(answered)
    audit = again.audit()
    assert audit["balanced"]
    assert len(answered) < audit["cursor"] <= len(answered) + 8 + 1


def test_the_first_number_of_a_new_folder_stands_too(serve, power):
    data = power.folder / "new" / "data"
    data.parent.mkdir()
    os.sync()
    server = serve(data=data)
    assert server.post().json()["seq"] == 1
    power.cut(server)
    power.back()
    assert serve(data=data).post().json()["seq"] == 2
