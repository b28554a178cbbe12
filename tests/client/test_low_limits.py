"""A server whose limits are lower than what our client asks for by itself: it asks for less."""

import subprocess
import sys

import pytest
from dibs.client import Client, LimitExceeded

from tests.cli.conftest import Serving, environment

LIMITS = """
[limits]
count = 50
body_bytes = 1024
items_bytes = 8192
key_bytes = 36
error_bytes = 1024
wait = 0.5
entries = 5
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("low")
    (folder / "dibs.toml").write_text(LIMITS)
    running = Serving(folder, "--port", 0, "--queue", "ids=count", "--queue", "few=range(120)")
    yield running
    running.close()


@pytest.fixture
def client(server):
    with Client(server.url) as client:
        yield client


def test_taking_waits_for_as_long_as_it_may(client):
    assert list(client.queue("few")) == list(range(120))
    assert next(iter(client.queue("ids"))) == 1


def test_what_was_asked_for_in_so_many_words_is_refused(client):
    with pytest.raises(LimitExceeded, match="wait") as waited:
        client.queue("ids").next(wait=5)
    with pytest.raises(LimitExceeded, match="count") as counted:
        client.queue("ids").take(51)
    assert (waited.value.longest, counted.value.most) == (0.5, 50)


def test_pushing_in_chunks_that_go_in(client):
    client.define("jobs")
    queue = client.queue("jobs")
    assert queue.push(range(300)).accepted == 300
    assert queue.push(["x" * 2000] * 10).accepted == 10  # of these five are too many bytes
    with pytest.raises(LimitExceeded, match="body-too-large") as refused:
        queue.push(["x" * 2000, "x" * 9000, "y"])
    assert refused.value.pushed.accepted == 1
    assert queue.audit().waiting == 311


def test_working_with_what_it_gives(client):
    client.define("work", settings={"max_attempts": 1})
    queue = client.queue("work")
    queue.push(range(200))
    for job in queue.lease(until_empty=True):
        with job:
            if job.value % 2:
                raise ValueError("the end of a long story " + "z" * 2000)
    audit = queue.audit()
    assert (audit.acked, audit.dead, audit.balanced) == (100, 100, True)
    assert queue.item(2).error.endswith("z" * 500)


def test_the_command_pushes_too(server, tmp_path):
    lines = "".join(f"line {number}\n" for number in range(500))
    command = [sys.executable, "-m", "dibs", "push", "lines", "-", "--create", "--url", server.url]
    done = subprocess.run(
        command, input=lines, capture_output=True, text=True, timeout=60, check=False, env=environment()
    )
    assert done.returncode == 0, done.stderr
    with Client(server.url) as client:
        assert client.queue("lines").audit().waiting == 500
