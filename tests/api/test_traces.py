"""The traceparent of a push stays with its items, whichever way in, and a lease tells it."""

import pytest

ONE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TWO = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


def traced(*values):
    return [("traceparent", value) for value in values]


def push(house, *items, name="jobs", headers=()):
    answer = house.ask("POST", f"/queues/{name}/items", json={"items": list(items)}, headers=list(headers))
    assert answer.status_code == 201, answer.text


def told(lease):
    """The traceparent of each item, None where there is none."""
    return [item.get("traceparent") for item in lease["items"]]


@pytest.fixture
def house(house):
    house.pushed("jobs", "a")
    return house


def test_a_lease_and_a_look_tell_it_where_there_is_one(house):
    push(house, {"value": 1}, {"value": 2}, headers=traced(ONE))
    push(house, {"value": 3})
    lease = house.lease("jobs", max=9)
    assert told(lease) == [None, ONE, ONE, None]
    assert lease["items"][1] == {"seq": 2, "value": 1, "attempt": 1, "traceparent": ONE}
    assert list(lease["items"][0]) == ["seq", "value", "attempt"]
    looks = [house.ask("GET", f"/queues/jobs/items/{seq}").json() for seq in (1, 2, 3, 4)]
    assert [look.get("traceparent") for look in looks] == [None, ONE, ONE, None]


def test_a_stream_keeps_it(house):
    house.lease("jobs")
    lines = b"".join(b'{"value": %d}\n' % n for n in range(1_500))
    headers = [("Content-Type", "application/x-ndjson"), *traced(TWO)]
    assert house.ask("POST", "/queues/jobs/items", content=lines, headers=headers).status_code == 201
    assert told(house.lease("jobs", max=2_000)) == [TWO] * 1_500


@pytest.mark.parametrize(
    "headers",
    [
        traced(ONE.upper()),
        traced(ONE[:-1]),
        traced(f"{ONE}-00"),
        traced(f"{ONE}, {ONE}"),
        traced(f"01{ONE[2:]}"),
        traced("00-" + "0" * 32 + ONE[35:]),
        traced(ONE[:36] + "0" * 16 + "-01"),
        traced(""),
        traced(ONE, TWO),
        traced(ONE, ONE),
        [("traceparent", '00-"'), ("x-request-id", "r")],
    ],
    ids=[
        "capitals",
        "short",
        "long",
        "joined",
        "version",
        "no trace",
        "no span",
        "empty",
        "two",
        "twice",
        "odd",
    ],
)
def test_one_that_is_none_is_ignored(house, headers):
    push(house, {"value": 1}, headers=headers)
    assert told(house.lease("jobs", max=9)) == [None, None]


def test_it_is_no_part_of_what_a_key_stands_for(house):
    keyed = [("Idempotency-Key", "k")]
    push(house, {"value": 1}, headers=[*keyed, *traced(ONE)])
    push(house, {"value": 1}, headers=[*keyed, *traced(TWO)])
    first, again = [
        house.ask("POST", "/queues/jobs/lease", json={"max": 9}, headers=[("Idempotency-Key", "l"), *more])
        for more in ([], traced(TWO))
    ]
    assert again.headers["idempotent-replayed"] == "true"
    assert told(again.json()) == told(first.json()) == [None, ONE]


@pytest.mark.parametrize("verb", ["ack", "settle"])
def test_results_have_that_of_the_request_that_acks(house, verb):
    house.pushed("done")
    push(house, {"value": 1}, headers=traced(ONE))
    lease = house.lease("jobs", max=9)
    entry = {"token": lease["token"], "push": [{"queue": "done", "value": n} for n in range(2)]}
    body = {"acks": [entry], "lease": {}} if verb == "settle" else entry
    answer = house.ask("POST", f"/queues/jobs/{verb}", json=body, headers=traced(TWO))
    assert answer.status_code == 200, answer.text
    assert told(house.lease("done", max=9)) == [TWO, TWO]


def test_a_settle_tells_that_of_its_lease(house):
    push(house, {"value": 1}, headers=traced(ONE))
    token = house.lease("jobs")["token"]
    body = {"acks": [{"token": token}], "lease": {}}
    assert told(house.ask("POST", "/queues/jobs/settle", json=body).json()["lease"]) == [ONE]


def test_requests_with_one_are_counted_and_remembered_as_others(house):
    for n in range(50):
        push(house, {"value": n}, headers=traced(ONE[:-2] + f"{n:02x}"))
    leases = [house.lease("jobs", max=1) for _ in range(51)]
    assert [each for lease in leases for each in told(lease)] == [
        None,
        *(ONE[:-2] + f"{n:02x}" for n in range(50)),
    ]
