"""The view ``queue_now``, for people with psql: it says of each queue what the server says of it."""

import asyncio

import httpx
import pytest

psycopg = pytest.importorskip("psycopg")

from dibs.config import Settings
from dibs.main import create_app

BROKEN = """
def of_a_nul():
    yield 1
    raise ValueError("a\\0b \\u00e4")

def of_words():
    yield 1
    raise ValueError("gr\\u00fcn")
"""


async def settle(ask, name, verb, **more):
    lease = (await ask("POST", f"/queues/{name}/lease", json={"max": 1})).json()
    entry = [{"token": lease["token"], **more}]
    assert (await ask("POST", f"/queues/{name}/settle", json={verb: entry})).status_code == 200


async def busy(ask):
    """Queues in all states, with counters that differ from each other."""
    for name in ("jobs", "closed", "gone", "paused"):
        await ask("PUT", f"/queues/{name}", json={})
    await ask("POST", "/queues/jobs/items", json={"items": [{"value": n} for n in range(10)]})
    await settle(ask, "jobs", "acks")
    await settle(ask, "jobs", "nacks", dead=True, error="a\0b")
    await ask("POST", "/queues/jobs/next?count=2")
    await ask("POST", "/queues/jobs/lease", json={"max": 1})
    await ask("POST", "/queues/default/next?count=5")
    await ask("POST", "/queues/default/advance", json={"to": 50})
    await ask("POST", "/queues/few/next?count=10")
    await ask("POST", "/queues/few/next")
    await ask("POST", "/queues/closed/close")
    await ask("POST", "/queues/paused/pause")
    await ask("DELETE", "/queues/gone?confirm=gone")
    for name in ("nul", "words"):
        await ask("POST", f"/queues/{name}/next")
        await ask("POST", f"/queues/{name}/next?wait=20")


def test_it_says_what_the_server_says(database, tmp_path, monkeypatch):
    (tmp_path / "faulty_now.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    queues = {
        "default": "count",
        "few": "count(max=4)",
        "nul": "faulty_now:of_a_nul",
        "words": "faulty_now:of_words",
    }

    async def test():
        app = create_app(Settings(data=database.url, queues=queues))
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost", timeout=60
            ) as client:
                await busy(client.request)
                told = {}
                for name in ("jobs", "closed", "paused", *queues):
                    stats = (await client.get(f"/queues/{name}/stats")).json()
                    told[name] = stats | (await client.get(f"/queues/{name}/audit")).json()
        return told

    told = asyncio.run(test())
    columns = "name, state, cursor, taken, acked, purged, jumped, dead, inside, failure"
    found = {row[0]: row[1:] for row in database.do(f"SELECT {columns} FROM dibs.queue_now")}
    assert found.keys() == told.keys()  # a queue that was deleted is there no more
    for name, (state, cursor, taken, acked, purged, jumped, dead, inside, _) in found.items():
        its = told[name]
        assert (state, cursor, taken, acked) == tuple(
            its[of] for of in ("state", "cursor", "taken", "acked")
        ), name
        assert (purged, jumped, dead) == tuple(its[of] for of in ("purged", "jumped", "dead")), name
        assert inside == its["waiting_items"] + its["leased"] + its["dead"], name
    assert found["jobs"][:8] == ("open", 10, 2, 1, 0, 0, 1, 7)
    states = {name: row[0] for name, row in found.items()}
    assert states == {
        "default": "open",
        "few": "exhausted",
        "nul": "failed",
        "words": "failed",
        "jobs": "open",
        "closed": "closed",
        "paused": "paused",
    }
    assert found["words"][-1] == "grün"
    assert found["nul"][-1] == "a\\000b \\303\\244"  # text has no NUL: the bytes are written out
    assert found["jobs"][-1] is None


def test_it_is_as_of_the_last_commit_also_under_an_old_snapshot(database):
    async def test():
        app = create_app(Settings(data=database.url))
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                with database.connect() as old:
                    old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                    seen = "SELECT cursor, moved_by FROM dibs.queue_now WHERE name = 'default'"
                    [(before, number)] = old.execute(seen)
                    for _ in range(3):
                        await client.post("/next")
                    assert old.execute(seen).fetchall() == [(before, number)] == [(0, number)]
                    [(cursor, moved)] = database.do(seen)
                    assert cursor == 3
                    assert moved > number
                    assert database.do("SELECT count(*) FROM dibs.counter") == [(1,)]

    asyncio.run(test())
