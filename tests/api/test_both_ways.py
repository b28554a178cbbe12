"""Every answer is the same on both ways in, but for its date: byte by byte, whatever a client sends.

One house has uvicorn's protocol before the framework, the other the fast lane. Both are told the same.
"""

import asyncio
import json
import re
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest
from dibs.config import Settings
from dibs.main import create_app

HOST = b"Host: localhost:8000\r\n"
CLOSE = b"GET /healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
TRACE = b"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NEXT = b"POST /next HTTP/1.1\r\n" + HOST + b"\r\n"


def post(path, body=None, *headers, kind=b"application/json"):
    lines = [HOST, *(header + b"\r\n" for header in headers)]
    if body is not None:
        lines += [b"Content-Type: " + kind + b"\r\n"] if kind else []
        lines.append(b"Content-Length: %d\r\n" % len(body))
    return b"POST " + path + b" HTTP/1.1\r\n" + b"".join(lines) + b"\r\n" + (body or b"")


def chunked(path, *pieces, kind=b"application/json"):
    head = b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Content-Type: " + kind + b"\r\n"
    chunks = b"".join([b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces])
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


def plain(answer):
    """Without what is another one each time."""
    answer = re.sub(rb"date: [^\r]*", b"date: -", answer)
    answer = re.sub(rb'(x-request-id: |"request_id": ")[0-9a-f]{8}-[0-9a-f]+', rb"\1-", answer)
    answer = re.sub(rb'"token":"[^"]*"', b'"token":"-"', answer)
    answer = re.sub(rb'"(expires_at|due_at|created_at)":"[^"]*"', rb'"\1":"-"', answer)
    return re.sub(rb'"expires_in":[0-9.]+', b'"expires_in":-', answer)


@pytest.fixture(scope="module")
def wires(wire_module):
    return {"ordinary": partial(wire_module.Wire, hot=False), "fast": wire_module.Wire}


@pytest.fixture(scope="module")
def pair(house_class, wires):
    """A context manager: two houses; tell both the same bytes, and get the answer, which has to be one."""

    @contextmanager
    def opened(way, before, settings):
        app = create_app(Settings(**{"data": ":memory:", **settings}))
        with house_class(app, "framework") as house:
            house.wire = wires[way](app)
            house.run(house.wire.start())
            for method, path, body in before:
                house.ask(method, path, json=body)
            yield house
            house.run(house.wire.stop())
            house.wire = None

    def told(house, *pieces, **how):
        answer, _ = house.run(house.wire.raw(*pieces, **how))
        return plain(answer), house.counters()

    @contextmanager
    def pair(before=(), settings=None):
        with ExitStack() as both:
            houses = [both.enter_context(opened(way, before, settings or {})) for way in wires]

            def ask(*pieces, **how):
                ordinary, fast = [told(house, *pieces, **how) for house in houses]
                assert fast == ordinary
                return fast

            yield ask

    return pair


@pytest.fixture
def ask(pair):
    """Tell a new pair the same bytes; the answer."""

    def ask(*pieces, before=(), settings=None, **how):
        with pair(before, settings) as both:
            return both(*pieces, **how)[0]

    return ask


@pytest.fixture(scope="module")
def refusing(pair):
    """Ask the same pair, which is as it was before each time; the answer."""
    with pair([JOBS, FEW, TEXTS]) as both:
        before = both(CLOSE)[1]

        def ask(*pieces, **how):
            answer, counters = both(*pieces, **how)
            assert counters == before
            return answer

        yield ask


def statuses(answer):
    return [int(found) for found in re.findall(rb"HTTP/1.1 (\d+) ", answer)]


def ends_in_new_lines(answers):
    """Each JSON body has a final newline, and is as long as its head says: the next answer begins there."""
    while answers.strip():
        head, _, rest = answers.partition(b"\r\n\r\n")
        size = int((re.search(rb"content-length: (\d+)", head) or [0, 0])[1])
        body, answers = rest[:size], rest[size:]
        if b"json" in head:
            assert body.endswith((b"}\n", b"]\n")), body
        assert answers[:5] in {b"", b"HTTP/"}


JOBS = ("PUT", "/queues/jobs", {})
SOME = ("POST", "/queues/jobs/items", {"items": [{"value": {"n": n}} for n in range(5)]})
FEW = ("PUT", "/queues/few", {"source": "range", "args": {"start": 0, "stop": 3}})
TEXTS = ("PUT", "/queues/texts", {"source": "count", "args": {"format": "N-{}"}})
WIDE = ("PUT", "/queues/wide", {"source": "count", "args": {"max": 2**63 - 1, "start": 2**53}})
PAUSED = [("POST", "/queues/default/pause", None)]

GOOD = {
    "one": (NEXT, 200),
    "many": (post(b"/next?count=3"), 200),
    "one in a list": (post(b"/next?count=1"), 200),
    "in text": (post(b"/next?count=2", None, b"Accept: text/plain"), 200),
    "with an empty query": (post(b"/next?"), 200),
    "with no body, said so": (post(b"/next", b""), 200),
    "with an empty object": (post(b"/next", b"{}"), 200),
    "with a wait": (post(b"/next?wait=1"), 200),
    "named": (post(b"/queues/few/next?count=2"), 200),
    "computed texts": (post(b"/queues/texts/next"), 200),
    "strings of digits": (post(b"/queues/wide/next?count=2"), 200),
    "pushed": (post(b"/queues/jobs/next?count=2"), 200),
    "a block": (post(b"/queues/default/block?size=10"), 200),
    "a lease": (post(b"/queues/default/lease", b'{"max": 2, "ttl": 60, "worker": "w"}'), 200),
    "a lease of pushed ones": (post(b"/queues/jobs/lease", b'{"max":3}'), 200),
    "a lease, nothing said": (post(b"/queues/default/lease"), 200),
    "a lease, an object of no type": (post(b"/queues/default/lease", b"{}", kind=b""), 200),
    "a lease of texts": (post(b"/queues/texts/lease", b'{"max":2}'), 200),
    "nothing settled, a lease": (post(b"/queues/default/settle", b'{"lease":{}}'), 200),
    "stale, and a lease": (post(b"/queues/few/settle", b'{"acks":[{"token":"x"}],"lease":{"max":9}}'), 200),
    "stale": (post(b"/queues/jobs/settle", b'{"acks":[{"token":"x"}]}'), 200),
    "stale twice": (post(b"/queues/jobs/settle", b'{"acks":[{"token":"x"},{"token":"y"}]}'), 200),
    "a push of a trace": (post(b"/queues/jobs/items", b'{"items":[{"value":1}]}', TRACE), 201),
    "a take of a trace": (post(b"/next", None, TRACE), 200),
    "of two traces": (post(b"/queues/jobs/items", b'{"items":[{"value":1}]}', TRACE, TRACE), 201),
    "of no trace": (post(b"/queues/jobs/items", b'{"items":[{"value":1}]}', b"Traceparent: \xff"), 201),
    "of a trace with a control character": (post(b"/next", None, b"Traceparent: \x01"), 400),
    "of a trace with a zero": (post(b"/queues/jobs/items", b'{"items":[]}', TRACE + b"\0"), 400),
    "of a trace that ends in another line": (post(b"/next", None, TRACE + b"\nA: b"), 400),
    "of a trace that goes on in another line": (post(b"/next", None, TRACE + b"\r\n b"), 400),
    "of a trace whose name ends in a space": (post(b"/next", None, TRACE.replace(b":", b" :")), 400),
    "of a trace, and an id": (post(b"/next", None, b"X-Request-ID: r", TRACE), 200),
    "a push": (post(b"/queues/jobs/items", b'{"items":[{"value":1},{"value":"\xc3\xbc","key":"k"}]}'), 201),
    "a lease in chunks": (chunked(b"/queues/default/lease", b'{"max":', b"2}"), 200),
    "a stream": (chunked(b"/queues/jobs/items", b'{"value":1}\n', kind=b"application/x-ndjson"), 201),
    "an ack": (post(b"/queues/default/ack", b'{"token":"x"}'), 409),
    "a nack": (post(b"/queues/default/nack", b'{"token":"x","delay":1}'), 409),
    "an extend": (post(b"/queues/default/extend", b'{"token":"x","ttl":1}'), 409),
    "a release": (post(b"/queues/default/release", b'{"token":"x","seqs":[[1,2]]}'), 409),
    "small letters": (b"POST /next HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n", 200),
    "a blank line before": (b"\r\n" + NEXT, 200),
    "expecting a go-ahead": (post(b"/queues/default/lease", b"{}", b"Expect: 100-continue"), 100),
    "over GET": (b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    "the whole URL": (b"POST http://localhost:8000/next HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    "not kept alive": (post(b"/next", None, b"Connection: close"), 200),
    "kept alive": (post(b"/next", None, b"Connection: keep-alive"), 200),
    "version 1.0": (b"POST /next HTTP/1.0\r\n" + HOST + b"\r\n", 200),
    "an odd header": (post(b"/next", None, b"X-Odd: \xff\x80"), 200),
    "bearer of something": (post(b"/next", None, b"Authorization: Bearer x", b"Cookie: a=b"), 200),
}
REFUSED = {
    "HEAD": (b"HEAD /next HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    "PUT": (b"PUT /next HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n", 405),
    "no such path": (post(b"/queues/default/nexxt"), 404),
    "a path too long": (post(b"/queues/default/next/x"), 404),
    "no such queue": (post(b"/queues/none/next"), 404),
    "no such queue, to settle": (post(b"/queues/none/settle", b'{"acks":[{"token":"x"}]}'), 404),
    "no such queue, and a bad body": (post(b"/queues/none/settle", b"{"), 404),
    "no name": (post(b"/queues/A/next"), 422),
    "an encoded slash": (post(b"/queues/a%2Fnext"), 422),
    "a count of 0": (post(b"/next?count=0"), 422),
    "a count of words": (post(b"/next?count=x"), 422),
    "twice a count": (post(b"/next?count=1&count=1"), 422),
    "another parameter": (post(b"/next?cuont=1"), 422),
    "a body for nothing": (post(b"/next", b"count=3"), 422),
    "no size": (post(b"/queues/default/block"), 422),
    "no block of texts": (post(b"/queues/texts/block?size=2"), 409),
    "not acceptable": (post(b"/next", None, b"Accept: image/png"), 406),
    "another host": (b"POST /next HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
    "two hosts": (b"POST /next HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
    "another site": (post(b"/next", None, b"Sec-Fetch-Site: cross-site"), 403),
    "another origin": (post(b"/next", None, b"Origin: http://evil.example"), 403),
    "an empty key": (post(b"/next", None, b"Idempotency-Key: "), 422),
    "an open key": (post(b"/next", None, b'Idempotency-Key: "x'), 422),
    "a long key": (post(b"/next", None, b"Idempotency-Key: " + b"x" * 256), 422),
    "two keys": (post(b"/next", None, b"Idempotency-Key: a", b"Idempotency-Key: a"), 400),
    "a number without a key": (post(b"/next", None, b"Idempotency-Sequence: 1"), 422),
    "a number that is none": (post(b"/next", None, b"Idempotency-Key: a", b"Idempotency-Sequence: x"), 422),
    "two numbers": (
        post(b"/next", None, b"Idempotency-Key: a", *[b"Idempotency-Sequence: 1"] * 2),
        400,
    ),
    "two keys, one in capitals": (post(b"/next", None, b"IDEMPOTENCY-KEY: a", b"Idempotency-Key: a"), 400),
    "no JSON": (post(b"/queues/default/lease", b"{"), 400),
    "not UTF-8": (post(b"/queues/jobs/settle", b'{"acks":[{"token":"\xff"}]}'), 400),
    "no object": (post(b"/queues/default/lease", b"[]"), 422),
    "another field": (post(b"/queues/default/lease", b'{"maxx":1}'), 422),
    "a name twice": (post(b"/queues/jobs/settle", b'{"acks":[{"token":"x","token":"x"}]}'), 422),
    "a token twice": (post(b"/queues/jobs/settle", b'{"acks":[{"token":"x"},{"token":"x"}]}'), 422),
    "a token that is none": (post(b"/queues/jobs/settle", b'{"acks":[{"token":""}]}'), 422),
    "a long token": (post(b"/queues/jobs/settle", b'{"acks":[{"token":"%b"}]}' % (b"x" * 256)), 422),
    "a ttl of 0": (post(b"/queues/default/lease", b'{"ttl":0}'), 422),
    "a worker that acts": (post(b"/queues/default/lease", b'{"worker":"a\\u001b]0;x"}'), 422),
    "a worker that acts, after a settling": (
        post(b"/queues/jobs/settle", b'{"acks":[{"token":"x"}],"lease":{"worker":"\xe2\x80\xae"}}'),
        422,
    ),
    "a settling, nothing said": (post(b"/queues/jobs/settle", b""), 400),
    "a settling of no type": (post(b"/queues/jobs/settle", b'{"acks":[]}', kind=b""), 415),
    "a form": (post(b"/queues/jobs/items", b"a=b", kind=b"application/x-www-form-urlencoded"), 415),
    "no items": (post(b"/queues/jobs/items", b'{"items":[]}'), 422),
    "a push to a source": (post(b"/queues/few/items", b'{"items":[{"value":1}]}'), 409),
    "what no body has": (post(b"/queues/jobs/settle", b"no body has thisXno body has this"), 400),
    "NaN": (post(b"/queues/jobs/items", b'{"items":[{"value":NaN}]}'), 400),
    "too large, announced": (post(b"/queues/default/lease", None, b"Content-Length: 1048577"), 413),
    "too large for a take": (post(b"/next", None, b"Content-Length: 1048577"), 413),
    "no number": (post(b"/next", None, b"Content-Length: x"), 400),
    "two lengths": (post(b"/queues/default/lease", b"{}", b"Content-Length: 1"), 400),
    "a length and chunks": (post(b"/queues/default/lease", b"{}", b"Transfer-Encoding: chunked"), 400),
    "version 2": (b"POST /next HTTP/2.0\r\n" + HOST + b"\r\n", 400),
    "version 0.9": (b"POST /next HTTP/0.9\r\n" + HOST + b"\r\n", 400),
    "no version": (b"GET /next\r\n\r\n", 400),
    "the beginning of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "another protocol": (b"POST /next RTSP/1.0\r\n" + HOST + b"\r\n", 400),
    "another method": (b"SPEND /next HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no host": (b"POST /next HTTP/1.1\r\n\r\n", 400),
    "an empty host": (b"POST /next HTTP/1.1\r\nHost:\r\n\r\n", 400),
    "a host and another": (b"POST /next HTTP/1.1\r\nHost: localhost@evil\r\n\r\n", 400),
    "a URL of another host": (b"POST http://evil/next HTTP/1.1\r\nHost: evil\r\n\r\n", 403),
    "a URL of another host than Host": (b"POST http://evil/next HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a URL with a user": (b"POST http://a@localhost:8000/next HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a URL of another kind": (b"POST ftp://localhost:8000/next HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a fragment": (b"POST /next#x HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a tunnel": (b"CONNECT localhost:8000 HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    "encoded": (post(b"/queues/default/lease", b"{}", b"Content-Encoding: gzip"), 415),
    "compressed in chunks": (post(b"/next", None, b"Transfer-Encoding: gzip, chunked"), 501),
    "compressed": (post(b"/next", None, b"Transfer-Encoding: gzip"), 501),
    "not coded": (post(b"/next", None, b"Transfer-Encoding: identity"), 501),
    "chunked twice": (post(b"/next", None, b"Transfer-Encoding: chunked, chunked"), 400),
    "chunks in 1.0": (b"POST /next HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "101 headers": (post(b"/next", None, *[b"X: y"] * 100), 431),
    "101 headers with a key": (post(b"/next", None, *[b"X: y"] * 99, b"Idempotency-Key: k"), 431),
    "no HTTP": (b"hello\r\n\r\n", 400),
    "no colon": (post(b"/next", None, b"no colon"), 400),
    "a bare line feed": (b"POST /next HTTP/1.1\nHost: localhost\n\n" + NEXT, 400),
    "a space before the colon": (post(b"/next", None, b"X-A : b"), 400),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_answered(ask, name):
    request, status = GOOD[name]
    answer = ask(request, CLOSE, before=[JOBS, SOME, FEW, TEXTS, WIDE])
    assert statuses(answer)[0] == status
    assert not re.search(rb"[}\]](HTTP/|\Z)", answer)
    if b'"-"' not in answer:  # what was replaced for the comparison has another length
        ends_in_new_lines(answer)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(refusing, name):
    request, status = REFUSED[name]
    # What is no HTTP is answered with a close: whoever sends more then may lose the answer.
    answer = refusing(request, CLOSE, wait=0.02 if status in (400, 431, 501) else 0.0)
    assert statuses(answer)[0] == status


@pytest.mark.parametrize("path", [b"/next", b"/queues/default/lease", b"/queues/default/block?size=2"])
def test_a_paused_queue(ask, path):
    assert statuses(ask(post(path), CLOSE, before=PAUSED)) == [503, 200]


def test_an_empty_one_and_one_that_has_ended(ask):
    lease = post(b"/queues/few/lease", b'{"max":1}')
    take = post(b"/queues/few/next?count=10")
    empty = post(b"/queues/jobs/lease", b"{}")
    answer = ask(empty, take, lease, take, CLOSE, before=[JOBS, FEW])
    assert statuses(answer) == [204, 200, 410, 410, 200]


def test_keys(ask):
    keyed = [post(b"/next", None, b"Idempotency-Key: " + key) for key in (b"a", b'"a"', b"b", b"A")]
    other = post(b"/next?count=2", None, b"Idempotency-Key: a")
    lease = post(b"/queues/default/lease", b"{}", b"Idempotency-Key: c")
    push = post(b"/queues/jobs/items", b'{"items":[{"value":1}]}', b"Idempotency-Key: d")
    answer = ask(*keyed, other, lease, lease, push, push, CLOSE, before=[JOBS])
    assert statuses(answer) == [200, 200, 200, 200, 422, 200, 200, 201, 201, 200]
    assert answer.count(b"idempotent-replayed: true") == 3


def test_a_session_that_counts_its_requests(ask):
    def counted(path, number, body=None):
        return post(path, body, b"Idempotency-Key: s", b"Idempotency-Sequence: %d" % number)

    take, lease = b"/next", b"/queues/default/lease"
    requests = [
        counted(take, 1),
        counted(take, 1),
        counted(take, 5),
        counted(lease, 6, b"{}"),
        counted(take, 5),
    ]
    wrong = [counted(take, 6), post(take, None, b"Idempotency-Key: s")]
    answer = ask(*requests, *wrong, CLOSE)
    assert statuses(answer) == [200, 200, 200, 200, 409, 422, 422, 200]
    assert re.findall(rb'"seq":(\d+)', answer) == [b"1", b"1", b"2", b"3"]


def test_a_pipeline_is_answered_in_order_whoever_answers(ask):
    health = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
    lease = post(b"/queues/default/lease", b'{"max":2}')
    bad = post(b"/next?count=x")
    everything = NEXT + NEXT + health + NEXT + lease + bad + chunked(b"/queues/default/lease", b"{}") + NEXT
    answer = ask(everything + CLOSE)
    assert statuses(answer) == [200, 200, 200, 200, 200, 422, 200, 200, 200]
    assert ask(everything, everything, CLOSE).count(b'"seq"') == 14


def test_more_than_is_read_ahead(ask):
    answer = ask(NEXT * 3_000 + CLOSE)
    assert answer.count(b'"seq":3000,') == 1


@pytest.mark.parametrize("size", [1, 7])
def test_a_client_that_sends_piece_by_piece(ask, size):
    lease = post(b"/queues/default/lease", b'{"max": 2}', b"Idempotency-Key: k")
    both = NEXT + lease + NEXT
    pieces = [both[at : at + size] for at in range(0, len(both), size)]
    assert statuses(ask(*pieces, CLOSE, wait=0.0001)) == [200, 200, 200, 200]


def test_a_body_that_comes_later_and_something_after_it(ask):
    request = post(b"/queues/default/settle", b'{"acks":[{"token":"x"}],"lease":{"max":2}}')
    head, body = request[:-20], request[-20:]
    assert statuses(ask(head, body + NEXT, CLOSE, wait=0.01)) == [200, 200, 200]


def test_a_large_body_in_many_pieces(ask):
    items = json.dumps({"items": [{"value": "x" * 1000}] * 2000}).encode()
    request = post(b"/queues/jobs/items", items)
    pieces = [request[at : at + 100_000] for at in range(0, len(request), 100_000)]
    assert statuses(ask(*pieces, CLOSE, before=[JOBS])) == [201, 200]


def test_a_client_that_goes_away_in_a_body_changes_nothing(ask):
    request = post(b"/queues/jobs/items", b'{"items":[{"value":1}]}')
    at_once = asyncio.Event()
    at_once.set()
    assert ask(request[:-5], before=[JOBS], close=at_once) == b""


def test_a_limit_is_a_setting(ask):
    limits = {"limits": {"count": 5, "body_bytes": 1024, "key_bytes": 36}}
    requests = [
        post(b"/next?count=6"),
        post(b"/queues/default/lease", b'{"max":6}'),
        post(b"/next", None, b"Idempotency-Key: " + b"k" * 37),
        post(b"/queues/default/lease", b" " * 1025),
    ]
    assert statuses(ask(*requests, settings=limits)) == [422, 422, 422, 413]


def test_settling_what_was_leased(wires):
    """The whole life of a lease, one request after the other on one connection."""
    ordinary, fast = [asyncio.run(_life(wire)) for wire in wires.values()]
    assert fast == ordinary
    assert len(fast) == 10


async def _life(wire):
    app = create_app(Settings(data=":memory:"))
    async with app.router.lifespan_context(app):
        wire = wire(app)
        await wire.start()
        talk = await wire.talk()
        said = [await talk(post(b"/queues/default/lease", b'{"max":4}'))]
        token = talk.token()
        one = b'{"acks":[{"token":"%b"}],"lease":{"max":2,"ttl":60}}'
        said.append(await talk(post(b"/queues/default/settle", one % token)))
        said.append(await talk(post(b"/queues/default/settle", one % token)))
        token = talk.token()
        some = b'{"acks": [{"token": "%b", "seqs": [[7, 7]]}]}'
        said.append(await talk(post(b"/queues/default/settle", some % token)))
        rest = b'{"nacks":[{"token":"%b","delay":0}],"lease":{}}'
        said.append(await talk(post(b"/queues/default/settle", rest % token)))
        said.append(await talk(post(b"/queues/default/settle", b'{"acks":[{"token":"%b"}]}' % talk.token())))
        said.append(await talk(post(b"/queues/default/lease", b"{}")))
        said.append(await talk(post(b"/queues/default/release", b'{"token":"%b"}' % talk.token())))
        said.append(await talk(post(b"/queues/default/settle", one % b"gone")))
        said.append(await talk(b"GET /queues/default/audit HTTP/1.1\r\n" + HOST + b"\r\n"))
        talk.close()
        await wire.stop()
    return [plain(each) for each in said]
