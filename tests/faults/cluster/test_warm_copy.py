"""The server that is next in line has a copy of what the owner had in memory, so that it loads nothing."""

import psycopg
import pytest

pytestmark = pytest.mark.slow

RUNS = 20_000
KILLS = 3
WORKERS, TAKES = 4, 20
NOTHING, LOADED = "nothing is loaded", "the ledger is loaded"
READY, ENDED = "a warm copy of the owner's memory is there", "the warm copy has ended"
LATE = "it was not there in time"
"""Why a copy is not used on a machine that is busy for two seconds: the next owner loads then."""

FILL = """
INSERT INTO dibs.run SELECT id, i, i, 0, i, 0, 0, NULL, '', 0, 0, 0, 0, 0
FROM dibs.queue, generate_series(1, %s) AS i WHERE name = 'filled'
"""
COUNT = """
UPDATE dibs.counter SET cursor = base + %s FROM dibs.queue WHERE id = counter.queue AND name = 'filled'
"""


@pytest.fixture
def filled(database, fleet):
    """A ledger with many ranges of items, and a queue that is pushed to."""
    server = fleet(database.url).add()
    for name in ("filled", "jobs"):
        server.ask("PUT", f"/queues/{name}", json={})
    assert server.stop() == 0
    with psycopg.connect(database.url) as session:
        session.execute(FILL, (RUNS,))
        session.execute(COUNT, (RUNS,))
    return database.url


def told(servers, words):
    return sum(server.said().count(words) for server in servers)


def copies(servers):
    """How many there are, of those that have loaded one."""
    return told(servers, READY) - told(servers, ENDED)


def test_nothing_is_loaded_by_the_next_owner(filled, fleet, until, together):
    """Owners are killed under load, one after the other; what is handed out has no gap and nothing twice."""
    ledger = fleet(filled)
    alive = ledger.several(2)
    done = []

    def take(front, keys):
        for key in keys:
            front.until_answered(key=key)
            done.append(key)

    for kill in range(KILLS):
        term, _ = ledger.term()
        owner, front = alive
        assert ledger.owner() is owner
        until("there is a copy", lambda: copies([front]))  # noqa: B023  # it is waited for
        before = len(done)
        taking = [
            together(take, front, [f"{kill}-{worker}-{n}" for n in range(TAKES)]) for worker in range(WORKERS)
        ]
        until("some are taken", lambda: len(done) > before + WORKERS * TAKES / 4)  # noqa: B023
        owner.kill()
        assert ledger.owned_after(term) is front
        for each in taking:
            each.result()
        alive = [front, ledger.add()]
    late = told(ledger.servers, LATE)
    assert told(ledger.servers, LOADED) == 2 + late  # when it was made, and when it was filled
    assert told(ledger.servers, NOTHING) == KILLS - late > 0
    seqs = [alive[0].post(key=key).json()["seq"] for key in done]
    assert sorted(seqs) == list(range(1, len(done) + 1))
    assert len(done) == KILLS * WORKERS * TAKES


def test_without_a_warm_copy_the_next_owner_loads(database, fleet, until):
    ledger = fleet(database.url)
    owner, front = ledger.several(2, warm_copy="false")
    assert owner.post(key="one").json()["seq"] == 1
    term, _ = ledger.term()
    owner.kill()
    assert ledger.owned_after(term) is front
    front.until_answered(key="two")
    assert told(ledger.servers, LOADED) == 2
    assert told(ledger.servers, NOTHING) == told(ledger.servers, READY) == 0


def test_an_owner_that_is_told_to_go_feeds_its_last_transactions(database, fleet, until, together):
    """Idle, and then under load: it steps the position once more before it lets go of the lock."""
    ledger = fleet(database.url)
    alive = ledger.several(2)
    for stop in range(2):
        term, _ = ledger.term()
        owner, front = alive
        until("there is a copy", lambda: copies([front]))  # noqa: B023  # it is waited for
        keys = [f"{stop}-{n}" for n in range(stop * TAKES)]
        taking = together(lambda: [front.until_answered(key=key) for key in keys])  # noqa: B023
        assert owner.stop() == 0
        assert ledger.owned_after(term) is front
        taking.result()
        until("it has a memory", lambda: told([front], NOTHING) + told([front], LOADED))  # noqa: B023
        alive = [front, ledger.add()]
    late = told(ledger.servers, LATE)
    assert (told(ledger.servers, NOTHING), told(ledger.servers, LOADED)) == (2 - late, 1 + late)
