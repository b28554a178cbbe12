"""What operators do to a queue, and its audit."""

import json
import sys

import pytest
from dibs.access.caller import ANYBODY
from dibs.dashboard.streams import Streams


def keyed(key):
    return {"Idempotency-Key": key}


class TestOperate:
    def test_pause_and_resume(self, ask, refused):
        assert ask("POST", "/queues/default/pause").json()["state"] == "paused"
        answer = refused("POST", "/next", 503, "paused")
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["retryable"] is True
        assert ask("POST", "/queues/default/resume").json()["state"] == "open"
        assert ask("POST", "/next").status_code == 200

    def test_close(self, ask, refused):
        assert ask("POST", "/queues/default/close").json()["state"] == "closed"
        refused("POST", "/next", 410, "exhausted")

    def test_advance_is_counted_as_jumped(self, ask, refused):
        answer = ask("POST", "/queues/default/advance", json={"to_seq": 41}).json()
        assert (answer["cursor"], answer["taken"], answer["jumped"]) == (41, 0, 41)
        assert ask("POST", "/next").json() == {"queue": "default", "seq": 42, "value": 42}
        refused("POST", "/queues/default/advance", 409, "conflict", json={"to_seq": 7})

    def test_a_whole_number_may_be_written_with_a_point(self, ask):
        answer = ask("POST", "/queues/default/advance", json={"to_seq": 41.0})
        assert answer.json()["cursor"] == 41

    def test_retry_only_what_failed(self, refused):
        refused("POST", "/queues/default/retry", 409, "conflict")

    def test_a_source_that_raised_shows_its_cause_until_it_is_retried(self, make, tmp_path, monkeypatch):
        (tmp_path / "raises_at_three.py").write_text(
            "broken = True\n"
            "def generate():\n"
            "    yield 'a'\n"
            "    yield 'b'\n"
            "    if broken:\n"
            "        raise KeyError('nope')\n"
            "    yield 'c'\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "raises_at_three", raising=False)
        house = make(queues={"jobs": "raises_at_three:generate"})
        assert house.ask("POST", "/queues/jobs/next?count=10").json()["state"] == "failed"
        answer = house.ask("POST", "/queues/jobs/next")
        problem = answer.json()
        assert (answer.status_code, problem["type"]) == (409, "urn:dibs:problem:source-failed")
        assert (problem["cause"], problem["seq"]) == ({"type": "KeyError", "message": "'nope'"}, 3)
        shown = house.ask("GET", "/queues/jobs").json()["failure"]
        where = "raises_at_three.py:6, in generate"
        assert shown == {"type": "KeyError", "message": "'nope'", "seq": 3, "where": where}
        import raises_at_three

        raises_at_three.broken = False
        assert house.ask("POST", "/queues/jobs/retry").status_code == 200
        assert house.ask("POST", "/queues/jobs/next?wait=5").json()["value"] == "c"

    def test_a_source_that_changed_is_told_without_its_secrets(
        self, open_house, tmp_path, monkeypatch, caplog
    ):
        (tmp_path / "with_passwords.py").write_text("def rows(password):\n    yield from (1, 2)\n")
        monkeypatch.syspath_prepend(tmp_path)
        source = {"source": "with_passwords:rows", "args": {"password": "hunter2"}}
        settings = {"data": tmp_path / "data"}
        with open_house(queues={"jobs": source, "ids": "count"}, **settings) as house:
            assert house.ask("POST", "/queues/jobs/next").json()["value"] == 1
            refused = house.ask("PUT", "/queues/jobs", json={"source": "count"})
            assert (refused.status_code, "password=" in refused.text) == (409, True)
        source["args"] = {"password": "hunter2-renewed"}
        with open_house(queues={"jobs": source, "ids": "count"}, **settings) as house:
            failure = house.ask("GET", "/queues/jobs").json()["failure"]["message"]
        assert failure.count('with_passwords:rows(password="********")') == 4
        assert "hunter2" not in failure + refused.text + caplog.text

    def test_nobody_is_shown_the_secrets_of_a_function(self, make, tmp_path, monkeypatch):
        (tmp_path / "with_secrets.py").write_text("def rows(**options):\n    yield str(options)\n")
        monkeypatch.syspath_prepend(tmp_path)
        secrets = {"db_password": "hunter2", "more": {"api_key": "hunter2", "at": ["amqp://me:hunter2@mq/"]}}
        args = {"url": "postgres://me:hunter2@db/x", "n": 1, **secrets}
        house = make(queues={"jobs": {"source": "with_secrets:rows", "args": args}})
        shown = {
            "url": "postgres://me:********@db/x",
            "n": 1,
            "db_password": "********",
            "more": {"api_key": "********", "at": ["amqp://me:********@mq/"]},
        }
        assert house.ask("GET", "/queues/jobs").json()["args"] == shown
        assert house.ask("GET", "/queues").json()["queues"][0]["args"] == shown
        assert house.ask("POST", "/queues/jobs/pause").json()["args"] == shown
        assert "hunter2" not in house.ask("GET", "/config").text
        house.ask("POST", "/queues/jobs/resume")
        assert "hunter2" in house.ask("POST", "/queues/jobs/next").json()["value"]
        context = house.app.state.context

        async def nothing():
            return {}

        async def args_in(view):
            streams = Streams(house.queues, context.actions, settings=lambda: context.settings)
            events = streams.watch({"view": view, "queue": "jobs"}, nothing, ANYBODY)
            told = {}
            async for event in events:
                if event.startswith(f"event: {view}"):
                    told = json.loads(event.partition("data: ")[2])
                    streams.end()
            return told["args"] if view == "queue" else told["queues"][0]["args"]

        assert [house.run(args_in(view)) for view in ("queue", "overview")] == [shown, shown]

    @pytest.mark.parametrize("operation", ["pause", "close"])
    def test_with_a_key(self, ask, operation):
        answers = [ask("POST", f"/queues/default/{operation}", headers=keyed("k")) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[1].headers["idempotent-replayed"] == "true"

    def test_one_key_for_two_operations_is_refused(self, ask, refused):
        ask("POST", "/queues/default/pause", headers=keyed("k"))
        refused("POST", "/queues/default/resume", 422, "key-reused", headers=keyed("k"))


def test_audit(house, ask):
    ask("POST", "/next?count=3")
    ask("POST", "/queues/default/advance", json={"to_seq": 10})
    audit = ask("GET", "/queues/default/audit").json()
    assert (audit["taken"], audit["jumped"], audit["cursor"], audit["balanced"]) == (3, 7, 10, True)


def test_audit_of_work(house, ask):
    house.pushed("jobs", *range(10))
    token = house.lease("jobs", max=4)["token"]
    ask("POST", "/queues/jobs/ack", json={"token": token, "seqs": [[1, 2]]})
    ask("POST", "/queues/jobs/next")
    assert ask("GET", "/queues/jobs/audit").json() == {
        "queue": "jobs",
        "generation": 1,
        "base": 0,
        "cursor": 10,
        "taken": 1,
        "acked": 2,
        "purged": 0,
        "jumped": 0,
        "waiting": 5,
        "delayed": 0,
        "leased": 2,
        "dead": 0,
        "overlaps": 0,
        "balanced": True,
    }


def test_audit_of_a_queue_that_was_created_again(house, ask):
    """It counts from where the cursor stood, and balances."""
    house.pushed("jobs", *range(10))
    ask("DELETE", "/queues/jobs", params={"confirm": "jobs"})
    house.pushed("jobs", 11)
    ask("POST", "/queues/jobs/next")
    told = ask("GET", "/queues/jobs/audit").json()
    assert {name: told[name] for name in ("base", "cursor", "taken", "purged", "waiting", "balanced")} == {
        "base": 10,
        "cursor": 11,
        "taken": 1,
        "purged": 0,
        "waiting": 0,
        "balanced": True,
    }
