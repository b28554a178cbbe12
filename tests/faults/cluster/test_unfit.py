"""Servers that lack the code of a queue leave the ledger to those that have it."""

from itertools import count
from pathlib import Path

import psycopg
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
CODE = "def orders():\n    yield from (f'order {n}' for n in range(1, 1000))\n"
QUEUES = ("--queue", "jobs=shop:orders", "--queue", "ids=count")


@pytest.fixture
def able(tmp_path):
    """The environment of a server that has the code."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "shop.py").write_text(CODE)
    return {"PYTHONPATH": f"{ROOT}:{code}"}


def note(server, url):
    with psycopg.connect(url) as session:
        asked = "SELECT note FROM dibs.server WHERE address = %s"
        found = session.execute(asked, (server.url,)).fetchone()
        return "" if found is None else found[0]


_keys = count()


def taken(server, queue="jobs"):
    path, key = f"/queues/{queue}/next", f"{next(_keys)}"
    server.until_answered(path, key=key)
    return server.post(path, key=key).json()["value"]


def state(server, queue="jobs"):
    return server.get(f"/queues/{queue}").json()["state"]


def test_who_lacks_a_function_owns_only_where_nobody_has_it(fleet, database, able, until):
    run = fleet(database.url)
    first = run.add(options=QUEUES, **able)
    lacks = run.add()  # it is next in line, but for what it lacks
    last = run.add(options=QUEUES, **able)
    assert taken(lacks) == "order 1"
    until("it says so", lambda: "can't open the source of jobs" in note(lacks, database.url))
    assert not note(last, database.url)
    term = run.term()[0]
    first.kill()
    assert run.owned_after(term) is last
    assert taken(lacks) == "order 2"
    term = run.term()[0]
    last.kill()  # nobody has it now
    assert run.owned_after(term) is lacks
    assert taken(lacks, "ids") == 1
    until("it has failed", lambda: state(lacks) == "failed")
    assert "no module 'shop'" in lacks.get("/queues/jobs").json()["failure"]["message"]
    term = run.term()[0]
    again = run.add(options=QUEUES, **able)  # it has, and the owner gives way
    assert run.owned_after(term) is again
    until("the queue goes on", lambda: state(lacks) == "open")
    assert taken(lacks) == "order 3"
    assert taken(again, "ids") == 2


def test_a_server_that_waits_and_comes_to_lack_a_function_waits_no_more(fleet, database, able, until):
    run = fleet(database.url)
    owner = run.add(options=("--queue", "ids=count"), **able)
    lacks = run.add()
    has = run.add(options=QUEUES, **able)  # the queue is new
    until("it says so", lambda: "can't open the source of jobs" in note(lacks, database.url))
    term = run.term()[0]
    owner.kill()
    assert run.owned_after(term) is has
    assert taken(lacks) == "order 1"


def test_a_server_that_lets_nobody_in_begins_no_term(fleet, database, until):
    """It ends, however often it is started; beside an owner it stays, and says why it is of no use."""
    run = fleet(database.url)
    open_to_all = {"host": "0.0.0.0"}
    first = run.start(**open_to_all)
    assert first.process.wait(60) == 2
    assert "there is no token" in first.said()
    assert terms(database.url) == 0
    owner = run.add()
    beside = run.add(**open_to_all)
    assert "lets nobody in, and can't own the ledger" in beside.said()
    beside.stop()
    owner.kill()
    with psycopg.connect(database.url) as session:
        silent = "SELECT clock_timestamp() - max(at) > interval '4 s' FROM dibs.position"
        until("the owner is silent", lambda: session.execute(silent).fetchone()[0])
    again = run.start(**open_to_all)
    assert again.process.wait(60) == 2
    assert terms(database.url) == 1


def terms(url):
    with psycopg.connect(url) as session:
        return session.execute("SELECT count(*) FROM dibs.term").fetchone()[0]
