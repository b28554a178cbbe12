import json
import sys

import pytest
from dibs.access.caller import ANYBODY
from dibs.dashboard.streams import Streams


def keyed(key):
    return {"Idempotency-Key": key}


class TestDefine:
    def test_created_then_found(self, house, ask):
        made = house.define("ids", "count", start=100)
        assert made["created_at"].endswith("Z")
        assert {**made, "created_at": ""} == {
            "queue": "ids",
            "source": "count",
            "args": {"start": 100},
            "state": "open",
            "paused": False,
            "generation": made["generation"],
            "cursor": 0,
            "taken": 0,
            "acked": 0,
            "purged": 0,
            "jumped": 0,
            "waiting": 0,
            "leased": 0,
            "dead": 0,
            "settings": {
                "max_attempts": 10,
                "backoff": 1.0,
                "backoff_max": 3600.0,
                "jitter": 0.1,
                "max_ready": None,
                "key_ttl": 86_400.0,
                "item_key_ttl": 86_400.0,
                "history": 0.0,
            },
            "configured": "http",
            "created_at": "",
            "failure": None,
        }
        again = ask("PUT", "/queues/ids", json={"source": "count", "args": {"start": 100}})
        assert (again.status_code, again.json()) == (200, made)
        assert ask("GET", "/queues/ids").json() == made

    def test_defaults_make_no_difference(self, house, ask):
        house.define("ids", "count")
        assert ask("PUT", "/queues/ids", json={"source": "count", "args": {"start": 1}}).status_code == 200

    def test_another_source_after_a_hand_out_is_a_conflict(self, house, ask, refused):
        house.define("ids", "count")
        ask("POST", "/queues/ids/next")
        body = {"source": "count", "args": {"start": 2}}
        refused("PUT", "/queues/ids", 409, "source-changed", json=body)

    def test_large_integers_in_arguments_come_back_as_text_and_may_be_sent_so(self, house, ask):
        made = house.define("wide", "count", max=2**63 - 1)
        assert made["args"] == {"max": str(2**63 - 1)}
        again = ask("PUT", "/queues/wide", json={"source": made["source"], "args": made["args"]})
        assert (again.status_code, again.json()) == (200, made)

    @pytest.mark.parametrize(
        ("body", "status", "name"),
        [
            ({"source": "nope"}, 422, "source-unknown"),
            ({"source": ""}, 422, "source-unknown"),
            ({"source": "os:getcwd"}, 422, "source-unknown"),
            ({"source": "count(start=1)"}, 422, "source-unknown"),
            ({"source": "count", "args": {"strat": 1}}, 422, "source-invalid"),
            ({"source": "count", "args": {"start": "x"}}, 422, "source-invalid"),
            ({"source": "lines", "args": {"path": "/etc/passwd"}}, 403, "forbidden"),
        ],
    )
    def test_sources_that_are_refused(self, refused, body, status, name):
        refused("PUT", "/queues/new", status, name, json=body)

    def test_a_module_named_over_http_is_not_imported(self, refused, tmp_path, monkeypatch):
        (tmp_path / "trap_for_import.py").write_text("raise SystemExit('imported')")
        monkeypatch.syspath_prepend(tmp_path)
        body = {"source": "trap_for_import:generate"}
        refused("PUT", "/queues/new", 422, "source-unknown", json=body)

    def test_files_only_below_the_root(self, make, tmp_path):
        (tmp_path / "in.txt").write_text("a\nb\n")
        house = make(source_root=tmp_path)
        house.define("jobs", "lines", path="in.txt")
        assert house.ask("POST", "/queues/jobs/next").json()["value"] == "a"
        body = {"source": "lines", "args": {"path": "../out.txt"}}
        answer = house.ask("PUT", "/queues/other", json=body)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:dibs:problem:forbidden")

    def test_without_a_source_producers_push(self, ask):
        made = ask("PUT", "/queues/jobs", json={})
        assert (made.status_code, made.json()["source"], made.json()["args"]) == (201, None, {})
        again = ask("PUT", "/queues/jobs", json={"source": None})
        assert (again.status_code, again.json()) == (200, made.json())

    def test_settings_may_change_at_any_time_and_stay_when_they_are_not_named(self, house, ask):
        house.pushed("jobs", "a", max_attempts=3, backoff=0.5, jitter=0)
        wanted = {
            **{"max_attempts": 3, "backoff": 0.5, "backoff_max": 3600, "jitter": 0, "max_ready": None},
            **{"key_ttl": 86_400, "item_key_ttl": 86_400, "history": 0},
        }
        assert ask("PUT", "/queues/jobs", json={}).json()["settings"] == wanted
        for named in (
            {"max_ready": 10, "max_attempts": None},
            {"key_ttl": None, "item_key_ttl": 3600.5},
            {"key_ttl": 1, "history": None, "backoff_max": 0.5},
            {"history": 7, "max_ready": 0},
            {},
        ):
            wanted |= {**named, "max_ready": named.get("max_ready", wanted["max_ready"]) or None}
            changed = ask("PUT", "/queues/jobs", json={"settings": named})
            assert (changed.status_code, changed.json()["settings"]) == (200, wanted)

    def test_settings_are_checked_with_those_that_are_not_named(self, house, refused):
        house.pushed("jobs", backoff=0.5)
        problem = refused(
            "PUT", "/queues/jobs", 422, "limit-exceeded", json={"settings": {"backoff_max": 0.1}}
        )
        assert problem.json()["field"] == "settings"

    def test_a_source_that_is_not_named_stays(self, house, ask):
        made = house.define("ids", "count", start=100)
        changed = ask("PUT", "/queues/ids", json={"settings": {"max_attempts": 3}})
        assert changed.json() == {**made, "settings": {**made["settings"], "max_attempts": 3}}
        assert ask("POST", "/queues/ids/next").json()["value"] == 100
        assert ask("PUT", "/queues/ids", json={}).json()["source"] == "count"
        assert ask("PUT", "/queues/ids", json={"reset": True}).json()["source"] == "count"
        assert ask("POST", "/queues/ids/next").json() == {"queue": "ids", "seq": 1, "value": 100}
        assert ask("DELETE", "/queues/ids").status_code == 200
        assert ask("PUT", "/queues/ids", json={}).json()["source"] is None  # a new queue: producers push

    def test_null_is_a_meaning_of_a_source(self, house, ask):
        house.define("ids", "count")
        assert ask("PUT", "/queues/ids", json={"source": None}).json()["source"] is None

    def test_the_settings_of_a_file_s_queue_change_over_http(self, make, tmp_path):
        """Its source can't be named over HTTP, but for as it is."""
        path = tmp_path / "in.txt"
        path.write_text("a\nb\n")
        house = make(queues={"jobs": {"source": "lines", "args": {"path": str(path)}}})
        made = house.ask("GET", "/queues/jobs").json()
        for body in ({}, {"source": made["source"], "args": made["args"]}):
            for attempts in (3, 4):
                body["settings"] = {"max_attempts": attempts}
                changed = house.ask("PUT", "/queues/jobs", json=body)
                assert changed.json() == {**made, "settings": {**made["settings"], "max_attempts": attempts}}
        assert house.ask("POST", "/queues/jobs/next").json()["value"] == "a"
        other = {"source": "lines", "args": {"path": str(tmp_path / "other.txt")}}
        assert house.ask("PUT", "/queues/jobs", json=other).status_code == 403

    def test_a_pushed_queue_is_not_given_a_source_once_items_are_in_it(self, house, refused):
        house.pushed("jobs", "a")
        refused("PUT", "/queues/jobs", 409, "source-changed", json={"source": "count"})

    def test_with_a_key(self, ask):
        body = {"source": "count"}
        first, again = (ask("PUT", "/queues/ids", json=body, headers=keyed("k")) for _ in range(2))
        assert first.status_code == 201
        assert again.headers["idempotent-replayed"] == "true"
        assert again.json() == first.json()


class TestDelete:
    def test_what_is_inside_is_dropped_only_where_that_is_confirmed(self, house, ask, refused):
        house.pushed("jobs", *"abcd", max_attempts=1)
        token = house.lease("jobs")["token"]
        ask("POST", "/queues/jobs/nack", json={"token": token})
        house.lease("jobs")
        for headers in ({}, keyed("k"), keyed("k")):
            problem = refused("DELETE", "/queues/jobs", 409, "not-empty", headers=headers).json()
            assert problem["field"] == "confirm"
            assert "2 waiting, 1 leased and 1 dead" in problem["detail"]
        for confirm, status in (("", 422), ("JOBS", 422), ("job", 409), ("other", 409)):
            assert ask("DELETE", f"/queues/jobs?confirm={confirm}").status_code == status
        assert ask("POST", "/queues/jobs/next").json()["value"] == "c"  # it goes on meanwhile
        for replayed in (None, "true"):
            answer = ask("DELETE", "/queues/jobs?confirm=jobs", headers=keyed("k"))
            assert (answer.status_code, answer.json()["purged"]) == (200, 3)
            assert answer.headers.get("idempotent-replayed") == replayed
        refused("DELETE", "/queues/jobs", 404, "queue-unknown")

    def test_a_reset_drops_what_is_inside_only_where_that_is_confirmed(self, house, ask, refused):
        house.pushed("jobs", *"abc")
        reset = {"json": {"reset": True}}
        for headers in ({}, keyed("k"), keyed("k")):
            problem = refused("PUT", "/queues/jobs", 409, "not-empty", headers=headers, **reset).json()
            assert problem["field"] == "confirm"
            assert "3 waiting, 0 leased and 0 dead" in problem["detail"]
            assert "PUT /queues/jobs?confirm=jobs" in problem["detail"]
        for query, status in (("confirm=", 422), ("confirm=job", 409), ("confirmed=jobs", 422)):
            assert ask("PUT", f"/queues/jobs?{query}", **reset).status_code == status
        assert ask("PUT", "/queues/jobs", json={}).json()["cursor"] == 3  # without a reset nothing is dropped
        for status, replayed in ((201, None), (200, "true")):
            answer = ask("PUT", "/queues/jobs?confirm=jobs", headers=keyed("k"), **reset)
            told = answer.status_code, answer.json()["cursor"], answer.json()["generation"]
            assert told == (status, 0, 2)
            assert answer.headers.get("idempotent-replayed") == replayed
        assert ask("PUT", "/queues/jobs", **reset).json()["generation"] == 3  # nothing is inside

    def test_an_empty_queue_needs_no_confirmation(self, house, ask):
        for confirm in ("", "?confirm=jobs"):
            house.pushed("jobs", "a")
            ask("POST", "/queues/jobs/next")
            assert ask("DELETE", f"/queues/jobs{confirm}").status_code == 200

    def test_answers_with_the_last_counters(self, house, ask):
        house.define("ids", "count")
        ask("POST", "/queues/ids/next?count=5")
        answer = ask("DELETE", "/queues/ids")
        assert (answer.status_code, answer.json()["cursor"], answer.json()["taken"]) == (200, 5, 5)
        assert ask("GET", "/queues/ids").status_code == 404

    def test_the_name_goes_on_unless_it_is_reset(self, house, ask):
        house.define("ids", "count")
        ask("POST", "/queues/ids/next?count=5")
        ask("DELETE", "/queues/ids")
        house.define("ids", "count")
        assert ask("POST", "/queues/ids/next").json()["seq"] == 6
        ask("DELETE", "/queues/ids")
        assert ask("PUT", "/queues/ids", json={"source": "count", "reset": True}).json()["cursor"] == 0
        assert ask("POST", "/queues/ids/next").json()["seq"] == 1

    def test_with_a_key(self, house, ask, refused):
        house.define("ids", "count")
        answers = [ask("DELETE", "/queues/ids", headers=keyed("k")) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[1].headers["idempotent-replayed"] == "true"
        refused("DELETE", "/queues/ids", 404, "queue-unknown")


class TestList:
    def test_by_name_a_page_at_a_time(self, house, ask):
        for name in ("c", "a", "b"):
            house.define(name, "count")
        first = ask("GET", "/queues?limit=2").json()
        assert [queue["queue"] for queue in first["queues"]] == ["a", "b"]
        second = ask("GET", f"/queues?limit=2&after={first['next']}").json()
        assert [queue["queue"] for queue in second["queues"]] == ["c", "default"]
        assert second["next"] is None

    def test_nothing_after_the_last(self, ask):
        assert ask("GET", "/queues?after=zzz").json() == {"queues": [], "next": None}

    @pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "after=", "after=A", "before=a"])
    def test_bad_pages(self, ask, query):
        answer = ask("GET", f"/queues?{query}")
        assert (answer.status_code, answer.json()["field"]) == (
            422,
            query.partition("=")[0],
        )


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
        assert shown == {"type": "KeyError", "message": "'nope'", "seq": 3}
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

        async def args_in(view):
            streams = Streams(house.queues, context.actions, settings=lambda: context.settings)
            events = streams.watch({"view": view, "queue": "jobs"}, dict, ANYBODY)
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


class TestBackup:
    def test_a_copy_in_the_data_folder(self, make, tmp_path):
        house = make(data=tmp_path / "data")
        house.ask("POST", "/next?count=7")
        answer = house.ask("POST", "/backup").json()
        copy = tmp_path / "restored" / "dibs.db"
        copy.parent.mkdir()
        copy.write_bytes((tmp_path / "data" / "backups" / answer["path"].rpartition("/")[2]).read_bytes())
        assert copy.stat().st_size == answer["bytes"]
        restored = make(data=copy.parent)
        assert restored.ask("POST", "/accept", json={"advance": 0}).json() == {"advanced": []}
        assert restored.ask("POST", "/next").json()["seq"] == 8

    def test_not_of_memory(self, refused):
        refused("POST", "/backup", 403, "forbidden")


def test_keys_survive_a_restart(open_house, tmp_path):
    with open_house(data=tmp_path) as house:
        first = house.ask("POST", "/next?count=3", headers=keyed("k"))
    with open_house(data=tmp_path) as house:
        again = house.ask("POST", "/next?count=3", headers=keyed("k"))
        assert again.json() == first.json()
        assert again.headers["idempotent-replayed"] == "true"
        assert house.ask("POST", "/next").json()["seq"] == 4


class TestHistory:
    @pytest.fixture
    def ids(self, house, ask):
        house.define("ids", "count", start=100)
        assert ask("PUT", "/queues/ids", json={"settings": {"history": None}}).status_code == 200
        return "/queues/ids"

    def rows(self, ask, path="/queues/ids/history"):
        found = ask("GET", path).json()["history"]
        return [(row["verb"], row["first"], row["last"], row["key"], row["worker"]) for row in found]

    def test_every_way_of_taking_is_told_and_a_replay_is_not(self, ids, house, ask):
        for _ in range(2):
            ask("POST", f"{ids}/next", headers=keyed("order-4711"))
            ask("POST", f"{ids}/next?count=2", headers=keyed("two"))
            ask("POST", f"{ids}/block?size=5", headers=keyed("block"))
        ask("POST", f"{ids}/next")
        assert self.rows(ask) == [
            ("taken", 1, 1, "order-4711", ""),
            ("taken", 2, 3, "two", ""),
            ("taken", 4, 8, "block", ""),
            ("taken", 9, 9, None, ""),
        ]
        [row] = ask("GET", f"{ids}/history?seq=5").json()["history"]
        assert row == {
            **{"generation": 1, "first": 4, "last": 8, "verb": "taken", "caller": "", "key": "block"},
            **{"worker": "", "at": row["at"]},
        }
        item = ask("GET", f"{ids}/items/5").json()
        assert item == {"queue": "ids", "seq": 5, "value": 104, "state": "taken", "done": row}

    def test_every_way_of_acking_is_told_and_a_replay_is_not(self, ids, house, ask):
        first, second, third = (
            house.lease("ids", max=2, worker=name)["token"] for name in ("ann", "ben", "cid")
        )
        for _ in range(2):
            ask("POST", f"{ids}/ack", json={"token": first}, headers=keyed("a"))
            body = {"acks": [{"token": second, "seqs": [[4, 4]]}], "lease": {"max": 1}}
            ask("POST", f"{ids}/settle", json=body, headers=keyed("s"))
        ask("POST", f"{ids}/settle", json={"acks": [{"token": third}], "lease": {"max": 1}})
        assert self.rows(ask) == [
            ("acked", 1, 2, "a", "ann"),
            ("acked", 4, 4, "s", "ben"),
            ("acked", 5, 6, None, "cid"),
        ]
        assert ask("GET", f"{ids}/items/3").json()["state"] == "leased"
        assert ask("GET", f"{ids}/items/4").json()["done"]["worker"] == "ben"

    def test_it_outlives_the_queue_and_comes_in_pages(self, ids, ask):
        for _ in range(3):
            ask("POST", f"{ids}/next")
        ask("DELETE", ids)
        page = ask("GET", f"{ids}/history?limit=2").json()
        assert [row["first"] for row in page["history"]] == [1, 2]
        page = ask("GET", f"{ids}/history?limit=2&after={page['next']}").json()
        assert ([row["first"] for row in page["history"]], page["next"]) == ([3], None)

    def test_what_has_none(self, house, ask, refused):
        house.define("quiet", "count")
        ask("POST", "/queues/quiet/next")
        assert ask("GET", "/queues/quiet/history").json() == {"queue": "quiet", "history": [], "next": None}
        refused("GET", "/queues/quiet/items/1", 404, "item-unknown")
        refused("GET", "/queues/nowhere/history", 404, "queue-unknown")
        refused("GET", "/queues/quiet/history?seq=0", 422, "limit-exceeded")
