"""What is read of a request: names, sizes, limits, and whether somebody still waits for the answer."""

import asyncio
import json

import pytest

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("wait", ["0", "30", "0.5", "1e-3", "-0.0"])
def test_waits_that_are_allowed(ask, wait):
    assert ask("POST", f"/next?wait={wait}").status_code == 200


def test_a_slash_in_a_name_never_reaches_another_queue(house, refused):
    house.define("a", "count")
    refused("POST", "/queues/a%2Fnext", 422, "limit-exceeded")
    refused("POST", "/queues/a%2fpause", 422, "limit-exceeded")
    assert house.ask("GET", "/queues/a").json()["paused"] is False


def test_dots_are_not_names(house):
    async def dots():
        return [await house.call("PUT", f"/queues/{name}") for name in (".", "..")]

    for sent, _ in house.run(dots()):
        assert sent[0]["status"] == 422


def test_64_characters_are_a_name(house):
    assert house.define("a" * 64, "count")["queue"] == "a" * 64


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"'],
)
def test_types_that_are_json(ask, content_type):
    body = json.dumps({"source": "count"})
    answer = ask("PUT", "/queues/new", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == 201


class TestSize:
    """1 MiB at most, by what arrives and not by what was announced."""

    LIMIT = 1024 * 1024

    def send(self, house, *, headers=(), chunks=(), path="/queues/new", method="PUT"):
        headers = [(b"content-type", b"application/json"), *headers]
        sent, received = house.run(house.call(method, path, headers=headers, chunks=chunks))
        return sent, received

    @pytest.mark.parametrize(
        ("method", "path"), [("PUT", "/queues/new"), ("POST", "/next"), ("POST", "/nowhere")]
    )
    def test_an_announced_one_is_refused_unread(self, house, method, path):
        length = (b"content-length", str(self.LIMIT + 1).encode())
        sent, _ = self.send(house, headers=[length], chunks=[b"x"], method=method, path=path)
        assert sent[0]["status"] == 413
        assert dict(sent[0]["headers"])[b"connection"] == b"close"
        problem = json.loads(sent[1]["body"])
        assert (problem["field"], problem["limit"]) == ("body", self.LIMIT)
        assert house.cursor() == 0

    def test_a_chunked_one_is_refused_at_the_limit(self, house):
        chunks = [b" " * 65_536] * 4000
        sent, received = self.send(house, headers=[(b"transfer-encoding", b"chunked")], chunks=chunks)
        assert sent[0]["status"] == 413
        assert received < 160  # the limit is 17 chunks; some more are thrown away, so that the answer is read

    @pytest.mark.framework
    def test_one_that_is_longer_than_announced(self, house):
        chunks = [b" " * 65_536] * 20
        sent, _ = self.send(house, headers=[(b"content-length", b"10")], chunks=chunks)
        assert sent[0]["status"] == 413

    @pytest.mark.framework
    @pytest.mark.parametrize("length", [b"-1", b"x", b"1e3", b"9" * 5000, b""])
    def test_an_announcement_that_is_no_number(self, house, length):
        sent, _ = self.send(house, headers=[(b"content-length", length)])
        assert sent[0]["status"] == 413

    def test_exactly_the_limit_is_read(self, house):
        body = b'{"source": "count"}'.ljust(self.LIMIT)
        sent, _ = self.send(house, headers=[(b"transfer-encoding", b"chunked")], chunks=[body])
        assert sent[0]["status"] == 201

    @pytest.mark.framework
    def test_a_client_that_goes_away_in_its_body_gets_no_answer_and_changes_nothing(self, house):
        async def go_away():
            async def receive():
                return {"type": "http.disconnect"}

            sent = []

            async def send(message):
                sent.append(message)

            headers = [(b"content-type", b"application/json"), (b"content-length", b"100")]
            scope = {"type": "http", "method": "PUT", "path": "/queues/new", "query_string": b""}
            await house.app({**scope, "headers": headers, "root_path": ""}, receive, send)
            return sent

        assert house.run(go_away()) == []
        assert house.ask("GET", "/queues/new").status_code == 404

    def test_the_limit_is_a_setting(self, make):
        house = make(limits={"body_bytes": 2048})
        body = b'{"source": "count"}'.ljust(2049)
        answer = house.ask("PUT", "/queues/new", content=body, headers=JSON)
        assert (answer.status_code, answer.json()["limit"]) == (413, 2048)


def test_the_limits_are_settings(make):
    house = make(limits={"count": 5, "block": 7, "wait": 1, "key_bytes": 36})
    assert house.ask("POST", "/next?count=6").json()["limit"] == "1..5"
    assert house.ask("POST", "/queues/default/block?size=8").json()["limit"] == "1..7"
    assert house.ask("POST", "/next?wait=2").json()["limit"] == "0..1"
    assert house.ask("POST", "/next", headers={"Idempotency-Key": "k" * 37}).json()["limit"] == 36


class TestLeaving:
    """A client that waits and goes away is not handed anything."""

    def test_a_waiter_that_left_takes_nothing(self, house):
        house.ask("POST", "/queues/default/pause")

        async def leave():
            left = asyncio.Event()
            request = asyncio.ensure_future(house.call("POST", "/next", query=b"wait=30", hold=left))
            await house.until(lambda: house.queues.get("default").browser.stats().waiting)
            left.set()
            return await request

        assert house.run(leave())[0] == []
        house.ask("POST", "/queues/default/resume")
        assert house.ask("POST", "/next").json()["seq"] == 1

    def test_a_waiter_that_stays_is_served(self, house):
        house.ask("POST", "/queues/default/pause")

        async def stay():
            request = asyncio.ensure_future(house.send("POST", "/next?wait=30"))
            await house.until(lambda: house.queues.get("default").browser.stats().waiting)
            await house.send("POST", "/queues/default/resume")
            return await request

        assert house.run(stay()).json()["seq"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/queues/default/items", '{"items":[{"value":[' + "1," * 200_000 + "1]}]}"),
        ("POST", "/queues/default/items", '{"items":[' + "[]," * 200_000 + "[]]}"),
        ("POST", "/queues/default/settle", '{"acks":[' + "1," * 200_000 + "1]}"),
        ("POST", "/queues/default/lease", '{"max":[' + "1," * 200_000 + "1]}"),
        ("POST", "/queues/default/ack", '{"token":"t","seqs":[' + "[1,1]," * 140_000 + "[1,1]]}"),
        ("POST", "/queues/default/purge", '{"states":[' + '"dead",' * 140_000 + '"dead"]}'),
        ("PUT", "/queues/new", '{"args":{"start":[' + "1," * 200_000 + "1]}}"),
    ],
)
def test_a_large_body_is_read_in_short_steps_and_has_so_many_members(refused, method, path, body):
    """The parser gets a window at a time, since it holds the interpreter's lock; more is refused early."""
    options = {"content": body, "headers": {"Content-Type": "application/json"}}
    problem = refused(method, path, 422, "limit-exceeded", **options).json()
    assert (problem["field"], problem["limit"]) == ("body", 131_073)


def test_a_large_good_body_is_taken_whole(house):
    house.pushed("q")
    values = [{"text": "é" * 500, "list": [[n, {"a": n}]] * 20} for n in range(2_000)]
    answer = house.ask("POST", "/queues/q/items", json={"items": [{"value": value} for value in values]})
    assert answer.status_code == 201
    leased = house.lease("q", max=2_000)["items"]
    assert [item["value"] for item in leased] == values[: len(leased)]
    assert len(leased) > 100
