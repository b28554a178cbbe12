"""Items whose last attempt has expired are dead for every call, whether or not somebody has claimed since."""

import time

import pytest


@pytest.fixture
def house(house):
    """Two items of one attempt each, leased one by one, and their workers died."""
    house.pushed("jobs", "a", "b", max_attempts=1, max_ready=2)
    for _ in range(2):
        lease = house.lease("jobs", max=1, ttl=0.001, worker="ann")
        assert len(lease["items"]) == 1
    time.sleep(0.005)
    return house


def test_every_look(house):
    def counted(answer):
        return {name: answer[name] for name in ("waiting", "leased", "dead")}

    expected = {"waiting": 0, "leased": 0, "dead": 2}
    assert counted(house.ask("GET", "/queues/jobs").json()) == expected
    [listed] = [one for one in house.ask("GET", "/queues").json()["queues"] if one["queue"] == "jobs"]
    assert counted(listed) == expected
    audit = house.ask("GET", "/queues/jobs/audit").json()
    assert counted(audit) == expected
    assert audit["balanced"]
    stats = house.ask("GET", "/queues/jobs/stats").json()
    assert (stats["waiting_items"], stats["leased"], stats["dead"]) == (0, 0, 2)
    for state, seqs in {"waiting": [], "leased": [], "dead": [1, 2]}.items():
        items = house.ask("GET", f"/queues/jobs/items?state={state}").json()["items"]
        assert [item["seq"] for item in items] == seqs
    one = house.ask("GET", "/queues/jobs/items/2").json()
    assert (one["state"], one["error"]) == ("dead", "the lease expired")
    assert [(past["attempt"], past["worker"]) for past in one["history"]] == [(1, "ann")]


@pytest.mark.parametrize(
    "headers", [{}, {"Idempotency-Key": "k"}, {"X-Other": "1"}], ids=["hot", "key", "other"]
)
def test_what_a_dead_worker_held_with_others_comes_back_in_halves(house, headers):
    house.pushed("many", *range(8), max_attempts=1)
    assert len(house.lease("many", max=8, ttl=0.001)["items"]) == 8
    time.sleep(0.005)
    answer = house.ask("POST", "/queues/many/lease", json={"max": 8}, headers=headers).json()
    assert [(item["seq"], item["attempt"]) for item in answer["items"]] == [(n, 1) for n in (1, 2, 3, 4)]


def test_of_long_runs_the_newest_10_000_are_counted_and_what_is_counted_is_redriven(house):
    house.pushed("long", *range(6_000), max_attempts=1)
    house.pushed("long", *range(6_000))
    for size, error in ((10_000, "early"), (2_000, "late")):
        token = house.lease("long", max=size)["token"]
        assert (
            house.ask("POST", "/queues/long/nack", json={"token": token, "error": error}).status_code == 200
        )
    page = house.ask("GET", "/queues/long/dead", params={"limit": 3}).json()
    assert [item["seq"] for item in page["items"]] == [12_000, 11_999, 11_998]
    page = house.ask("GET", "/queues/long/dead", params={"limit": 3, "before": 10_002}).json()
    assert [(item["seq"], item["error"]) for item in page["items"]] == [
        (10_001, "late"),
        (10_000, "early"),
        (9_999, "early"),
    ]
    assert {each["error"]: each["items"] for each in page["errors"]} == {"early": 8_000, "late": 2_000}
    page = house.ask("GET", "/queues/long/dead", params={"limit": 2, "error": "early"}).json()
    assert [item["seq"] for item in page["items"]] == [10_000, 9_999]
    body = {"error": "early", "expect": 8_000}
    assert house.ask("POST", "/queues/long/redrive", json=body).json()["redriven"] == 8_000
    page = house.ask("GET", "/queues/long/dead").json()
    assert {each["error"]: each["items"] for each in page["errors"]} == {"early": 2_000, "late": 2_000}
