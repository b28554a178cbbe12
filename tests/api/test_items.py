"""Looking at items, redriving and purging them."""

import pytest
from dibs.ledger.work import Parcel
from dibs.queue.browsing import Browser
from dibs.queue.operations import Operations


def keyed(key):
    return {"Idempotency-Key": key}


@pytest.fixture
def house(house):
    house.pushed("jobs", "a", {"b": None}, "ü", 4, 5, max_attempts=1)
    return house


def kill(house, *seqs, count=5):
    """Lease ``count`` and let these die."""
    token = house.lease("jobs", max=count)["token"]
    body = {"token": token, "seqs": [[seq, seq] for seq in seqs], "error": "exit 1"}
    assert house.ask("POST", "/queues/jobs/nack", json=body).status_code == 200
    return token


def seqs(answer):
    return [item["seq"] for item in answer.json()["items"]]


class TestPage:
    def test_every_item_inside(self, house):
        answer = house.ask("GET", "/queues/jobs/items").json()
        assert (answer["queue"], answer["next"]) == ("jobs", None)
        first, second, *_ = answer["items"]
        assert {**first, "due_at": ""} == {
            "seq": 1,
            "value": "a",
            "state": "waiting",
            "attempt": 0,
            "priority": 0,
            "due_at": "",
            "worker": "",
            "error": None,
        }
        assert second["value"] == {"b": None}

    def test_of_one_state(self, house):
        kill(house, 2, count=3)
        states = {
            state: seqs(house.ask("GET", f"/queues/jobs/items?state={state}"))
            for state in ("waiting", "leased", "dead")
        }
        assert states == {"waiting": [4, 5], "leased": [1, 3], "dead": [2]}
        (dead,) = house.ask("GET", "/queues/jobs/items?state=dead").json()["items"]
        assert (dead["attempt"], dead["error"], dead["value"]) == (1, "exit 1", {"b": None})

    def test_a_page_at_a_time(self, house):
        pages, after = [], 0
        while after is not None:
            answer = house.ask("GET", f"/queues/jobs/items?limit=2&after={after}")
            pages.append(seqs(answer))
            after = answer.json()["next"]
        assert pages in ([[1, 2], [3, 4], [5]], [[1, 2], [3, 4], [5], []])

    def test_of_a_source_that_counts_the_values_are_computed(self, house):
        house.define("ids", "count", start=100)
        house.lease("ids", max=3)
        items = house.ask("GET", "/queues/ids/items?state=leased").json()["items"]
        assert [(item["seq"], item["value"]) for item in items] == [(1, 100), (2, 101), (3, 102)]

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("state=gone", "state"),
            ("state=", "state"),
            ("state=dead&state=dead", "state"),
            ("after=-1", "after"),
            ("after=x", "after"),
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("offset=1", "offset"),
            ("x=1", "x"),
        ],
    )
    def test_bad_pages(self, house, query, field):
        answer = house.ask("GET", f"/queues/jobs/items?{query}")
        assert (answer.status_code, answer.json()["field"]) == (422, field)


class TestItem:
    def test_with_the_history_of_its_attempts(self, house):
        house.pushed("jobs", max_attempts=3)
        for error in ("one", "two"):
            token = house.lease("jobs", max=5, worker="w")["token"]
            house.ask(
                "POST",
                "/queues/jobs/nack",
                json={"token": token, "seqs": [[3, 3]], "error": error, "delay": 0},
            )
            house.ask("POST", "/queues/jobs/release", json={"token": token})
        shown = house.ask("GET", "/queues/jobs/items/3").json()
        assert (shown["queue"], shown["seq"], shown["value"], shown["error"]) == ("jobs", 3, "ü", "two")
        history = [(each["attempt"], each["worker"], each["error"]) for each in shown["history"]]
        assert history == [(1, "w", "one"), (2, "w", "two")]
        assert all(each["at"].endswith("Z") for each in shown["history"])

    @pytest.mark.parametrize("seq", [1, 6, 2**53 - 1])
    def test_one_that_is_not_inside(self, house, refused, seq):
        token = house.lease("jobs")["token"]
        house.ask("POST", "/queues/jobs/ack", json={"token": token})
        problem = refused("GET", f"/queues/jobs/items/{seq}", 404, "item-unknown").json()
        assert problem["field"] == "seq"

    def test_one_that_never_comes(self, house, refused):
        told = lambda: refused("GET", "/queues/jobs/items/6", 404, "item-unknown").json()["detail"]  # noqa: E731
        assert told() == "item 6 of jobs has not come yet"
        house.ask("POST", "/queues/jobs/close")
        assert told() == "item 6 of jobs does not come: the queue is closed"

    @pytest.mark.parametrize("seq", ["0", "-1", "x", "1.0", "01", "9007199254740992", "%20"])
    def test_what_is_no_seq(self, refused, seq):
        name = "limit-exceeded" if seq in {"0", "-1", "9007199254740992"} else "invalid"
        assert refused("GET", f"/queues/jobs/items/{seq}", 422, name).json()["field"] == "seq"


class TestRedrive:
    def test_all(self, house):
        kill(house, 1, 2, 3)
        answer = house.ask("POST", "/queues/jobs/redrive")
        assert (answer.status_code, answer.json()) == (200, {"queue": "jobs", "redriven": 3})
        leased = house.lease("jobs", max=5)["items"]
        assert sorted((item["seq"], item["attempt"]) for item in leased) == [(1, 1), (2, 1), (3, 1)]

    def test_some_of_them_and_at_a_rate(self, house):
        kill(house, 1, 2, 3, 4)
        body = {"seqs": [[3, 9], [1, 1]], "limit": 2, "rate": 0.001}
        assert house.ask("POST", "/queues/jobs/redrive", json=body).json()["redriven"] == 2
        assert seqs(house.ask("GET", "/queues/jobs/items?state=dead")) == [2, 4]
        assert len(house.lease("jobs", max=5)["items"]) == 1  # the second comes 1000 seconds later

    def test_with_a_key(self, house):
        kill(house, 1, 2)
        body = {"limit": 1}
        answers = [house.ask("POST", "/queues/jobs/redrive", json=body, headers=keyed("k")) for _ in range(2)]
        assert answers[0].json() == answers[1].json() == {"queue": "jobs", "redriven": 1}
        assert answers[1].headers["idempotent-replayed"] == "true"

    def test_what_was_done_is_told_again_though_by_now_others_match(self, house):
        kill(house, 1, 2)
        body = {"expect": 2}
        answers = [house.ask("POST", "/queues/jobs/redrive", json=body, headers=keyed("k")) for _ in range(2)]
        assert answers[0].json() == answers[1].json() == {"queue": "jobs", "redriven": 2}
        assert answers[1].headers["idempotent-replayed"] == "true"
        refused = house.ask("POST", "/queues/jobs/redrive", json=body, headers=keyed("other"))
        assert (refused.status_code, refused.json()["field"]) == (409, "expect")
        kill(house, 1, 2)
        again = house.ask("POST", "/queues/jobs/redrive", json=body, headers=keyed("other"))
        assert again.json() == {"queue": "jobs", "redriven": 2}  # a refusal is no answer that is kept

    @pytest.mark.parametrize(
        ("body", "name", "field"),
        [
            ({"limit": 0}, "limit-exceeded", "limit"),
            ({"limit": "all"}, "invalid", "limit"),
            ({"rate": 0}, "limit-exceeded", "rate"),
            ({"rate": 1e9}, "limit-exceeded", "rate"),
            ({"rate": None}, "invalid", "rate"),
            ({"seqs": []}, "invalid", "seqs"),
            ({"seqs": [[2, 1]]}, "invalid", "seqs.0"),
            ({"seqs": [[1, 2], [2, 3]]}, "invalid", "seqs"),
            ({"seq": 1}, "invalid", "seq"),
            ({"confirm": "jobs"}, "invalid", "confirm"),
        ],
    )
    def test_bad_ones(self, refused, house, body, name, field):
        kill(house, 1)
        assert refused("POST", "/queues/jobs/redrive", 422, name, json=body).json()["field"] == field

    def test_of_some_seqs_those_that_are_dead_are_expected(self, house):
        kill(house, 1, 2)
        refused = house.ask("POST", "/queues/jobs/redrive", json={"seqs": [[2, 5]], "expect": 4})
        assert refused.json()["detail"] == (
            "1 dead items match by now, and 4 were expected: nothing was redriven"
        )
        moved = house.ask("POST", "/queues/jobs/redrive", json={"seqs": [[2, 5]], "expect": 1})
        assert moved.json()["redriven"] == 1

    @pytest.mark.parametrize("how", [{}, {"error": "exit 1"}, {"seqs": [[1, 3_000]]}], ids=str)
    @pytest.mark.parametrize("turn", [0, 1], ids=["before it begins", "between two slices"])
    def test_what_dies_meanwhile_is_left_alone_where_a_number_is_expected(
        self, house, monkeypatch, how, turn
    ):
        house.pushed("jobs", *range(1_200))
        kill(house, *range(1, 1_201), count=1_200)
        late = house.lease("jobs", max=3)["token"]
        turns, commit = iter(range(9)), Operations._commit

        async def committed(operations, *asked):
            if next(turns) == turn:
                nack = {"token": late, "error": "exit 1"}
                assert (await house.send("POST", "/queues/jobs/nack", json=nack)).status_code == 200
            return await commit(operations, *asked)

        monkeypatch.setattr(Operations, "_commit", committed)
        body = {"expect": 1_200, "rate": 1_000, **how}
        answer = house.ask("POST", "/queues/jobs/redrive", json=body)
        if turn == 0 and "error" not in how:
            assert (answer.status_code, answer.json()["field"]) == (409, "expect")
            assert "1203 dead items match by now" in answer.json()["detail"]
            assert house.ask("GET", "/queues/jobs").json()["dead"] == 1_203
        else:
            assert answer.json()["redriven"] == 1_200
            assert seqs(house.ask("GET", "/queues/jobs/items?state=dead")) == [1_201, 1_202, 1_203]


class TestPurge:
    def test_everything_but_what_is_leased(self, house):
        kill(house, 1, count=2)
        answer = house.ask("POST", "/queues/jobs/purge", json={"confirm": "jobs"})
        assert (answer.status_code, answer.json()) == (200, {"queue": "jobs", "purged": 4})
        assert seqs(house.ask("GET", "/queues/jobs/items")) == [2]
        assert house.ask("GET", "/queues/jobs/audit").json()["balanced"]

    @pytest.mark.parametrize(("states", "left"), [(["dead"], [2, 3, 4, 5]), (["waiting"], [1, 2])])
    def test_of_some_states(self, house, states, left):
        kill(house, 1, count=2)
        house.ask("POST", "/queues/jobs/purge", json={"confirm": "jobs", "states": states})
        assert seqs(house.ask("GET", "/queues/jobs/items")) == left

    def test_with_a_key(self, house):
        body = {"confirm": "jobs"}
        answers = [house.ask("POST", "/queues/jobs/purge", json=body, headers=keyed("k")) for _ in range(2)]
        assert answers[0].json() == answers[1].json() == {"queue": "jobs", "purged": 5}
        assert answers[1].headers["idempotent-replayed"] == "true"

    def test_no_more_than_was_expected(self, house):
        kill(house, 1, count=2)  # one is leased, three wait
        for body, found in (({"expect": 3}, 4), ({"expect": 0, "states": ["dead"]}, 1)):
            refused = house.ask("POST", "/queues/jobs/purge", json={"confirm": "jobs", **body})
            told = f"{found} items match by now, and {body['expect']} were expected: nothing was purged"
            assert (refused.status_code, refused.json()["field"]) == (409, "expect")
            assert refused.json()["detail"] == told
        body = {"confirm": "jobs", "expect": 4}
        answers = [house.ask("POST", "/queues/jobs/purge", json=body, headers=keyed("k")) for _ in range(2)]
        house.pushed("jobs", *range(9))
        answers.append(house.ask("POST", "/queues/jobs/purge", json=body, headers=keyed("k")))
        assert [answer.json() for answer in answers] == [{"queue": "jobs", "purged": 4}] * 3
        fewer = house.ask("POST", "/queues/jobs/purge", json={"confirm": "jobs", "expect": 100})
        assert fewer.json()["purged"] == 9

    def test_what_is_pushed_after_it_was_counted_stays(self, house, monkeypatch):
        audit = Browser.audit

        async def counted(browser):
            seen = await audit(browser)
            await house.app.state.context.queues.get("jobs").producer.push((Parcel(('"late"',)),))
            return seen

        monkeypatch.setattr(Browser, "audit", counted)
        purged = house.ask("POST", "/queues/jobs/purge", json={"confirm": "jobs", "expect": 5})
        assert purged.json() == {"queue": "jobs", "purged": 5}
        monkeypatch.undo()
        assert [item["value"] for item in house.ask("GET", "/queues/jobs/items").json()["items"]] == ["late"]

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "confirm"),
            ({"confirm": True}, "confirm"),
            ({"confirm": "Jobs"}, "confirm"),
            ({"confirm": "default"}, "confirm"),
            ({"confirm": ["jobs"]}, "confirm"),
            ({"confirm": "jobs", "states": []}, "states"),
            ({"confirm": "jobs", "states": ["leased"]}, "states.0"),
            ({"confirm": "jobs", "states": ["dead", "dead"]}, "states"),
            ({"confirm": "jobs", "states": ["dead", ["waiting"]]}, "states.1"),
            ({"confirm": "jobs", "states": "dead"}, "states"),
            ({"confirm": "jobs", "state": "dead"}, "state"),
        ],
    )
    def test_only_when_it_is_meant(self, refused, body, field):
        assert refused("POST", "/queues/jobs/purge", 422, "invalid", json=body).json()["field"] == field

    def test_without_a_body_nothing_is_dropped(self, refused):
        refused("POST", "/queues/jobs/purge", 415, "unsupported-media-type")
