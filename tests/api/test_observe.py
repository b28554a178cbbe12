import re

import pytest


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/next"),
        ("GET", "/stats"),
        ("GET", "/healthz"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/nowhere"),
        ("DELETE", "/next"),
        ("POST", "/next?count=0"),
        ("POST", "/queues/%2F/next"),
    ],
)
def test_every_answer_has_the_common_headers(ask, method, path):
    headers = ask(method, path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert re.fullmatch(r"\d+(\.\d+)*\S*", headers["dibs-version"])


def test_stats(house, ask):
    house.define("ids", "count")
    ask("POST", "/next?count=3")
    ask("POST", "/queues/ids/next")
    stats = ask("GET", "/stats").json()
    assert (stats["handed_out"], stats["requests"]) == (4, 2)
    assert [queue["queue"] for queue in stats["queues"]] == ["default", "ids"]
    assert stats["ledger"]["ops"] >= 2
    assert set(stats["ledger"]["commit"]) == {"p50", "p90", "p99", "max", "samples"}


def test_what_was_not_measured_is_null_and_not_zero(house, ask):
    house.define("jobs", None)
    stats = ask("GET", "/queues/jobs/stats").json()
    assert stats["answer"] == stats["wait"] == stats["hold"]
    assert stats["answer"] == {"p50": None, "p90": None, "p99": None, "max": None, "samples": 0}
    assert (stats["oldest_waiting"], stats["rate"]) == (None, 0.0)
    assert "dibs_oldest_waiting_seconds{" not in ask("GET", "/metrics").text
    ask("POST", "/queues/jobs/items", json={"items": [{"value": 1}]})
    stats = ask("GET", "/queues/jobs/stats").json()
    assert (stats["oldest_waiting"] >= 0, stats["answer"]["samples"]) == (True, 0)  # of hand-outs alone
    assert 'dibs_oldest_waiting_seconds{queue="jobs"}' in ask("GET", "/metrics").text


def test_stats_of_a_queue(ask):
    ask("POST", "/next?count=3")
    stats = ask("GET", "/queues/default/stats").json()
    assert (stats["queue"], stats["state"], stats["taken"], stats["handed_out"]) == ("default", "open", 3, 3)


def test_health_and_readiness(house, ask):
    assert ask("GET", "/healthz").json() == {"status": "ok"}
    assert ask("GET", "/readyz").json() == {"status": "ok"}
    house.queues.stop()
    assert ask("GET", "/healthz").status_code == 200
    answer = ask("GET", "/readyz")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:dibs:problem:not-ready")
    assert ask("POST", "/next").json()["type"] == "urn:dibs:problem:stopping"


def test_stats_are_paged_and_their_totals_are_of_all(house, ask):
    for name in ("a", "b", "c"):
        house.define(name, "count")
        ask("POST", f"/queues/{name}/next?count=5")
    page = ask("GET", "/stats?limit=2").json()
    assert ([queue["queue"] for queue in page["queues"]], page["next"]) == (["a", "b"], "b")
    assert (page["handed_out"], page["queue_count"]) == (15, 4)
    page = ask("GET", "/stats?limit=2&after=b").json()
    assert ([queue["queue"] for queue in page["queues"]], page["next"]) == (["c", "default"], None)
    assert ask("GET", "/stats?limit=1001").json()["field"] == "limit"
