"""Leasing items, at once or after waiting for them."""

import asyncio
import json
import re

import pytest


def keyed(key):
    return {"Idempotency-Key": key}


@pytest.fixture
def house(house):
    house.pushed("jobs", "a", {"b": [1, None]}, "ü", 4, 5)
    return house


def short(house, call, **body):
    return house.ask("POST", f"/queues/jobs/{call}", json=body)


class TestLease:
    def test_of_a_pushed_queue(self, house):
        answer = house.ask("POST", "/queues/jobs/lease", json={"max": 3, "ttl": 60, "worker": "w1"})
        lease = answer.json()
        assert set(lease) == {"queue", "state", "token", "expires_at", "expires_in", "items"}
        assert (lease["queue"], lease["state"]) == ("jobs", "open")
        assert lease["items"] == [
            {"seq": 1, "value": "a", "attempt": 1},
            {"seq": 2, "value": {"b": [1, None]}, "attempt": 1},
            {"seq": 3, "value": "ü", "attempt": 1},
        ]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", lease["expires_at"])
        assert 59 < lease["expires_in"] <= 60
        assert house.ask("GET", "/queues/jobs/items/3").json()["worker"] == "w1"

    @pytest.mark.parametrize("options", [{}, {"content": b"{}"}, {"content": b" {} \n"}, {"json": {}}])
    def test_without_a_body_it_is_one_item(self, house, options):
        answer = house.ask("POST", "/queues/jobs/lease", **options)
        assert [item["seq"] for item in answer.json()["items"]] == [1]
        assert 29 < answer.json()["expires_in"] <= 30

    def test_of_a_source(self, house):
        lease = house.lease("default", max=3)
        assert lease["items"] == [{"seq": seq, "value": seq, "attempt": 1} for seq in (1, 2, 3)]
        assert house.lease("default")["items"][0]["seq"] == 4

    def test_of_a_source_of_wide_numbers(self, house):
        house.define("wide", "count", max=2**63 - 1, start=2**53)
        assert house.lease("wide", max=2)["items"][1]["value"] == str(2**53 + 1)

    def test_every_answer_has_a_token_of_its_own(self, house):
        assert house.lease("jobs")["token"] != house.lease("jobs")["token"]

    def test_an_answer_of_several_runs_has_the_right_values(self, house):
        token = house.lease("jobs", max=4)["token"]
        short(house, "ack", token=token, seqs=[[2, 2]])
        short(house, "nack", token=token, seqs=[[3, 3]], delay=0)
        short(house, "release", token=token)
        leased = [
            (item["seq"], item["value"], item["attempt"]) for item in house.lease("jobs", max=9)["items"]
        ]
        assert sorted(leased) == [(1, "a", 1), (3, "ü", 2), (4, 4, 1), (5, 5, 1)]

    def test_empty_is_204(self, house):
        house.lease("jobs", max=10)
        answer = house.ask("POST", "/queues/jobs/lease")
        assert (answer.status_code, answer.content) == (204, b"")

    def test_exhausted_only_when_nothing_is_left_inside(self, house, refused):
        house.ask("POST", "/queues/jobs/close")
        token = house.lease("jobs", max=10)["token"]
        assert house.ask("POST", "/queues/jobs/lease").status_code == 204
        assert house.ask("POST", "/queues/jobs/next").status_code == 204
        short(house, "ack", token=token)
        refused("POST", "/queues/jobs/lease", 410, "exhausted")

    def test_paused(self, house, refused):
        house.ask("POST", "/queues/jobs/pause")
        answer = refused("POST", "/queues/jobs/lease", 503, "paused")
        assert int(answer.headers["retry-after"]) >= 1

    def test_a_request_sent_again_gets_the_same_answer(self, house):
        first, again = (
            house.ask("POST", "/queues/jobs/lease", json={"max": 2}, headers=keyed("k")) for _ in range(2)
        )
        lease, replay = first.json(), again.json()
        assert {**lease, "expires_in": 0} == {**replay, "expires_in": 0}
        assert replay["expires_in"] <= lease["expires_in"]
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        other = house.ask("POST", "/queues/jobs/lease", json={"max": 3}, headers=keyed("k"))
        assert (other.status_code, other.json()["type"]) == (422, "urn:dibs:problem:key-reused")

    def test_take_and_lease_share_what_waits(self, house):
        house.lease("jobs", max=2)
        taken = house.ask("POST", "/queues/jobs/next?count=10").json()
        assert [item["seq"] for item in taken["items"]] == [3, 4, 5]

    def test_taken_seqs_need_not_be_consecutive(self, house):
        token = house.lease("jobs", max=5)["token"]
        short(house, "ack", token=token, seqs=[[2, 2], [4, 4]])
        short(house, "release", token=token)
        assert house.ask("POST", "/queues/jobs/next?count=2").json()["items"] == [
            {"seq": 1, "value": "a"},
            {"seq": 3, "value": "ü"},
        ]
        assert house.ask("POST", "/queues/jobs/next").json() == {"queue": "jobs", "seq": 5, "value": 5}


class TestWaiting:
    @pytest.fixture
    def house(self, house):
        house.pushed("none")
        return house

    def waits(self, house, body, path="/queues/none/lease"):
        return asyncio.ensure_future(house.send("POST", path, json=body))

    def test_nothing_comes(self, house):
        assert house.ask("POST", "/queues/none/lease", json={"wait": 0.01}).status_code == 204

    @pytest.mark.parametrize("path", ["/queues/none/lease", "/queues/none/settle"])
    def test_who_went_away_is_handed_nothing(self, house, path):
        body = {"wait": 30} if path.endswith("lease") else {"lease": {"wait": 30}}

        async def leave():
            left = asyncio.Event()
            sent = json.dumps(body).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(sent))]
            call = house.call("POST", path, headers=headers, chunks=[sent], hold=left)
            request = asyncio.ensure_future(call)
            await house.until(lambda: house.queues.get("none").browser.stats().waiting)
            left.set()
            return await request

        assert house.run(leave())[0] == []
        house.pushed("none", "x")
        assert house.lease("none")["items"] == [{"seq": 1, "value": "x", "attempt": 1}]

    def test_who_stays_is_woken_by_a_release(self, house):
        async def stay():
            held = (await house.send("POST", "/queues/jobs/lease", json={"max": 5})).json()
            waiting = self.waits(house, {"wait": 30}, "/queues/jobs/lease")
            await house.until(lambda: house.queues.get("jobs").browser.stats().waiting)
            await house.send("POST", "/queues/jobs/release", json={"token": held["token"]})
            return await waiting

        assert house.run(stay()).json()["items"][0]["seq"] == 1

    def test_and_by_the_last_settle_of_a_closed_queue(self, house):
        async def stay():
            held = (await house.send("POST", "/queues/jobs/lease", json={"max": 5})).json()
            await house.send("POST", "/queues/jobs/close")
            waiting = self.waits(house, {"wait": 30}, "/queues/jobs/lease")
            await house.until(lambda: house.queues.get("jobs").browser.stats().waiting)
            await house.send("POST", "/queues/jobs/ack", json={"token": held["token"]})
            return await waiting

        assert house.run(stay()).status_code == 410
