"""A backup is restored while clients go on asking: what was handed out after it does not go out again.

The checker of the load test judges what all clients got, from the old server and from the restored one. That
the test could see a repetition is shown by the other way to go on: as it is, the checker finds them all.
"""

import re
import shutil
import signal
import subprocess
import sys
import time

import httpx
import pytest
from dibs.proof.server import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
PATIENCE = 60


def dibs(*arguments, cwd):
    ended = subprocess.run(
        [sys.executable, "-m", "dibs", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture
def asking(tmp_path):
    """Start a load test of eight clients that would never end by itself; it is killed at the end."""
    started = []

    def asking(url):
        options = ["--clients", "8", "--total", "10000000", "--patience", "120", "--history", "h.jsonl"]
        command = [sys.executable, "-m", "dibs", "loadtest", "--queue", "default", "--url", url, *options]
        started.append(
            subprocess.Popen(
                command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        )
        return started[-1]

    yield asking
    for process in started:
        process.kill()
        process.communicate()


def reaches(server, cursor):
    """Wait until so much was handed out."""
    until = time.monotonic() + PATIENCE
    while (found := server.audit()["cursor"]) < cursor:
        if time.monotonic() >= until:
            raise TimeoutError(f"the cursor stands at {found}")
        time.sleep(0.02)
    return found


def verdict(load):
    """What the checker says of the answers until Ctrl-C, by its words."""
    load.send_signal(signal.SIGINT)
    told, _ = load.communicate(timeout=PATIENCE)
    counts = re.findall(r"│\s+([\d,]+)\s+(duplicates|skipped|reordered)\s", told)
    found = {name: int(count.replace(",", "")) for count, name in counts}
    assert set(found) == {"duplicates", "skipped", "reordered"}, told
    return found


@pytest.mark.parametrize("how", [("--advance", "1000000"), ("--as-is",)], ids=["advance", "as-is"])
def test_a_backup_that_is_restored_under_load(serve, asking, tmp_path, how):
    server = serve("--port", str(free_port()))
    load = asking(server.url)
    reaches(server, 200)
    dibs("backup", "--to", "backups", "--url", server.url, cwd=tmp_path)
    (backup,) = (tmp_path / "backups").iterdir()
    lost = reaches(server, server.audit()["cursor"] + 200)
    server.kill()
    shutil.rmtree(tmp_path / "data")
    dibs("restore", backup, "data", cwd=tmp_path)

    restored = serve("--port", str(server.port))
    copied = restored.audit()["cursor"]
    assert copied < lost
    for path in ("/next", "/queues/default/block?size=5"):
        refused = restored.post(path)
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:dibs:problem:restored")
    told = dibs("queues", "--url", restored.url, cwd=tmp_path)
    assert f"Restored from the backup of {time.gmtime().tm_year}" in told
    assert backup.name in told
    assert restored.audit()["cursor"] == copied  # eight clients ask all the while

    dibs("accept", *how, "--url", restored.url, cwd=tmp_path)
    reaches(restored, max(restored.audit()["cursor"], lost) + 500)  # all that was lost has gone out again
    found = verdict(load)
    if how == ("--as-is",):
        assert found["duplicates"] >= lost - copied - 8  # what the eight had asked for may have been lost
        return
    assert found == {"duplicates": 0, "skipped": 0, "reordered": 0}
    audit = restored.audit()
    assert (audit["balanced"], audit["jumped"]) == (True, 1_000_000)
    assert httpx.get(f"{restored.url}/readyz").status_code == 200
