"""Asking a server: what is repeated, for how long, and what is said in the end. No sockets, no sleeping."""

import httpx
import pytest
import typer
from dibs.cli.http import Api

KEY = {"Idempotency-Key": "k"}


class Net:
    """Answers in turn, the last one for ever; time passes only by sleeping."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []
        self.slept = []
        self.now = 0.0

    def __call__(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    def api(self, patience=10.0, **options):
        return Api(
            "http://x",
            patience=patience,
            **options,
            clock=lambda: self.now,
            sleep=self.sleep,
            transport=httpx.MockTransport(self),  # nothing that would have to be closed
        )


def problem(status, name, *, retryable=True, retry_after=None):
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    body = {"type": f"urn:dibs:problem:{name}", "detail": "why", "retryable": retryable}
    return httpx.Response(status, json=body, headers=headers)


OK = httpx.Response(200, json={"value": 1})


def test_a_lost_answer_is_asked_for_again_with_the_same_key():
    net = Net(httpx.ReadError("gone"), httpx.RemoteProtocolError("gone"), OK)
    assert net.api().send("POST", "/next", headers=KEY) is not None
    assert [request.headers["idempotency-key"] for request in net.requests] == ["k"] * 3


def test_an_answer_to_another_request_is_a_lost_one():
    told = {"dibs-version": "9", "dibs-queue": "default"}
    net = Net(
        httpx.Response(200, json={"value": 7}, headers={**told, "idempotency-key": "another"}),
        httpx.Response(200, json={"value": 8}, headers={**told, "dibs-queue": "ids", "idempotency-key": "k"}),
        httpx.Response(200, json={"value": 1}, headers={**told, "idempotency-key": "k"}),
    )
    assert net.api().send("POST", "/next", headers=KEY).json() == {"value": 1}
    assert net.slept == [0.2, 0.4]


def test_without_a_key_nothing_is_repeated(capsys):
    net = Net(httpx.ReadError("gone"))
    with pytest.raises(typer.Exit) as ended:
        net.api().send("POST", "/next")
    assert (ended.value.exit_code, len(net.requests)) == (7, 1)
    assert "was lost" in capsys.readouterr().err


def test_no_server_at_all_is_said_at_once(capsys):
    net = Net(httpx.ConnectError("[Errno 111] Connection refused"))
    with pytest.raises(typer.Exit) as ended:
        net.api().send("POST", "/next", headers=KEY)
    assert (ended.value.exit_code, len(net.requests)) == (7, 1)
    assert "no server at http://x (Connection refused)" in capsys.readouterr().err


def test_a_server_that_was_there_is_waited_for():
    net = Net(httpx.ReadError("killed"), httpx.ConnectError("down"), httpx.ConnectError("down"), OK)
    assert net.api().send("POST", "/next", headers=KEY).status_code == 200
    assert net.slept == sorted(net.slept)


def test_why_it_waits_is_told_once_each_time_and_in_words():
    down, told = httpx.ConnectError("[Errno 111] Connection refused"), []
    net = Net(OK, down, down, down, OK, httpx.ReadError(""), down, OK)
    api = net.api(on_wait=told.append)
    for _ in range(3):
        api.get("/queues")
    waits = f"waiting for the server at {api.url} ({{}})"
    assert told == [waits.format(why) for why in ("Connection refused", "the connection was lost")]


def test_but_not_for_ever():
    net = Net(httpx.ReadError("killed"), httpx.ConnectError("down"))
    with pytest.raises(typer.Exit):
        net.api(patience=5).send("POST", "/next", headers=KEY)
    assert 5 <= net.now < 8


def test_what_says_to_ask_again_is_asked_again_when_it_says():
    net = Net(problem(503, "starting", retry_after=1), OK)
    assert net.api().send("GET", "/stats").status_code == 200
    assert net.slept == [1]


def test_what_does_not_is_not():
    net = Net(problem(410, "exhausted", retryable=False))
    assert net.api().send("POST", "/next", headers=KEY).status_code == 410
    assert len(net.requests) == 1


def test_the_last_refusal_is_what_is_said(capsys):
    net = Net(problem(503, "paused", retry_after=1))
    with pytest.raises(typer.Exit) as ended:
        net.api(patience=3).get("/stats")
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == "dibs: paused: why\n"


def test_something_else_than_dibs_answers(capsys):
    net = Net(httpx.Response(404, text="<html>"))
    with pytest.raises(typer.Exit):
        net.api().get("/stats")
    assert "answered 404 Not Found" in capsys.readouterr().err


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_between_is_asked_again(status):
    net = Net(httpx.Response(status, text="bad gateway"), OK)
    assert net.api().send("GET", "/stats").status_code == 200
