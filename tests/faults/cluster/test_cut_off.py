"""The owner's host is cut off: its packets are dropped, both ways, and nothing says so."""

import json
import subprocess
import sys
import time

import pytest
from support.hosts import Host, NoHosts

pytestmark = pytest.mark.slow

ASK = """
import json, sys, httpx
from concurrent.futures import ThreadPoolExecutor
def ask(asked):
    method, path = asked
    answer = httpx.request(method, sys.argv[1] + path, timeout=60)
    return [answer.status_code, answer.json()]
with ThreadPoolExecutor() as together:
    print(json.dumps(list(together.map(ask, json.loads(sys.argv[2])))))
"""


@pytest.fixture
def host():
    try:
        made = Host()
    except NoHosts as error:
        pytest.skip(f"no host can be cut off here: {error}")
    yield made
    made.end()


def ask_there(host, server, *asked):
    """Ask the server by a client on its own host."""
    words = [*host.command, sys.executable, "-c", ASK, server.url, json.dumps(asked)]
    ran = subprocess.run(words, check=True, capture_output=True, text=True, timeout=120)
    return json.loads(ran.stdout)


def test_the_owners_host_is_cut_off(host, fleet, clusters, first_answer, until, capsys):
    database = clusters.make(start=False, listen_addresses=f"127.0.0.1,{host.ours}")
    with (database.data / "pg_hba.conf").open("a") as rules:
        rules.write(f"host all all {host.network} trust\n")
    database.start()
    url = database.create("cut_off")
    ledger = fleet(url)
    there = ("--host", host.address, "--allow-anonymous", "--queue", "default=count", "--queue", "jobs")
    old = ledger.add(
        url=url.replace("127.0.0.1", host.ours), options=there, prefix=host.command, owner_timeout=2
    )
    front = ledger.add(options=("--host", host.ours, "--allow-anonymous"), owner_timeout=2)
    assert front.post(key="before").json()["seq"] == 1
    term, _ = ledger.term()
    host.cut()
    began = time.monotonic()
    answer, took = first_answer([front], key="after", began=began)
    with capsys.disabled():
        print(f"\nowner's host cut off, first answer elsewhere after {took:.2f} s")
    assert answer.json()["seq"] == 2
    assert ledger.owned_after(term) is front
    front.push("jobs", "new")
    asked = [("POST", "/next"), ("POST", "/queues/jobs/next"), ("GET", "/queues/nothing"), ("GET", "/readyz")]
    for status, told in ask_there(host, old, *asked):  # it can't know, and says so
        assert status == 503, told
        assert told["handed_out"] in {"no", "maybe"}
    host.mend()
    until("it is a front", lambda: "owns the ledger no more" in old.said())
    again = front.post(key="before")
    assert (again.status_code, again.json()["seq"]) == (200, 1)
    until("it reaches the owner", lambda: old.get("/readyz").status_code == 200)
    following = old.post(key="there").json()["seq"]
    assert following in {3, 4}  # what was asked there meanwhile may have been told maybe, and handed out
    assert front.post(key="last").json()["seq"] == following + 1
