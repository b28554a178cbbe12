"""``dibs push`` of files and pipes, again and into a full queue."""

import subprocess
import sys

import httpx

from tests.cli.conftest import SECONDS

from .conftest import Queue, SimpleQueue


class TestPush:
    def test_a_file_twice(self, here, server, tmp_path):
        (tmp_path / "files.txt").write_text("a\nb\n")
        code, out, err = here("push", "pushed", "files.txt", "--create")
        assert (code, err) == (0, "")
        assert out.startswith("files.txt: 2 lines pushed to pushed in ")
        for options in ((), ("--close",)):
            known = (0, "files.txt: 2 lines known, 0 new\n", "")
            assert here("push", "pushed", "files.txt", *options) == known
        assert Queue.values.fget(SimpleQueue(server.url, "pushed")) == ["a", "b"]

    def test_a_closed_queue_takes_nothing_and_says_so(self, here, queue, tmp_path):
        jobs = queue()
        jobs.close()
        (tmp_path / "files.txt").write_text("a\n")
        code, out, err = here("push", jobs.name, "files.txt")
        assert (code, out, err[:25]) == (1, "", "dibs: files.txt: closed: ")

    def test_a_pipe(self, queue, server):
        jobs = queue()
        command = f"seq 3 | {sys.executable} -m dibs push {jobs.name} --json --url {server.url}"
        done = subprocess.run(
            command, shell=True, capture_output=True, text=True, check=True, timeout=SECONDS
        )
        assert done.stdout.startswith("stdin: 3 lines pushed to ")
        assert jobs.values == [1, 2, 3]

    def test_an_existing_queue_is_not_changed_by_create(self, here, server, tmp_path):
        httpx.put(f"{server.url}/queues/fed", json={"source": "count"})
        (tmp_path / "files.txt").write_text("a\n")
        code, _, err = here("push", "fed", "files.txt", "--create")
        assert (code, err[:29]) == (1, "dibs: files.txt: source-fed: ")
        assert httpx.get(f"{server.url}/queues/fed").json()["source"] == "count"

    def test_a_full_queue_is_waited_for(self, start, server, queue, tmp_path):
        jobs = queue()
        httpx.put(f"{server.url}/queues/{jobs.name}", json={"settings": {"max_ready": 2}})
        (tmp_path / "files.txt").write_text("".join(f"{number}\n" for number in range(4)))
        pushing = start(server.url, "push", jobs.name, "files.txt", terminal=True)
        pushing.until(b"dibs: waiting: queue-full: ")
        found = []
        while len(found) < 4:  # the push ends when there is room for the last
            found += jobs.values
        assert found == ["0", "1", "2", "3"]
        code, shown, _ = pushing.end()
        assert (code, "files.txt: 4 lines pushed to " in shown) == (0, True)
