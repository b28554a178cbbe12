"""Lines and ids of requests: what a server writes of each, and what its answer says."""

import asyncio
import io
import logging
import re

import pytest
from dibs.cli.logs import Log
from dibs.inert import acts

KEY = {"Idempotency-Key": "a-secret-key", "Idempotency-Sequence": "7"}
MADE = re.compile(r"[0-9a-f]{8}-[0-9a-f]+")


@pytest.fixture
def logged(make):
    """A house, and the lines that it writes."""
    house, lines = make(), []
    house.app.state.context.access.begin(lambda event, **known: lines.append(known), "info")
    yield house, lines
    logging.getLogger().setLevel(logging.WARNING)


def test_one_line_for_a_request_with_the_id_that_its_answer_has(logged):
    house, lines = logged
    for method, path, status in (
        ("POST", "/next", 200),
        ("POST", "/next?count=x", 422),
        ("POST", "/queues/none/lease", 404),
        ("GET", "/healthz", 200),
        ("HEAD", "/healthz", 200),
        ("GET", "/nowhere", 404),
        ("DELETE", "/next", 405),
    ):
        lines.clear()
        answer = house.ask(method, path)
        (line,) = lines
        told = line["method"], line["path"], line["status"], line["bytes"]
        assert told == (method, path.partition("?")[0], status, len(answer.content))
        assert answer.status_code == status
        assert line["request_id"] == answer.headers["x-request-id"]
        assert MADE.fullmatch(line["request_id"])
        assert line["who"] == "anybody"
        assert line["ms"] >= 0
        if status >= 400:
            assert answer.json()["request_id"] == line["request_id"]


@pytest.mark.parametrize(
    "path", ["/next", "/queues/default/lease", "/queues/default/settle", "/queues/none/next"]
)
@pytest.mark.parametrize("key", [{}, KEY])
def test_an_id_that_is_given_goes_back_and_each_is_its_own(logged, path, key):
    house, lines = logged
    given = [f"proxy:{number}/a.b_c@d+e=~" for number in range(3)] + ["x" * 128]
    answers = [house.ask("POST", path, headers={"x-request-ID": each, **key}) for each in given]
    assert [answer.headers["x-request-id"] for answer in answers] == given
    assert [line["request_id"] for line in lines] == given
    ids = [answer.json()["request_id"] for answer in answers if answer.status_code >= 400]
    assert ids in ([], given)


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "\u00fc", 'a"b', "a,b"])
def test_an_id_that_is_none_is_made_anew(logged, given):
    house, lines = logged
    answer = house.ask("POST", "/next", headers=[("x-request-id", given.encode())])
    assert answer.status_code == 200
    assert MADE.fullmatch(answer.headers["x-request-id"])
    assert lines[0]["request_id"] == answer.headers["x-request-id"]


def test_of_two_ids_neither_counts(logged):
    house, _ = logged
    answer = house.ask("POST", "/next", headers=[("x-request-id", "a"), ("x-request-id", "b")])
    assert MADE.fullmatch(answer.headers["x-request-id"])


def test_no_line_has_a_token_a_key_or_a_value(logged):
    house, lines = logged
    house.pushed("jobs", "a-secret-value")
    lease = house.ask("POST", "/queues/jobs/lease", headers=KEY | {"Authorization": "Bearer a-secret"}).json()
    house.ask("POST", "/queues/jobs/ack?x=a-secret", json={"token": lease["token"]})
    house.ask("POST", "/queues/jobs/nack", json={"token": lease["token"], "error": "a-secret-error"})
    assert len(lines) == 5
    assert "secret" not in str(lines)
    assert lease["token"] not in str(lines)


def test_a_token_that_stands_in_a_path_is_not_written(logged):
    house, lines = logged
    token = house.ask("POST", "/tokens", json={"roles": ["admin"]}).json()["token"]
    shown, headers = token[:16], {"authorization": f"Bearer {token}"}  # its id is no secret
    for method, path in (("DELETE", "/tokens/"), ("GET", "/queues/"), ("POST", "/x/"), ("GET", "/")):
        lines.clear()
        assert house.ask(method, path + token, headers=headers).status_code >= 400
        assert [line["path"] for line in lines] == [f"{path}{shown}…"]


@pytest.mark.parametrize("form", ["json", "human"])
def test_a_path_can_not_act(make, form):
    house, written = make(), io.StringIO()
    house.app.state.context.access.begin(Log(written, form).request, "info")
    house.ask("GET", "/a%1b%5b2J%e2%80%ae%0a" + "b" * 1000)
    logging.getLogger().setLevel(logging.WARNING)
    line = written.getvalue()
    assert not acts(line.removesuffix("\n"))
    assert "[2J" in line
    assert r"\u202e" in line
    assert 200 < len(line) < 600


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_client_that_leaves_while_it_waits_has_a_line(logged, method):
    house, lines = logged
    house.ask("POST", "/queues/default/pause")
    lines.clear()

    async def leave():
        gone = asyncio.Event()
        call = asyncio.ensure_future(house.call(method, "/next", query=b"wait=20", hold=gone))
        await house.until(lambda: house.queues.get("default").line.parked)
        gone.set()
        await call
        await house.until(lambda: lines)

    house.run(leave())
    (line,) = lines
    told = line["path"], line["status"], line.get("aborted")
    # Who only closes his side of a connection may still read: so he is answered.
    assert told == ("/next", *((503, None) if house.wire else (None, True)))


def test_nothing_is_written_above_info_and_the_level_can_change(logged):
    house, lines = logged
    access = house.app.state.context.access
    access.set_level("notice")
    assert house.ask("POST", "/next").headers["x-request-id"]
    assert not lines
    access.set_level("info")
    house.ask("POST", "/next")
    assert len(lines) == 1


class TestBroken:
    """What no framework sees: heads that are none."""

    @pytest.fixture
    def wire(self, logged):
        house, lines = logged
        if not house.wire:
            pytest.skip("there is no connection")
        return house, lines

    def test_a_head_that_can_not_be_read(self, wire):
        house, lines = wire
        answer, _ = house.run(house.wire.raw(b"BAD\r\n\r\n"))
        (line,) = lines
        assert (line["method"], line["path"], line["status"]) == ("-", "-", 400)
        assert line["request_id"].encode() in answer

    def test_a_head_that_can_not_be_read_is_nobodys(self, wire):
        house, lines = wire
        token = house.ask("POST", "/tokens", json={"roles": ["admin"], "name": "ann"}).json()["token"]
        lines.clear()
        head = f"POST /next HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
        house.run(house.wire.raw(head.encode() + b"BAD\r\n\r\n"))
        assert [(line["path"], line["status"], line["who"]) for line in lines] == [
            ("/next", 200, "ann"),
            ("-", 400, "anybody"),
        ]

    def test_a_client_that_leaves_before_its_body_came(self, wire):
        house, lines = wire

        async def leave():
            gone = asyncio.Event()
            head = b"POST /queues/default/lease HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
            call = asyncio.ensure_future(
                house.wire.raw(head + b"Content-Type: application/json\r\n\r\n{", close=gone)
            )
            await house.until(lambda: house.wire.server.server_state.connections)
            await asyncio.sleep(0.05)
            gone.set()
            await call
            await house.until(lambda: lines)

        house.run(leave())
        assert [(line["path"], line["status"]) for line in lines] == [("/queues/default/lease", None)]
