"""Real server processes."""

from pathlib import Path

import pytest
from dibs.client import (
    Client,
)
from dibs.proof.server import free_port

from tests.cli.conftest import Serving

ROOT = Path(__file__).parents[3]
SOURCES = """
def breaks():
    yield from range(3)
    raise RuntimeError("no more today")
"""


class Server:
    """``dibs serve`` on one port, so that it is there again after a restart."""

    def __init__(self, folder, *options):
        self.folder = folder
        self.options = ("--port", free_port(), *options)
        (folder / "sources.py").write_text(SOURCES)
        self.start()

    def start(self):
        self.running = Serving(self.folder, *self.options)
        self.url = self.running.url

    def kill(self):
        self.running.close()

    def stop(self):
        assert self.running.end() == 0
        self.running.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(
        tmp_path_factory.mktemp("server"),
        *("--queue", "few=range(3)", "--queue", "ids=count", "--queue", "breaks=sources:breaks"),
        *("--queue", "hundred=range(100)", "--queue", "hundred2=range(100)", "--queue", "twenty=range(20)"),
    )
    yield running
    running.kill()


@pytest.fixture
def client(server):
    with Client(server.url) as client:
        yield client


def balanced(queue):
    audit = queue.audit()
    assert audit.balanced
    assert audit.overlaps == 0
    return audit
