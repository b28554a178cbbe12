"""The inbox over HTTP: how much waits, what was refused, another chance; and a ledger that has none."""

import asyncio

import pytest
from dibs.ledger.inbox import InboxUnreadable, Look, Measure, RefusedRow
from dibs.ledger.sqlite.engine import SqliteEngine
from dibs.queue import draining


class Inbox:
    """An inbox with three refused rows; ``breaks`` once."""

    full = ("b",)
    breaks = False

    def __init__(self):
        self.rows = [
            RefusedRow(3, "a", '{"to": 9007199254740993}', None, 1_000, "it is closed", 2_000),
            RefusedRow(5, "b", "[]", "k", 1_000, "there is none", 2_000),
            RefusedRow(8, "a", "null", None, 1_000, "it is closed", 2_000),
        ]

    def look(self, text, now, most):
        return Look((), (), True, 1)

    def committed(self, taken):
        pass

    def roomy(self, queue):
        pass

    def measure(self, most):
        return Measure(7, 1.23456, len(self.rows))

    def refused(self, queue, after, most):
        if self.breaks:
            raise InboxUnreadable("it is down")
        return [row for row in self.rows if queue in {None, row.queue} and row.id > after][:most]

    def retry(self, queue):
        gone = self.refused(queue, 0, 100)
        self.rows = [row for row in self.rows if row not in gone]
        return len(gone)

    def close(self):
        pass


@pytest.fixture
def inbox(monkeypatch):
    """The inbox of the ledgers that are opened."""
    made = Inbox()
    monkeypatch.setattr(draining, "MEASURE_EVERY", 0.0)
    monkeypatch.setattr(SqliteEngine, "inbox", made)
    return made


@pytest.fixture
def house(inbox, open_house):
    with open_house(data=":memory:") as house:
        house.run(asyncio.wait_for(house.until(lambda: house.queues.inbox.state.length), 60))
        yield house


def ids(answer):
    return [row["id"] for row in answer.json()["rows"]]


def test_it_tells_how_much_waits_and_what_was_refused(house):
    told = house.ask("GET", "/inbox").json()
    rows = told.pop("rows")
    assert told == {
        "length": 7,
        "oldest": 1.235,
        "refused": 3,
        "full": ["b"],
        "stopped": [],
        "next": None,
    }
    assert rows[0] == {
        "id": 3,
        "queue": "a",
        "value": {"to": "9007199254740993"},
        "key": None,
        "at": "1970-01-01T00:00:01.000Z",
        "reason": "it is closed",
        "refused_at": "1970-01-01T00:00:02.000Z",
    }
    assert [row["id"] for row in rows] == [3, 5, 8]


def test_a_page_at_a_time(house):
    first = house.ask("GET", "/inbox?limit=2")
    assert (ids(first), first.json()["next"]) == ([3, 5], 5)
    last = house.ask("GET", "/inbox?limit=2&after=5")
    assert (ids(last), last.json()["next"]) == ([8], None)
    assert ids(house.ask("GET", "/inbox?queue=a")) == [3, 8]


def test_what_was_refused_is_tried_again(house):
    assert house.ask("POST", "/inbox/retry", json={"queue": "a"}).json() == {"retried": 2}
    assert ids(house.ask("GET", "/inbox")) == [5]
    assert house.ask("POST", "/inbox/retry").json() == {"retried": 1}
    assert house.ask("POST", "/inbox/retry", json={}).json() == {"retried": 0}
    noted = [action.what for action in house.queues.actions()]
    assert noted == ["tried 2 refused pushes again", "tried 1 refused pushes again"]


def test_a_queue_that_is_not_there_is_unknown_once_nothing_of_it_was_refused(house):
    assert ids(house.ask("GET", "/inbox?queue=a")) == [3, 8]  # it is gone, and its rows are not
    assert ids(house.ask("GET", "/inbox?queue=default")) == []
    for answer in (
        house.ask("GET", "/inbox?queue=nope"),
        house.ask("POST", "/inbox/retry", json={"queue": "nope"}),
    ):
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:dibs:problem:queue-unknown")


def test_a_database_that_does_not_answer_is_told(house, inbox):
    inbox.breaks = True
    for method, path in (("GET", "/inbox"), ("POST", "/inbox/retry")):
        answer = house.ask(method, path)
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:dibs:problem:ledger-unavailable")
        assert "the inbox can't be read now: it is down" in answer.text
    inbox.breaks = False


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "after=-1", "queue=A", "state=dead"])
def test_what_it_is_asked_is_checked(house, query):
    assert house.ask("GET", f"/inbox?{query}").status_code == 422


def test_metrics_have_it(house):
    told = house.ask("GET", "/metrics").text
    for line in (
        "dibs_inbox_rows 7.0",
        "dibs_inbox_oldest_seconds 1.23456",
        "dibs_inbox_refused_rows 3.0",
        "dibs_inbox_stopped_queues 0.0",
    ):
        assert f"\n{line}\n" in told


def test_a_ledger_without_an_inbox_says_so(open_house):
    with open_house(data=":memory:") as house:
        for method, path in (("GET", "/inbox"), ("POST", "/inbox/retry")):
            answer = house.ask(method, path)
            assert answer.status_code == 409
            assert "this ledger has no inbox" in answer.json()["detail"]
        assert "dibs_inbox" not in house.ask("GET", "/metrics").text
