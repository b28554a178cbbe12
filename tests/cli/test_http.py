"""Asking a server: what is repeated, for how long, and what is said in the end. No sockets, no sleeping."""

import httpx
import pytest
from dibs.cli.http import Api
from dibs.cli.options import server
from dibs.client import ServerRefused, UnexpectedAnswer, Unreachable
from dibs.client.flow import Tempo


class Net:
    """Answers in turn, the last one for ever; time passes only by sleeping."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []
        self.slept = []
        self.now = 0.0
        self.answer = None

    def __call__(self, request):
        if self.answer:
            return self.answer(request)
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
            tempo=Tempo(clock=lambda: self.now, chance=lambda: 1.0),
            sleep=self.sleep,
            transport=httpx.MockTransport(self),  # nothing that would have to be closed
        )


def problem(status, name, *, retryable=True, retry_after=None):
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    body = {"type": f"urn:dibs:problem:{name}", "detail": "why", "retryable": retryable}
    return httpx.Response(status, json=body, headers=headers)


OK = httpx.Response(200, json={"value": 1})
DOWN = httpx.ConnectError("[Errno 111] Connection refused")


def test_a_lost_answer_is_asked_for_again_with_the_same_key():
    net = Net(httpx.ReadError("gone"), httpx.RemoteProtocolError("gone"), OK)
    assert net.api().change("POST", "backup") == {"value": 1}
    assert len({request.headers["idempotency-key"] for request in net.requests}) == 1
    assert len(net.requests) == 3


def test_no_server_at_all_is_said_at_once():
    net = Net(DOWN)
    with pytest.raises(Unreachable, match=r"^no server at http://x \(Connection refused\). Start one with"):
        net.api().change("POST", "next")
    assert len(net.requests) == 1


def test_a_server_that_was_there_is_waited_for_and_it_is_told_once_each_time_in_words():
    told = []
    net = Net(OK, DOWN, DOWN, DOWN, OK, httpx.ReadError(""), DOWN, OK)
    api = net.api(on_wait=told.append)
    for _ in range(3):
        assert api.get("queues") == {"value": 1}
    waits = f"waiting for the server at {api.url} ({{}})"
    assert told == [waits.format(why) for why in ("Connection refused", "the connection was lost")]


@pytest.mark.parametrize("first", [httpx.ReadError("killed"), OK])
def test_but_not_for_ever(first):
    net = Net(first, DOWN)
    api = net.api(patience=5)
    with pytest.raises(Unreachable, match=r"^http://x: GET /queues was not answered: Connection refused$"):
        [api.get("queues") for _ in range(2)]
    assert 3 < net.now <= 5


def test_the_patience_begins_when_the_answer_is_lost_and_not_when_the_request_was_sent():
    """A server that held a request for 25 s, as it was asked to, and then stopped, is waited for."""
    net = Net()

    def held(_):
        net.requests.append(net.now)
        net.now += 25 if len(net.requests) == 1 else 0
        if net.now < 33:
            raise httpx.ReadError("stopped") if len(net.requests) == 1 else DOWN
        return httpx.Response(200, json={"queue": "jobs", "state": "open", "items": []})

    net.answer = held
    api = net.api()
    assert api.run(api.queue("jobs").take(2, wait=25)) == []
    assert 33 <= net.now < 35


@pytest.mark.parametrize(("wait", "seconds"), [(0, 10), (25, 25)])
def test_who_waits_for_an_item_waits_as_long_for_a_server_that_restarts(wait, seconds):
    assert server("http://x", wait=wait).setup.terms.patience == seconds


def test_a_refusal_that_passes_is_waited_for_as_it_says_and_the_last_one_is_raised():
    net, told = Net(problem(503, "paused", retry_after=1), OK), []
    assert net.api(on_wait=told.append).get("stats") == {"value": 1}
    assert (net.slept, told) == ([pytest.approx(1.05)], ["waiting: paused: why"])
    net = Net(problem(503, "paused", retry_after=1))
    with pytest.raises(ServerRefused, match="paused: why"):
        net.api(patience=3).get("stats")


def test_something_else_than_dibs_answers():
    with pytest.raises(UnexpectedAnswer, match=r"^http://x: 404 with b'<html>': not an answer of dibs$"):
        Net(httpx.Response(404, text="<html>")).api().get("stats")


def test_the_last_reason_that_the_server_gave_is_told_where_the_last_answer_is_lost():
    net = Net(problem(503, "no-owner", retry_after=1), httpx.ReadTimeout("timed out"))
    with pytest.raises(Unreachable) as caught:
        net.api(patience=5).get("queues")
    assert str(caught.value).endswith("timed out; before that the server said: no-owner: why")
