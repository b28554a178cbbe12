"""Pushing items as JSON: all of them or none."""

import asyncio

import pytest

JSON = {"Content-Type": "application/json"}


def keyed(key):
    return {"Idempotency-Key": key}


def push(house, *items, name="jobs", **options):
    return house.ask("POST", f"/queues/{name}/items", json={"items": list(items)}, **options)


@pytest.fixture
def house(house):
    house.pushed("jobs")
    return house


def values(house, name="jobs"):
    return [item["value"] for item in house.ask("GET", f"/queues/{name}/items").json()["items"]]


def test_one_and_many(house):
    first, second = push(house, {"value": "a"}), push(house, {"value": "b"}, {"value": None})
    assert (first.status_code, first.json()) == (201, {"queue": "jobs", "items": [{"seq": 1}]})
    assert second.json()["items"] == [{"seq": 2}, {"seq": 3}]
    assert values(house) == ["a", "b", None]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b'"\\u00fc \\u2028 \\ud83d\\ude00"', '"ü \u2028 😀"'),
        (b'{ "b" : 1 , "a" : [ 1.50 , -0 , 1e2 ] }', '{"b":1,"a":[1.5,0,100.0]}'),
        (b"9007199254740991", "9007199254740991"),
        (b"-9007199254740991", "-9007199254740991"),
        (b'"12345678901234567890"', '"12345678901234567890"'),
        (b"[" * 100 + b"]" * 100, "[" * 100 + "]" * 100),
        (b'{"": {"": [[], {}]}}', '{"":{"":[[],{}]}}'),
        (b"false", "false"),
    ],
)
def test_a_value_is_kept_in_one_form(house, sent, kept):
    body = b'{"items": [{"value": ' + sent + b"}]}"
    assert house.ask("POST", "/queues/jobs/items", content=body, headers=JSON).status_code == 201
    assert house.ask("POST", "/queues/jobs/next").text == f'{{"queue":"jobs","seq":1,"value":{kept}}}\n'


def test_the_largest_value(house):
    text = "x" * (256 * 1024 - 2)
    assert push(house, {"value": text}).status_code == 201
    assert house.ask("POST", "/queues/jobs/next").json()["value"] == text


def test_keys_of_items_are_known_once(house):
    first = push(house, {"value": 1, "key": "ü"}, {"value": 2, "key": "b"}).json()["items"]
    again = push(house, {"value": 3}, {"value": 4, "key": "ü"}, {"value": 5, "key": "c"}).json()["items"]
    assert first == [{"seq": 1}, {"seq": 2}]
    assert again == [{"seq": 3}, {"seq": 1, "duplicate": True}, {"seq": 4}]
    assert values(house) == [1, 2, 3, 5]


def test_which_keys_of_items_are_known(house):
    house.pushed("jobs")
    items = [{"value": key, "key": key} for key in ("b-2", "a", "b-1")] + [{"value": 1}]
    house.ask("POST", "/queues/jobs/items", json={"items": items})
    path = "/queues/jobs/keys"
    first = house.ask("GET", f"{path}?prefix=b&limit=1").json()
    assert first == {"queue": "jobs", "keys": [{"key": "b-1", "seq": 3}], "next": "b-1"}
    rest = house.ask("GET", f"{path}?prefix=b&after=b-1").json()
    assert (rest["keys"], rest["next"]) == ([{"key": "b-2", "seq": 1}], None)
    assert [each["key"] for each in house.ask("GET", path).json()["keys"]] == ["a", "b-1", "b-2"]


@pytest.mark.parametrize(
    ("query", "name", "field"),
    [
        ("?prefix=", "limit-exceeded", "prefix"),
        (f"?after={'%C3%BC' * 128}", "limit-exceeded", "after"),
        ("?limit=0", "limit-exceeded", "limit"),
        ("?key=a", "invalid", "key"),
    ],
)
def test_keys_that_can_not_be_listed(house, refused, query, name, field):
    house.pushed("jobs")
    assert refused("GET", f"/queues/jobs/keys{query}", 422, name).json()["field"] == field


def test_a_key_twice_in_one_request_is_pushed_once(house):
    answer = push(house, {"value": 1, "key": "a"}, {"value": 2, "key": "a"}).json()
    assert answer["items"] == [{"seq": 1}, {"seq": 1, "duplicate": True}]


def test_priority_and_delay(house):
    push(house, {"value": "late", "delay": 3600}, {"value": "low", "priority": 9.0}, {"value": "high"})
    leased = house.lease("jobs", max=10)["items"]
    assert [item["value"] for item in leased] == ["high", "low"]
    shown = house.ask("GET", "/queues/jobs/items/1").json()
    assert (shown["state"], shown["priority"]) == ("waiting", 0)


def test_a_request_sent_again_gets_the_same_answer(house):
    items = [{"value": 1}, {"value": 2, "key": "a"}, {"value": 3, "key": "a"}]
    first, again = (push(house, *items, headers=keyed("k")) for _ in range(2))
    assert first.json() == again.json()
    assert (first.status_code, again.status_code) == (201, 201)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert house.cursor("jobs") == 2
    other = push(house, {"value": 1}, headers=keyed("k"))
    assert (other.status_code, other.json()["type"]) == (422, "urn:dibs:problem:key-reused")


def test_over_max_ready_nothing_is_pushed(house, refused):
    house.pushed("jobs", 1, 2, max_ready=3)
    body = {"items": [{"value": 3}, {"value": 4}]}
    answer = refused("POST", "/queues/jobs/items", 429, "queue-full", json=body)
    assert int(answer.headers["retry-after"]) == answer.json()["retry_after"] >= 1
    assert (answer.json()["field"], answer.json()["limit"]) == ("items", 3)
    assert answer.json()["retryable"] is True
    assert push(house, {"value": 3}).status_code == 201


def test_a_refused_push_is_tried_anew_with_its_key(house):
    house.pushed("jobs", 1, max_ready=1)
    assert push(house, {"value": 2}, headers=keyed("k")).status_code == 429
    house.ask("POST", "/queues/jobs/next")
    answer = push(house, {"value": 2}, headers=keyed("k"))
    assert (answer.status_code, answer.json()["items"]) == (201, [{"seq": 2}])


def test_not_where_a_source_feeds_or_the_queue_is_closed(house, refused):
    body = {"items": [{"value": 1}]}
    refused("POST", "/queues/default/items", 409, "source-fed", json=body)
    refused("POST", "/queues/nope/items", 404, "queue-unknown", json=body)
    house.ask("POST", "/queues/jobs/close")
    refused("POST", "/queues/jobs/items", 409, "closed", json=body)


def test_a_paused_queue_takes_items(house):
    house.ask("POST", "/queues/jobs/pause")
    assert push(house, {"value": 1}).status_code == 201


def test_ten_thousand_at_once_and_not_one_more(house, refused):
    items = [{"value": number} for number in range(10_000)]
    assert push(house, *items).json()["items"][-1] == {"seq": 10_000}
    body = {"items": [*items, {"value": 0}]}
    problem = refused("POST", "/queues/jobs/items", 422, "limit-exceeded", json=body).json()
    assert (problem["field"], problem["limit"]) == ("items", 10_000)


class TestSize:
    """16 MiB for items, 1 MiB elsewhere; by what arrives and by what is announced."""

    def send(self, house, size, path="/queues/jobs/items", announced=True):
        body = b'{"items": [{"value": 1}]}'.ljust(size)
        headers = [(b"content-type", b"application/json")]
        headers += [(b"content-length", str(size).encode())] if announced else []
        pieces = [body[at : at + 65_536] for at in range(0, size, 65_536)]
        sent, _ = house.run(house.call("POST", path, headers=headers, chunks=pieces))
        return sent[0]["status"]

    @pytest.mark.parametrize("announced", [True, False])
    def test_16_mib(self, house, announced):
        assert self.send(house, 16 * 1024 * 1024, announced=announced) == 201
        assert self.send(house, 16 * 1024 * 1024 + 1, announced=announced) == 413

    @pytest.mark.parametrize("path", ["/queues/jobs/lease", "/queues/jobs/ack", "/next", "/items"])
    def test_elsewhere_1_mib(self, house, path):
        assert self.send(house, 1024 * 1024 + 1, path) == 413

    def test_settle_takes_more(self, house):
        assert self.send(house, 1024 * 1024 + 1, "/queues/jobs/settle") == 422  # read, and then refused

    def test_a_large_body_keeps_nobody_waiting(self, house):
        text = ("y" * 1000 + '"{[') * 16
        answer = push(house, *({"value": {"n": n, "text": text}} for n in range(500)))
        assert answer.json()["items"][-1] == {"seq": 500}
        assert house.ask("POST", "/queues/jobs/next").json()["value"] == {"n": 0, "text": text}


def test_a_push_wakes_who_waits(house):
    async def wait_and_push():
        waiting = asyncio.ensure_future(house.send("POST", "/queues/jobs/lease", json={"wait": 30}))
        await house.until(lambda: house.queues.get("jobs").browser.stats().waiting)
        await house.send("POST", "/queues/jobs/items", json={"items": [{"value": "now"}]})
        return await waiting

    assert house.run(wait_and_push()).json()["items"][0]["value"] == "now"
