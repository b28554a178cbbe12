"""No client takes an answer for its own without looking: it has to name its request's queue and key."""

import asyncio

import httpx
import pytest
from dibs.client import (
    AsyncClient,
    Client,
    ClientError,
    Invalid,
    Item,
    StrangersAnswer,
    UnexpectedAnswer,
)
from dibs.client.flow import Request, Tempo
from dibs.client.keys import Key
from dibs.client.wire import Wire

QUICK = Tempo(chance=lambda: 0.01)
OTHERS = {
    "another queue": [b"Dibs-Version: 9", b"Dibs-Queue: other", b"Idempotency-Key: k"],
    "another key": [b"Dibs-Version: 9", b"Dibs-Queue: ids", b"Idempotency-Key: k"],
    "no key": [b"Dibs-Version: 9", b"Dibs-Queue: ids"],
    "of all queues": [b"Dibs-Version: 9"],
}


def take(how, url):
    """Take with a client of either kind."""
    if how is Client:
        with Client(url, tempo=QUICK) as client:
            return client.queue("ids").take(1)

    async def main():
        async with AsyncClient(url, tempo=QUICK) as client:
            return await client.queue("ids").take(1)

    return asyncio.run(main())


@pytest.mark.parametrize("how", [Client, AsyncClient])
@pytest.mark.parametrize("other", OTHERS)
def test_a_stranger_s_answer_ends_its_connection_and_loses_no_number(numbering, how, other):
    numbering.sign = lambda number, signature: OTHERS[other] if number == 1 else signature
    assert take(how, numbering.url) == [Item(1, 1)]
    assert numbering.ended[0].wait(60)
    first, second = numbering.seen
    assert (first[0], second[0]) == (0, 1)  # never on that connection again
    assert first[1:] == second[1:]  # the same request, with the same key


@pytest.mark.parametrize("how", [Client, AsyncClient])
def test_nothing_but_strangers_answers_is_an_error(numbering, how):
    numbering.sign = lambda number, signature: OTHERS["another queue"]
    with pytest.raises(
        StrangersAnswer, match="its queue is 'other', not 'ids', its key is 'k', not '"
    ) as caught:
        take(how, numbering.url)
    assert isinstance(caught.value, UnexpectedAnswer | ClientError)
    assert len(numbering.seen) == numbering.connections == 3
    assert all(ended.wait(60) for ended in numbering.ended)


def response(status=200, **headers):
    return httpx.Response(status, headers={name.replace("_", "-"): text for name, text in headers.items()})


TAKE = Request("POST", "/queues/ids/next?count=1", key=Key("k"))
NEXT = Request("POST", "/next?count=1")
LOOK = Request("GET", "/queues/ids")
ALL = Request("GET", "/queues?after=ids")
BAD = Request("POST", "/queues/B%0D/next", key=Key(" k "))
TOLD = {"dibs_version": "9", "dibs_queue": "ids"}


@pytest.mark.parametrize(
    ("request_", "answer", "ours"),
    [
        (TAKE, response(**TOLD, idempotency_key="k"), True),
        (TAKE, response(204, **TOLD, idempotency_key="k"), True),
        (TAKE, response(503, **TOLD, idempotency_key="k"), True),
        (TAKE, response(503, **TOLD, idempotency_key="j"), False),
        (TAKE, response(404, **TOLD), False),
        (TAKE, response(dibs_queue="ids"), False),
        (TAKE, response(idempotency_key="k"), False),
        (NEXT, response(dibs_version="9", dibs_queue="default"), True),
        (NEXT, response(**TOLD), False),
        (LOOK, response(**TOLD), True),
        (LOOK, response(**TOLD, idempotency_key="k"), False),
        (LOOK, response(dibs_version="9"), False),
        (ALL, response(dibs_version="9"), True),
        (ALL, response(**TOLD), False),
        (BAD, response(422, dibs_version="9", idempotency_key="k"), True),
        # what the server has not read as far as that, and what comes from something between
        (TAKE, response(431, dibs_version="9"), True),
        (TAKE, response(502), True),
        (TAKE, response(200), True),
    ],
)
def test_whose_an_answer_is(request_, answer, ours):
    lost = Wire("http://x", 1.0).stranger(request_, answer)
    assert (lost is None) == ours
    assert ours or isinstance(lost.error, StrangersAnswer)


def test_a_name_that_is_none_and_a_key_that_is_too_long_are_refused_as_ever():
    """Their answers say what the server made of them, and are not taken for a stranger's."""

    def refuse(request):
        told = {"dibs-version": "9", "idempotency-key": request.headers["idempotency-key"]}
        if "/queues/ids/" in request.url.path:
            told["dibs-queue"] = "ids"
        problem = {"type": "urn:dibs:problem:invalid", "status": 422, "detail": "no"}
        return httpx.Response(422, headers=told, json=problem)

    with Client("http://x", transport=httpx.MockTransport(refuse)) as client:
        with pytest.raises(Invalid):
            client.queue("No Name").take(1)
        with pytest.raises(Invalid):
            client.queue("ids").push_items([], idempotency_key="x" * 200)  # where key_bytes is less
