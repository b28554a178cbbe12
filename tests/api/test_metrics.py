"""``/metrics``, read as a Prometheus server reads it."""

from dibs.api import collector
from dibs.api.durations import BOUNDS
from prometheus_client.parser import text_string_to_metric_families


def read(house):
    answer = house.ask("GET", "/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.documentation
        for sample in family.samples:
            found[sample.name, tuple(sample.labels.items())] = sample.value
    return found


def of(queue, **labels):
    return (("queue", queue), *labels.items())


def test_the_figures_are_those_of_stats_and_audit(make):
    house = make()
    house.pushed("jobs", 1, 2, 3, 4)
    leased = house.ask("POST", "/queues/jobs/lease", json={"max": 3}).json()
    token = leased["token"]
    body = {
        "acks": [{"token": token, "seqs": [[1, 1]]}],
        "nacks": [{"token": token, "seqs": [[2, 2]], "dead": True}],
    }
    house.ask("POST", "/queues/jobs/settle", json=body)
    house.ask("POST", "/next?count=5")
    found, stats = read(house), house.ask("GET", "/queues/jobs/stats").json()
    for name, told in (
        ("dibs_handed_out_items_total", "handed_out"),
        ("dibs_acked_items_total", "settled"),
        ("dibs_nacked_items_total", "nacked"),
        ("dibs_pushed_items_total", "pushed"),
        ("dibs_requests_total", "requests"),
        ("dibs_cursor", "cursor"),
    ):
        assert found[name, of("jobs")] == stats[told], name
    inside = [found["dibs_items", of("jobs", state=state)] for state in ("waiting", "leased", "dead")]
    assert inside == [stats["waiting_items"], stats["leased"], stats["dead"]] == [1, 1, 1]
    assert found["dibs_handed_out_items_total", of("default")] == 5
    assert found["dibs_queue_state", of("jobs", state="open")] == 1
    assert found["dibs_queues", ()] == 2
    commits = house.ask("GET", "/stats").json()["ledger"]["commits"]
    assert (
        found["dibs_commit_seconds_count", ()]
        == found["dibs_commit_seconds_bucket", (("le", "+Inf"),)]
        == commits
    )


def test_queues_beyond_the_limit_are_one_label(make, monkeypatch):
    monkeypatch.setattr(collector, "QUEUES_MOST", 2)
    house = make()
    for name in ("a", "b", "c", "d"):
        house.pushed(name, 1, 2)
    house.ask("POST", "/queues/d/pause")
    found = read(house)
    names = {dict(labels)["queue"] for (name, labels) in found if name == "dibs_cursor"}
    assert names == {"a", "b", "(others)"}
    assert [found["dibs_queue_state", of("(others)", state=state)] for state in ("open", "paused")] == [2, 1]
    assert found["dibs_pushed_items_total", of("(others)")] == 4
    assert found["dibs_items", of("(others)", state="waiting")] == 4


def test_answers_are_counted_by_operation_and_class(make):
    house = make()
    for _ in range(3):
        house.ask("POST", "/next")
    house.ask("POST", "/queues/default/next?count=x")
    house.ask("POST", "/queues/default/lease")
    house.ask("GET", "/queues/none")
    house.ask("GET", "/nowhere/at/all")
    found = read(house)

    def count(operation, kind):
        return found["dibs_answer_seconds_count", (("class", kind), ("operation", operation))]

    assert [count("next", "2xx"), count("next", "4xx"), count("lease", "2xx")] == [3, 1, 1]
    assert [count("read", "4xx"), count("other", "4xx")] == [1, 1]
    counts = [dict(labels) for name, labels in found if name == "dibs_answer_seconds_count"]
    assert {each["operation"] for each in counts} == {"next", "lease", "read", "other"}
    buckets = [dict(labels) for name, labels in found if name == "dibs_answer_seconds_bucket"]
    assert len(buckets) == len(counts) * (len(BOUNDS) + 1)
