import json

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount


def keyed(key):
    return {"Idempotency-Key": key}


def test_one_item(ask):
    first, second = ask("POST", "/next"), ask("POST", "/next")
    assert first.text == '{"queue":"default","seq":1,"value":1}\n'
    assert second.json() == {"queue": "default", "seq": 2, "value": 2}
    assert first.headers["content-type"] == "application/json"


def test_count_gives_a_list_even_of_one(ask):
    assert ask("POST", "/next?count=1").json() == {
        "queue": "default",
        "state": "open",
        "items": [{"seq": 1, "value": 1}],
    }
    assert ask("POST", "/next?count=3").json()["items"] == [{"seq": seq, "value": seq} for seq in (2, 3, 4)]


def test_the_largest_count(ask):
    items = ask("POST", "/next?count=10000").json()["items"]
    assert [item["value"] for item in items] == list(range(1, 10_001))


def test_get_is_the_same_for_browsers_and_curl(house, ask):
    house.define("ids", "count", start=7)
    assert ask("GET", "/next").json()["value"] == 1
    assert ask("POST", "/queues/ids/next?count=2").json()["items"][1] == {"seq": 2, "value": 8}


def test_a_named_queue(house, ask):
    house.define("a.b_c-9", "count", start=100, step=5)
    assert ask("POST", "/queues/a.b_c-9/next").json() == {"queue": "a.b_c-9", "seq": 1, "value": 100}
    assert ask("POST", "/next").json()["queue"] == "default"


def test_past_the_end_gives_what_is_left_then_says_exhausted(house, ask, refused):
    house.define("few", "range", start=0, stop=3)
    answer = ask("POST", "/queues/few/next?count=10").json()
    assert ([item["value"] for item in answer["items"]], answer["state"]) == ([0, 1, 2], "exhausted")
    refused("POST", "/queues/few/next", 410, "exhausted")


def test_any_json_is_a_value(house, ask):
    house.define("sweep", "grid", a=["ü\n", None], b=[1.5, {"x": [True]}])
    answer = ask("POST", "/queues/sweep/next?count=10")
    assert [item["value"] for item in answer.json()["items"]] == [
        {"a": a, "b": b} for a in ("ü\n", None) for b in (1.5, {"x": [True]})
    ]


def test_wide_numbers_are_text(house, ask):
    house.define("wide", "count", max=2**63 - 1, start=2**53 - 1)
    assert ask("POST", "/queues/wide/next?count=2").json()["items"] == [
        {"seq": 1, "value": str(2**53 - 1)},
        {"seq": 2, "value": str(2**53)},
    ]


class TestText:
    TEXT = {"Accept": "text/plain"}  # noqa: RUF012

    def test_one_value_a_line(self, ask):
        answer = ask("POST", "/next", headers=self.TEXT)
        assert (answer.text, answer.headers["content-type"]) == ("1\n", "text/plain; charset=utf-8")
        assert ask("POST", "/next?count=3", headers=self.TEXT).text == "2\n3\n4\n"

    def test_text_is_bare_and_the_rest_is_json(self, house, ask):
        house.define("v", "grid", a=["ü", 1])
        assert ask("POST", "/queues/v/next?count=2", headers=self.TEXT).text == '{"a":"ü"}\n{"a":1}\n'
        house.define("inv", "count", format="INV-{:04d}")
        assert ask("POST", "/queues/inv/next", headers=self.TEXT).text == "INV-0001\n"

    def test_errors_are_problems_all_the_same(self, refused):
        refused("POST", "/next?count=0", 422, "limit-exceeded", headers=self.TEXT)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("plain", "plain"),
        ("", ""),
        ('"quoted"', '"quoted"'),
        ("tab\there", '"tab\\there"'),
        ("two\nlines", '"two\\nlines"'),
        ("bell\x07", '"bell\\u0007"'),
        ("escape\x1b[31m", '"escape\\u001b[31m"'),
        ("next\x85line", '"next\\u0085line"'),
        ("line\u2028separator", '"line\\u2028separator"'),
        ("back\\slash", "back\\slash"),
        ("ü €", "ü €"),
    ],
)
def test_a_line_is_a_value(value, line):
    from dibs.api import answers

    assert answers.line(json.dumps(value, ensure_ascii=False)) == line
    assert answers.line(json.dumps(value)) == line


WRONG_KEYS = [
    *(b"", b'""', b'"k', b'"k"x', b'"a\\b"', b"\xc3\xbc", b"a\tb"),
    pytest.param(b"a\x7fb", marks=pytest.mark.framework),
]


class TestKeys:
    def test_the_same_key_gets_the_same_answer(self, house, ask):
        first, again = (ask("POST", "/next?count=2", headers=keyed("k")) for _ in range(2))
        assert first.json() == again.json()
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        assert house.cursor() == 2

    def test_quoted_or_bare_is_one_key(self, house, ask):
        answers = [ask("POST", "/next", headers=keyed(key)) for key in ("k 1", '"k 1"')]
        assert [answer.json()["seq"] for answer in answers] == [1, 1]
        assert ask("POST", "/next", headers=keyed('"a\\"b"')).json()["seq"] == 2
        assert ask("POST", "/next", headers=keyed('a"b')).json()["seq"] == 2

    def test_with_space_around_it(self, house):
        for key in (b"k", b'  "k" ', b"k\t", b"  k  "):
            sent, _ = house.run(house.call("POST", "/next", headers=[(b"idempotency-key", key)]))
            assert (sent[0]["status"], json.loads(sent[1]["body"])["seq"]) == (200, 1)

    def test_over_get_too(self, ask):
        assert [ask("GET", "/next", headers=keyed("k")).json()["seq"] for _ in range(2)] == [1, 1]

    def test_a_replay_in_text(self, ask):
        headers = keyed("k") | {"Accept": "text/plain"}
        assert ask("POST", "/next", headers=headers).text == "1\n"
        again = ask("POST", "/next", headers=headers)
        assert (again.text, again.headers["idempotent-replayed"]) == ("1\n", "true")

    def test_keys_belong_to_a_queue(self, house, ask):
        house.define("other", "count", start=50)
        assert ask("POST", "/next", headers=keyed("k")).json()["value"] == 1
        assert ask("POST", "/queues/other/next", headers=keyed("k")).json()["value"] == 50

    def test_another_count_with_the_key_is_refused(self, ask, refused):
        ask("POST", "/next?count=2", headers=keyed("k"))
        refused("POST", "/next?count=3", 422, "key-reused", headers=keyed("k"))

    def test_255_bytes_are_allowed(self, ask):
        assert ask("POST", "/next", headers=keyed("k" * 255)).status_code == 200

    @pytest.mark.parametrize("key", ["k" * 256, f'"{"k" * 256}"'])
    def test_more_are_not(self, refused, key):
        problem = refused("POST", "/next", 422, "limit-exceeded", headers=keyed(key)).json()
        assert (problem["field"], problem["limit"]) == ("Idempotency-Key", 255)

    @pytest.mark.parametrize("key", WRONG_KEYS)
    def test_what_is_no_key(self, refused, key):
        answer = refused("POST", "/next", 422, "invalid", headers=[(b"Idempotency-Key", key)])
        assert answer.json()["field"] == "Idempotency-Key"

    def test_two_keys_are_one_too_many(self, refused):
        headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
        refused("POST", "/next", 400, "malformed", headers=headers)


class TestBlock:
    def test_bounds_of_consecutive_numbers(self, house, ask):
        house.define("b", "count", start=10, step=3)
        assert ask("POST", "/queues/b/block?size=4").json() == {
            "queue": "b",
            "state": "open",
            "seq": 1,
            "first": 10,
            "last": 19,
            "step": 3,
            "count": 4,
        }
        assert ask("POST", "/queues/b/next").json() == {"queue": "b", "seq": 5, "value": 22}

    def test_a_million(self, house, ask):
        house.define("b", "count")
        assert ask("POST", "/queues/b/block?size=1000000").json()["last"] == 1_000_000

    def test_only_what_is_left(self, house, ask):
        house.define("b", "range", stop=5)
        answer = ask("POST", "/queues/b/block?size=10").json()
        assert (answer["count"], answer["last"], answer["state"]) == (5, 4, "exhausted")

    def test_with_a_key(self, house, ask):
        house.define("b", "count")
        answers = [ask("POST", "/queues/b/block?size=4", headers=keyed("k")) for _ in range(2)]
        assert [answer.json()["first"] for answer in answers] == [1, 1]
        assert answers[1].headers["idempotent-replayed"] == "true"

    def test_bounds_of_a_wide_queue_are_text_from_the_first_on(self, house, ask):
        house.define("wide", "count", max=2**63 - 1)
        answer = ask("POST", "/queues/wide/block?size=3").json()
        assert (answer["first"], answer["last"], answer["count"]) == ("1", "3", 3)

    def test_not_of_a_source_that_does_not_count(self, house, refused):
        house.define("u", "uuid7")
        refused("POST", "/queues/u/block?size=4", 409, "not-arithmetic")

    @pytest.mark.parametrize("query", ["", "?size=0", "?size=1000001", "?size=1.0", "?size=x", "?count=1"])
    def test_bad_sizes(self, house, refused, query):
        house.define("b", "count")
        problem = refused("POST", f"/queues/b/block{query}", 422, mentions(query)).json()
        assert problem["field"] == ("count" if "count" in query else "size")


def mentions(query):
    return "limit-exceeded" if query in {"?size=0", "?size=1000001"} else "invalid"


@pytest.mark.framework
def test_the_application_may_be_mounted_anywhere(house):
    outer = Starlette(routes=[Mount("/dibs", house.app)])

    async def take():
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(outer), base_url="http://localhost:8000"
        ) as client:
            return await client.post("/dibs/next")

    assert house.run(take()).json() == {"queue": "default", "seq": 1, "value": 1}
