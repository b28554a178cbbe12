"""Queues are defined, deleted and listed."""

import pytest


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
