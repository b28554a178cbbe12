"""The README's examples of the client, as they stand there, against a server: nothing is done twice."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from dibs.client import Client

from tests.cli.conftest import environment

ROOT = Path(__file__).parents[2]
LINKS = """
seen = []


def links_of(url):
    seen.append(url)
    if len(seen) == 2:
        client.queue("pages").close()  # so that the crawl ends
        return []
    return ["https://example.org/a", url]
"""
POST = """
documents = ["a", "b", "c", "d"]
posted = []


def post(document, number):
    if document == "b":
        raise ConnectionError("the archive is away")
    posted.append(number)
"""
TRAIN = """
import multiprocessing, os

if __name__ == "__main__":
    multiprocessing.set_start_method({how!r})


def train_on(shard):
    os.write(1, b"%d\\n" % shard)  # in one piece: eight processes write
    return shard
"""


def test_the_invoices_leave_no_gap(serve):
    """A number whose document could not be posted goes to a later document, or still waits for one."""
    server = serve()
    with Client(server.url) as client:
        client.define("invoices", "count")
        ran = run(server, "-c", f"{POST}\n{example('documents')}\nprint(*posted)")
        posted = [int(number) for number in ran.stdout.split()]
        waiting = [item.seq for item in client.queue("invoices").items()]
        info = client.queue("invoices").info()
    assert (len(posted), ran.stderr) == (3, "")
    assert sorted(posted + waiting) == list(range(1, info.cursor + 1))
    assert (info.acked, info.waiting, info.leased, info.dead) == (3, len(waiting), 0, 0)


def test_the_crawl_runs(serve):
    server = serve()
    ran = run(server, "-c", f"{LINKS}\n{example('links_of')}\nprint(*seen)")
    assert (ran.stdout, ran.stderr) == ("https://example.org/ https://example.org/a\n", "")


@pytest.mark.parametrize(("how", "pool"), [("fork", "Pool(8)"), ("spawn", "Pool(2)")])
def test_the_data_loader_runs(serve, tmp_path, how, pool):
    """Its children may be made in either way, so the file is imported again by those that are spawned."""
    server = serve()
    with Client(server.url) as client:
        client.define("shards", "range", {"stop": 40})
        loader = example("train_on").replace("Pool(8)", pool)  # a spawned child takes a second to begin
        (tmp_path / "loader.py").write_text(f"{TRAIN.format(how=how)}\n{loader}")
        ran = run(server, str(tmp_path / "loader.py"))
        assert (sorted(map(int, ran.stdout.split())), ran.stderr) == (list(range(40)), "")
        assert client.queue("shards").info().taken == 40


def test_the_map_of_asyncio_runs(serve):
    server = serve()
    with Client(server.url) as client:
        client.define("urls")
        client.queue("urls").push(["a", "bb", "ccc"])
    fetch = "async def fetch(url):\n    return url * 2\n"
    ran = run(server, "-W", "error", "-c", f"{fetch}\n{example('AsyncClient')}")
    assert (sorted(ran.stdout.splitlines()), ran.stderr) == (["a 2", "bb 4", "ccc 6"], "")


def example(word):
    """The README's example that has this word."""
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    [found] = [example for example in examples if word in example]
    return found


def run(server, *arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
        cwd=ROOT,
        env=environment({"DIBS_URL": server.url}),
    )
