"""Workers, pushes and servers that are killed: each item is done, each line is there once."""

import random
import re
import signal
import sys
import threading
import time
from collections import Counter

import httpx
import pytest
from dibs.cli import main
from dibs.cli.work_writer import Writer
from dibs.proof.server import free_port

from tests.cli.conftest import SECONDS

from .conftest import Queue, SimpleQueue

WORKERS = 3
FILES = 100


def text_files(folder, count):
    """Files with words, and how many there are in each."""
    words = {}
    for number in range(count):
        words[f"text-{number:03}.txt"] = number * 7 % 100
        (folder / f"text-{number:03}.txt").write_text("word " * words[f"text-{number:03}.txt"])
    (folder / "files.txt").write_text("".join(f"{name}\n" for name in words))
    return words


def start_workers(start, jobs, *options):
    """Workers that have all found their server before the first of them gets a job."""
    httpx.post(f"{jobs.url}/queues/{jobs.name}/pause").raise_for_status()
    command = ("--", "sh", "-c", COUNT, "sh", "{}")
    workers = [start(jobs.url, "work", jobs.name, *options, *command) for _ in range(WORKERS)]
    until = time.monotonic() + SECONDS
    while httpx.get(f"{jobs.url}/queues/{jobs.name}/stats").json()["waiting"] < WORKERS:
        if time.monotonic() >= until:
            raise TimeoutError
        time.sleep(0.05)
    httpx.post(f"{jobs.url}/queues/{jobs.name}/resume").raise_for_status()
    return workers


def reach(jobs, done):
    """Wait until so many are acked."""
    until = time.monotonic() + 60
    while jobs.info["acked"] < done:
        if time.monotonic() >= until:
            raise TimeoutError(jobs.info)
        time.sleep(0.05)


COUNT = """case "$1" in text-0[6-9]*) while [ -e hold ]; do sleep 0.05; done;; esac
printf '{"file": "%s", "words": %d}' "$1" $(wc -w < "$1"); sleep 0.0$((${#1} % 3 + 2))"""


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_words_of_100_files_counted_by_three_workers_one_of_them_killed(start, serve, tmp_path):
    words = text_files(tmp_path, FILES)
    (tmp_path / "hold").touch()  # nobody is done before one of them is killed
    url = serve("--queue", "default=count").url
    assert start(url, "push", "jobs", "files.txt", "--create").end()[0] == 0
    jobs, results = SimpleQueue(url, "jobs"), Queue(url, "counts")
    options = ("-j", 4, "--ttl", 2, "--exit-when-empty", "--results", "counts", "--json-results")
    workers = start_workers(start, jobs, *options)
    reach(jobs, 30)
    workers[1].process.kill()
    (tmp_path / "hold").unlink()
    ends = [worker.end() for worker in workers]
    assert [code for code, _, _ in ends] == [0, -signal.SIGKILL, 0]
    assert jobs.audit == {"acked": FILES, "waiting": 0, "leased": 0, "dead": 0}
    found = results.values
    assert Counter(result["file"] for result in found) == dict.fromkeys(words, 1)
    assert {result["file"]: result["words"] for result in found} == words


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_and_with_a_server_that_is_killed_again_and_again(start, serve, tmp_path):
    words = text_files(tmp_path, FILES)
    server = serve("--port", free_port(), "--queue", "default=count")
    url, port = server.url, server.port
    assert start(url, "push", "jobs", "files.txt", "--create").end()[0] == 0
    jobs, results = SimpleQueue(url, "jobs"), Queue(url, "counts")
    options = ("-j", 4, "--exit-when-empty", "--results", "counts", "--json-results")
    workers = start_workers(start, jobs, *options)
    for done in (15, 45, 75):
        reach(jobs, done)
        server.end(signal.SIGKILL)
        server = serve("--port", port, "--queue", "default=count")
    ends = [worker.end() for worker in workers]
    assert [code for code, _, _ in ends] == [0] * WORKERS, ends
    assert jobs.audit == {"acked": FILES, "waiting": 0, "leased": 0, "dead": 0}
    assert Counter((result["file"], result["words"]) for result in results.values) == dict.fromkeys(
        words.items(), 1
    )


@pytest.mark.slow
def test_a_server_that_is_away_at_the_end_of_the_last_job_is_waited_for(serve, gate, monkeypatch, capfd):
    """Though it is away for longer than closing may take."""
    monkeypatch.setattr("dibs.cli.work.GRACE", 0.0)
    server = serve("--port", free_port(), "--queue", "default=count")
    jobs = Queue(server.url, "jobs")
    gate.make("a")
    jobs.push("a")
    waits = threading.Event()
    held_up = Writer.held_up
    monkeypatch.setattr(Writer, "held_up", lambda *told: waits.set() or held_up(*told))

    def restart():
        gate.begun(1)
        server.end(signal.SIGKILL)
        gate.open("a")
        assert waits.wait(SECONDS)
        serve("--port", server.port, "--queue", "default=count")

    restarting = threading.Thread(target=restart)
    restarting.start()
    command = ["dibs", "work", "jobs", "--url", server.url, "--max", "1", "--", *gate.command]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    restarting.join()
    assert (ended.value.code, jobs.audit["acked"]) == (0, 1)
    assert "dibs: waiting for the server at " in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_push_that_is_killed_and_a_server_that_is_killed_and_each_line_is_there_once(
    start, serve, tmp_path
):
    chance = random.Random(1)
    lines = [f"{number} " + "x" * chance.randrange(200) for number in range(40_000)]
    (tmp_path / "lines.txt").write_text("".join(f"{line}\n" for line in lines))
    server = serve("--port", free_port(), "--queue", "default=count")
    url, port = server.url, server.port
    jobs = Queue(url, "jobs")
    for share in (0.1, 0.3, 0.5):
        pushing = start(url, "push", "jobs", "lines.txt")
        until = time.monotonic() + 60
        while jobs.info["cursor"] < share * len(lines):
            if time.monotonic() >= until:
                raise TimeoutError
        pushing.process.kill()
        server.end(signal.SIGKILL)
        server = serve("--port", port, "--queue", "default=count")
    pushing = start(url, "push", "jobs", "lines.txt")
    until = time.monotonic() + 60
    while jobs.info["cursor"] < 0.8 * len(lines):
        if time.monotonic() >= until:
            raise TimeoutError
    server.end(signal.SIGKILL)
    server = serve("--port", port, "--queue", "default=count")
    code, out, err = pushing.end()
    assert code == 0
    assert re.fullmatch(r"(dibs: waiting for the server at \S+ \([^)]*\)\n)?", err)
    assert re.fullmatch(r"lines.txt: [\d,]+ lines known, [\d,]+ new\n", out)
    found = []
    while some := jobs.values:
        found += some
    assert found == lines
