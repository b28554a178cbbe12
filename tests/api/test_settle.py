"""Saying what became of leased items; late holders are fenced off."""

import pytest


def keyed(key):
    return {"Idempotency-Key": key}


@pytest.fixture
def house(house):
    house.pushed("jobs", "a", {"b": [1, None]}, "ü", 4, 5)
    return house


def settle(house, name="jobs", **body):
    answer = house.ask("POST", f"/queues/{name}/settle", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def short(house, call, **body):
    return house.ask("POST", f"/queues/jobs/{call}", json=body)


class TestShort:
    def test_ack(self, house):
        token = house.lease("jobs", max=5)["token"]
        some = short(house, "ack", token=token, seqs=[[4, 5], [1, 2]])
        assert some.json() == {
            "queue": "jobs",
            "outcomes": [{"seqs": [1, 2], "outcome": "acked"}, {"seqs": [4, 5], "outcome": "acked"}],
        }
        rest = short(house, "ack", token=token)
        assert rest.json()["outcomes"] == [{"seqs": [3, 3], "outcome": "acked"}]
        assert house.ask("GET", "/queues/jobs").json()["acked"] == 5

    def test_nack_with_a_delay_and_an_error(self, house):
        token = house.lease("jobs")["token"]
        (outcome,) = short(house, "nack", token=token, delay=3600, error="exit 1 ü").json()["outcomes"]
        assert (outcome["seqs"], outcome["outcome"]) == ([1, 1], "nacked")
        shown = house.ask("GET", "/queues/jobs/items/1").json()
        assert (shown["due_at"], shown["error"]) == (outcome["due_at"], "exit 1 ü")

    def test_nack_at_once(self, house):
        token = house.lease("jobs")["token"]
        short(house, "nack", token=token, delay=0)
        assert {"seq": 1, "value": "a", "attempt": 2} in house.lease("jobs", max=5)["items"]

    def test_nacked_for_the_last_time_it_is_dead(self, house):
        house.pushed("jobs", max_attempts=1)
        token = house.lease("jobs")["token"]
        assert short(house, "nack", token=token).json()["outcomes"] == [{"seqs": [1, 1], "outcome": "dead"}]

    def test_nacked_as_dead_it_is_so_at_once(self, house):
        token = house.lease("jobs", max=2)["token"]
        outcomes = short(house, "nack", token=token, seqs=[[1, 1]], dead=True).json()["outcomes"]
        assert outcomes == [{"seqs": [1, 1], "outcome": "dead"}]
        (outcome,) = short(house, "nack", token=token, dead=False).json()["outcomes"]
        assert (outcome["seqs"], outcome["outcome"]) == ([2, 2], "nacked")

    def test_extend(self, house):
        token = house.lease("jobs", max=3, ttl=5)["token"]
        (outcome,) = short(house, "extend", token=token, ttl=100).json()["outcomes"]
        assert (outcome["seqs"], outcome["outcome"]) == ([1, 3], "extended")
        assert 99 < outcome["expires_in"] <= 100
        shown = house.ask("GET", "/queues/jobs/items/2").json()
        assert (shown["state"], shown["due_at"]) == ("leased", outcome["expires_at"])

    def test_release_does_not_count(self, house):
        token = house.lease("jobs")["token"]
        answer = short(house, "release", token=token)
        assert answer.json()["outcomes"] == [{"seqs": [1, 1], "outcome": "released"}]
        assert house.lease("jobs")["items"][0]["attempt"] == 1

    def test_what_is_partly_stale_applies_as_far_as_it_is_not(self, house):
        token = house.lease("jobs", max=2)["token"]
        answer = short(house, "ack", token=token, seqs=[[1, 4]])
        assert answer.status_code == 200
        assert answer.json()["outcomes"] == [
            {"seqs": [1, 2], "outcome": "acked"},
            {"seqs": [3, 4], "outcome": "stale"},
        ]

    @pytest.mark.parametrize("call", ["ack", "nack", "release"])
    def test_with_a_key(self, house, call):
        token = house.lease("jobs")["token"]
        first, again = (
            house.ask("POST", f"/queues/jobs/{call}", json={"token": token}, headers=keyed("k"))
            for _ in range(2)
        )
        assert (first.status_code, first.json()) == (200, again.json())
        assert again.headers["idempotent-replayed"] == "true"

    def test_a_settle_of_another_kind_under_the_key_is_refused(self, house, refused):
        token = house.lease("jobs")["token"]
        house.ask("POST", "/queues/jobs/ack", json={"token": token}, headers=keyed("k"))
        refused("POST", "/queues/jobs/nack", 422, "key-reused", json={"token": token}, headers=keyed("k"))


class TestStale:
    """A late holder is fenced off."""

    CALLS = (("ack", {}), ("nack", {}), ("extend", {"ttl": 9}), ("release", {}))

    @pytest.mark.parametrize(("call", "more"), CALLS)
    @pytest.mark.parametrize("seqs", [{}, {"seqs": [[1, 2], [4, 4]]}])
    def test_forged(self, refused, house, call, more, seqs):
        house.lease("jobs", max=5)
        body = {"token": "forged", **more, **seqs}
        problem = refused("POST", f"/queues/jobs/{call}", 409, "stale-lease", json=body).json()
        assert (problem["field"], problem["retryable"]) == ("token", False)

    @pytest.mark.parametrize(("call", "more"), CALLS)
    def test_of_another_queue(self, refused, house, call, more):
        token = house.lease("default")["token"]
        refused("POST", f"/queues/jobs/{call}", 409, "stale-lease", json={"token": token, **more})

    @pytest.mark.parametrize(("call", "more"), CALLS)
    def test_settled_already(self, refused, house, call, more):
        token = house.lease("jobs")["token"]
        short(house, "ack", token=token)
        refused("POST", f"/queues/jobs/{call}", 409, "stale-lease", json={"token": token, **more})

    @pytest.mark.parametrize(("call", "more"), CALLS)
    def test_expired_although_nobody_else_has_it(self, refused, house, call, more):
        async def expire():
            lease = (await house.send("POST", "/queues/jobs/lease", json={"ttl": 0.001})).json()
            engine = house.queues._engine
            due = engine.items(house.queues.get("jobs").line.row.id, None, 0, 1, 1)[0][0].due
            await house.until(lambda: engine.now() >= due)
            return lease["token"]

        token = house.run(expire())
        refused("POST", f"/queues/jobs/{call}", 409, "stale-lease", json={"token": token, **more})
        assert {"seq": 1, "value": "a", "attempt": 2} in house.lease("jobs", max=5)["items"]

    def test_of_another_generation(self, refused, house):
        token = house.lease("jobs")["token"]
        house.ask("DELETE", "/queues/jobs?confirm=jobs")
        house.ask("PUT", "/queues/jobs", json={"reset": True})
        house.pushed("jobs", "new")
        house.lease("jobs")
        refused("POST", "/queues/jobs/ack", 409, "stale-lease", json={"token": token, "seqs": [[1, 1]]})

    def test_seqs_outside_of_the_lease(self, refused, house):
        token = house.lease("jobs", max=2)["token"]
        house.lease("jobs", max=2)
        body = {"token": token, "seqs": [[3, 5], [1000, 2000]]}
        refused("POST", "/queues/jobs/ack", 409, "stale-lease", json=body)


class TestSettle:
    def test_all_kinds_and_the_next_lease_in_one_request(self, house):
        token = house.lease("jobs", max=4)["token"]
        answer = settle(
            house,
            acks=[{"token": token, "seqs": [[1, 1]]}],
            nacks=[{"token": token, "seqs": [[2, 2]], "delay": 60, "error": "no"}],
            extends=[{"token": token, "seqs": [[3, 3]], "ttl": 60}],
            releases=[{"token": token, "seqs": [[4, 4]]}],
            lease={"max": 10, "ttl": 5},
        )
        assert (answer["queue"], answer["state"]) == ("jobs", "open")
        assert answer["acks"] == [[{"seqs": [1, 1], "outcome": "acked"}]]
        ((nacked,),) = answer["nacks"]
        assert (nacked["seqs"], nacked["outcome"], set(nacked)) == (
            [2, 2],
            "nacked",
            {"seqs", "outcome", "due_at"},
        )
        ((extended,),) = answer["extends"]
        assert (extended["seqs"], extended["outcome"]) == ([3, 3], "extended")
        assert 59 < extended["expires_in"] <= 60
        assert answer["releases"] == [[{"seqs": [4, 4], "outcome": "released"}]]
        assert sorted(item["seq"] for item in answer["lease"]["items"]) == [4, 5]
        assert 4 < answer["lease"]["expires_in"] <= 5
        assert "lease_problem" not in answer

    def test_the_answer_follows_the_order_of_the_request(self, house):
        one, two = house.lease("jobs", max=2)["token"], house.lease("jobs", max=2)["token"]
        answer = settle(
            house,
            acks=[{"token": two, "seqs": [[9, 9], [3, 4]]}, {"token": "forged"}, {"token": one}],
        )
        assert answer["acks"] == [
            [{"seqs": [3, 4], "outcome": "acked"}, {"seqs": [9, 9], "outcome": "stale"}],
            [{"seqs": None, "outcome": "stale"}],
            [{"seqs": [1, 2], "outcome": "acked"}],
        ]
        assert (answer["nacks"], answer["extends"], answer["releases"]) == ([], [], [])
        assert "lease" not in answer

    def test_of_a_source_the_next_lease_is_fresh(self, house):
        token = house.lease("default", max=2)["token"]
        answer = settle(house, "default", acks=[{"token": token}], lease={"max": 2})
        assert [item["value"] for item in answer["lease"]["items"]] == [3, 4]

    def test_a_late_worker_may_settle_an_item_under_both_its_tokens(self, house):
        old = house.lease("jobs")["token"]
        short(house, "nack", token=old, delay=0)
        new = next(
            lease["token"]
            for lease in iter(lambda: house.lease("jobs"), None)
            if lease["items"][0]["seq"] == 1
        )
        entries = [{"token": token, "seqs": [[1, 1]]} for token in (old, new)]
        assert settle(house, acks=entries)["acks"] == [
            [{"seqs": [1, 1], "outcome": "stale"}],
            [{"seqs": [1, 1], "outcome": "acked"}],
        ]

    def test_nothing_at_all_is_no_mistake(self, house):
        assert settle(house)["acks"] == []
        assert settle(house, acks=[], lease={})["lease"]["items"][0]["seq"] == 1

    def test_no_next_lease_where_it_is_empty(self, house):
        token = house.lease("jobs", max=5)["token"]
        answer = settle(house, acks=[{"token": token, "seqs": [[1, 2]]}], lease={})
        assert (answer["lease"], answer["lease_problem"]) == (None, None)

    @pytest.mark.parametrize(
        ("operation", "problem", "status"), [("close", "exhausted", 410), ("pause", "paused", 503)]
    )
    def test_no_next_lease_for_a_reason(self, house, operation, problem, status):
        token = house.lease("jobs", max=5)["token"]
        house.ask("POST", f"/queues/jobs/{operation}")
        answer = settle(house, acks=[{"token": token}], lease={"max": 3})
        assert answer["acks"] == [[{"seqs": [1, 5], "outcome": "acked"}]]
        assert answer["lease"] is None
        refusal = answer["lease_problem"]
        assert (refusal["type"], refusal["status"]) == (f"urn:dibs:problem:{problem}", status)
        direct = house.ask("POST", "/queues/jobs/lease").json()
        assert direct.pop("request_id")
        assert refusal == direct

    def test_a_request_sent_again_gets_the_same_answer(self, house):
        token = house.lease("jobs", max=2)["token"]
        body = {"acks": [{"token": token}], "lease": {"max": 2}}
        first, again = (
            house.ask("POST", "/queues/jobs/settle", json=body, headers=keyed("k")) for _ in range(2)
        )
        one, two = first.json(), again.json()
        one["lease"]["expires_in"] = two["lease"]["expires_in"] = 0
        assert one == two
        assert again.headers["idempotent-replayed"] == "true"
        body["acks"][0]["seqs"] = [[1, 1]]
        other = house.ask("POST", "/queues/jobs/settle", json=body, headers=keyed("k"))
        assert (other.status_code, other.json()["type"]) == (422, "urn:dibs:problem:key-reused")


class TestResults:
    """An ack and what it pushes are one."""

    @pytest.fixture
    def house(self, house):
        house.pushed("done", max_ready=1)
        return house

    def test_results_are_pushed_even_where_the_queue_is_full(self, house):
        token = house.lease("jobs", max=2)["token"]
        results = [{"queue": "done", "value": {"n": n}, "priority": n} for n in (2, 1)]
        assert short(house, "ack", token=token, push=results).status_code == 200
        leased = house.lease("done", max=10)["items"]
        assert [item["value"] for item in leased] == [{"n": 1}, {"n": 2}]

    def test_keys_of_results_are_known_once(self, house):
        for _ in range(2):
            token = house.lease("jobs")["token"]
            short(house, "ack", token=token, push=[{"queue": "done", "value": 1, "key": "k"}])
        assert house.cursor("done") == 1

    @pytest.mark.parametrize(
        ("target", "reason"), [("nope", "unknown"), ("default", "source-fed"), ("closed", "closed")]
    )
    def test_a_target_that_does_not_take_it_refuses_all(self, house, refused, target, reason):
        house.pushed("closed")
        house.ask("POST", "/queues/closed/close")
        token = house.lease("jobs", max=2)["token"]
        push = [{"queue": "done", "value": 1}, {"queue": target, "value": 2}]
        body = {"token": token, "push": push}
        problem = refused("POST", "/queues/jobs/ack", 409, "result-refused", json=body).json()
        assert problem["reason"] == reason
        assert target in problem["detail"]
        answer = settle(house, acks=[body])
        assert answer["acks"] == [[{"seqs": [1, 2], "outcome": "refused", "reason": reason, "queue": target}]]
        assert short(house, "ack", token=token).status_code == 200  # the lease was left alone

    def test_one_stale_seq_and_nothing_is_pushed(self, house):
        token = house.lease("jobs", max=2)["token"]
        body = {"token": token, "seqs": [[1, 3]], "push": [{"queue": "done", "value": 1}]}
        short(house, "ack", **body)
        assert house.cursor("done") == 0
        assert house.ask("GET", "/queues/jobs").json()["acked"] == 0


def test_an_ack_with_results_that_is_partly_stale_is_stale(house):
    house.pushed("jobs")
    house.pushed("done")
    house.ask("POST", "/queues/jobs/items", json={"items": [{"value": 1}]})
    token = house.ask("POST", "/queues/jobs/lease", json={}).json()["token"]
    entry = {"token": token, "seqs": [[1, 2]], "push": [{"queue": "done", "value": 1}]}
    settled = house.ask("POST", "/queues/jobs/settle", json={"acks": [entry]}).json()
    assert settled["acks"] == [
        [{"seqs": [1, 1], "outcome": "refused", "reason": "stale"}, {"seqs": [2, 2], "outcome": "stale"}]
    ]
    short = house.ask("POST", "/queues/jobs/ack", json=entry)
    assert (short.status_code, short.json()["type"]) == (409, "urn:dibs:problem:stale-lease")
    assert house.cursor("done") == 0
