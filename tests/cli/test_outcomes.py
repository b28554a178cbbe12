"""What strangers stumbled over: a command tells what came of it, and a message no more than what is so."""

import os
import signal

import httpx
import pytest

from .conftest import ROOT

SOURCE = """
import pathlib

def numbers():
    for number in (1, 2, 3):
        if pathlib.Path({broken!r}).exists() and number >= int(pathlib.Path({broken!r}).read_text()):
            raise ValueError("it is broken")
        yield number
"""


@pytest.fixture
def broken(tmp_path):
    """A file: from the number in it on the source raises."""
    file = tmp_path / "broken"
    (tmp_path / "breaking.py").write_text(SOURCE.format(broken=str(file)))
    return file


@pytest.fixture
def server(serve, tmp_path, broken):
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    return serve("--queue", "own=breaking:numbers", env={"PYTHONPATH": path})


def test_a_retry_that_fails_again_says_so_and_one_that_helps_too(server, dibs, broken):
    url = f"{server.url}/queues/own/next"
    assert httpx.post(url).json()["value"] == 1
    broken.write_text("2")
    assert httpx.post(url).status_code == 409
    broken.write_text("1")  # now it raises in the replay, a moment after the server has answered
    done = dibs("retry", "own", "--url", server.url)
    assert done.returncode == 1
    assert done.stdout.startswith("own: failed, breaking:numbers, cursor 1, at ")
    assert "it is broken" in done.stdout
    broken.unlink()
    done = dibs("retry", "own", "--url", server.url)
    assert (done.returncode, done.stdout) == (0, "own: open, breaking:numbers, cursor 1\n")
    assert httpx.post(url).json()["value"] == 2


class TestGone:
    """A queue that failed since the configuration had another source for it, and that is gone from there."""

    @pytest.fixture
    def failed(self, serve, tmp_path):
        server = serve("--queue", "ids=count", "--queue", "other=count")
        httpx.post(f"{server.url}/queues/ids/next")
        server.end()
        (tmp_path / "dibs.toml").write_text('[queues]\nids = "count(start=7)"\nother = "count"\n')
        server = serve()
        failure = httpx.get(f"{server.url}/queues/ids").json()["failure"]
        assert failure["message"].startswith("the configuration has count(start=7)")
        (tmp_path / "dibs.toml").write_text('[queues]\nother = "count"\n')
        return server

    def goes_on(self, url):
        found = httpx.get(f"{url}/queues/ids").json()
        assert (found["configured"], found["failure"]) == ("gone", None)
        assert httpx.post(f"{url}/queues/ids/next?wait=5").json()["value"] == 2

    def test_goes_on_after_the_next_start(self, failed, serve):
        failed.end(signal.SIGTERM)
        self.goes_on(serve().url)

    def test_goes_on_after_a_reload(self, failed, dibs):
        assert dibs("reload", "--url", failed.url).returncode == 0
        self.goes_on(failed.url)


def test_a_restored_queue_s_source_is_told_as_it_was_written(serve, dibs, tmp_path):
    server = serve("--queue", "ids=count", "--queue", 'files=lines("nowhere.txt")')
    backup = httpx.post(f"{server.url}/backup").json()["path"]
    done = dibs("restore", backup, "restored")
    assert 'files: lines("nowhere.txt"), cursor 0' in done.stdout.splitlines()
