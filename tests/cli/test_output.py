"""What was taken or done is not hidden by an output that is closed, full, or without a reader."""

import os
import subprocess
import sys

import httpx
import pytest
from dibs.cli.output import Raw

from tests.cli.conftest import SECONDS, environment

FULL = "No space left on device"
CLOSED = "Bad file descriptor"


@pytest.fixture
def shell(server, tmp_path):
    """Run ``dibs`` with redirections: (exit code, stdout, stderr)."""

    def shell(command):
        done = subprocess.run(
            ["bash", "-c", f'set -o pipefail; dibs() {{ {sys.executable} -m dibs "$@"; }}; {command}'],
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            cwd=tmp_path,
            env=environment({"DIBS_URL": server.url}),
        )
        return done.returncode, done.stdout, done.stderr

    return shell


def cursor(server, queue):
    return httpx.get(f"{server.url}/queues/{queue}").json()["cursor"]


class TestNext:
    def test_a_full_disk(self, shell, server):
        before = cursor(server, "inv")
        code, _, err = shell("dibs next inv -n 2 >/dev/full")
        first, second = before + 1, before + 2
        assert (code, err) == (
            9,
            f"dibs: 2 values were taken from inv and could not be written ({FULL}):"
            f" seq {first}: INV-{first:04}, seq {second}: INV-{second:04}\n",
        )

    def test_closed(self, shell, server):
        before = cursor(server, "inv")
        code, _, err = shell("dibs next inv >&-")
        assert (code, f"({CLOSED}): seq {before + 1}: INV-{before + 1:04}\n" in err) == (9, True)

    def test_both_closed_leaves_the_exit_code_and_takes_one(self, shell, server):
        before = cursor(server, "inv")
        assert shell("dibs next inv >&- 2>&-") == (9, "", "")
        assert cursor(server, "inv") == before + 1

    def test_an_error_that_nobody_hears_keeps_its_code(self, shell):
        assert shell("dibs next nope 2>/dev/full") == (1, "", "")

    def test_many_are_told_by_the_way_to_them(self, shell, server):
        before = cursor(server, "ids")
        code, _, err = shell("dibs next ids -n 500 >/dev/full")
        assert (code, f"seqs {before + 1} to {before + 500}; " in err) == (9, True)
        key = err.partition("Idempotency-Key ")[2].split()[0]
        url = err.partition("(POST ")[2].partition(")")[0]
        again = httpx.post(url, headers={"Idempotency-Key": key}).json()["items"]
        assert [item["seq"] for item in again] == list(range(before + 1, before + 501))
        assert cursor(server, "ids") == before + 500


def test_what_was_done_is_told_on_stderr(shell, server):
    httpx.put(f"{server.url}/queues/told", json={})
    code, _, err = shell("seq 3 | dibs push told >/dev/full")
    assert (code, err.startswith("dibs: stdin: 3 lines pushed to told"), FULL in err) == (9, True, True)
    code, _, err = shell("dibs dead told --redrive --json >&-")
    assert (code, '"redriven": 0' in err, CLOSED in err) == (9, True, True)


def test_what_only_looks_says_why_it_shows_nothing(shell):
    assert shell("dibs queues --json >/dev/full") == (
        9,
        "",
        f"dibs: the output could not be written: {FULL}\n",
    )
    assert shell("dibs --version >/dev/full")[0] == 9


def test_a_help_text_that_nobody_reads_ends_quietly():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "dibs", "--help"],
        check=False,
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=SECONDS,
        env=environment({}),
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (9, b"")


def test_a_pipe_that_does_not_wait_gets_all_of_it(tmp_path):
    import threading

    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    sent = os.urandom(300_000)
    thread = threading.Thread(target=lambda: (Raw(writing).write_bytes(sent), os.close(writing)), daemon=True)
    thread.start()
    with open(reading, "rb") as file:
        assert file.read() == sent
    thread.join(SECONDS)
