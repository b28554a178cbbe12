"""A front's answers are the owner's, byte by byte: what is asked of a server alone is asked of a front, too.

The requests are those by which the framework and the fast lane are compared (tests/api/test_both_ways.py).
"""

import asyncio
import importlib.util
import itertools
import re
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from dibs.api import access_log
from dibs.config import Settings
from dibs.main import create_app

API = Path(__file__).parents[1] / "api"


def _load(name):
    spec = importlib.util.spec_from_file_location(f"cluster_{name}", API / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ways = _load("test_both_ways")
wires = _load("wire")
JOBS, SOME, FEW, TEXTS, WIDE = ways.JOBS, ways.SOME, ways.FEW, ways.TEXTS, ways.WIDE
CLOSE = ways.CLOSE
HOST = ways.HOST


def plain(answer):
    """Without what is another one each time."""
    answer = re.sub(rb'"(began|now)":[0-9]+', rb'"\1":0', answer)
    answer = re.sub(rb'"(pushed_at|kept_at)":"[^"]*"', rb'"\1":"-"', answer)
    return ways.plain(answer)


def counters(queues):
    infos = [queue.browser.info() for queue in queues.list()]
    names = ("queue", "cursor", "taken", "acked", "purged", "waiting", "leased", "dead")
    return [tuple(getattr(info, name) for name in names) for info in infos]


@asynccontextmanager
async def both(made, before=(), settings=None):
    """A server alone and a front of a cluster; tell both the same bytes: the answer, which has to be one."""
    settings = settings or {}
    owner, front = await made.pair(**settings)
    app = create_app(Settings(data=":memory:", **settings))
    async with app.router.lifespan_context(app):
        wire = wires.Wire(app)
        await wire.start()
        async with wire.client("http://localhost") as client:
            for method, path, body in before:
                await client.request(method, path, json=body)
                await front.ask(method, path, json=body)

        async def ask(*pieces, wait=0.0):
            answer, _ = await wire.raw(*pieces, wait=wait)
            told = plain(answer), counters(app.state.context.queues)
            answer = await front.raw(*pieces, wait=wait)
            assert (plain(answer), counters(owner.context.queues)) == told
            return told

        yield ask
        await wire.stop()
    await asyncio.sleep(0)  # what was aborted is closed in the next step


@pytest.fixture
def ask(cluster):
    """Tell a server alone and a front, both new, the same bytes; the answer."""

    def ask(*pieces, before=(), settings=None, wait=0.0):
        async def test(made):
            async with both(made, before, settings) as asked:
                return (await asked(*pieces, wait=wait))[0]

        return cluster(test, ":memory:")

    return ask


@pytest.fixture(scope="module")
def _long_ids():
    """The ids of requests begin with a number of four digits, so that they are of one length for long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(access_log, "count", lambda _: itertools.count(0x1000))
        yield


@pytest.fixture(scope="module")
def refusing(kept_cluster, _long_ids):
    """Tell the same two, which are as they were before each time; the answer."""
    opened = AsyncExitStack()

    async def start(made):
        ask = await opened.enter_async_context(both(made, [JOBS, SOME, FEW, TEXTS]))
        return ask, (await ask(CLOSE))[1]

    asked, before = kept_cluster(start)

    def ask(*pieces, wait=0.0):
        answer, counters = kept_cluster(lambda made: asked(*pieces, wait=wait))
        assert counters == before
        return answer

    yield ask
    kept_cluster(lambda made: opened.aclose())


@pytest.mark.parametrize("name", ways.GOOD)
def test_what_is_answered(ask, name):
    request, status = ways.GOOD[name]
    answer = ask(request, CLOSE, before=[JOBS, SOME, FEW, TEXTS, WIDE])
    assert ways.statuses(answer)[0] == status


@pytest.mark.parametrize("name", ways.REFUSED)
def test_what_is_refused(refusing, name):
    request, status = ways.REFUSED[name]
    answer = refusing(request, CLOSE, wait=0.02 if status in (400, 431, 501) else 0.0)
    assert ways.statuses(answer)[0] == status


def get(path, *headers, method=b"GET"):
    return method + b" " + path + b" HTTP/1.1\r\n" + HOST + b"".join(h + b"\r\n" for h in headers) + b"\r\n"


LOOKS = {
    "queues": get(b"/queues"),
    "a queue": get(b"/queues/jobs"),
    "an audit": get(b"/queues/jobs/audit"),
    "items": get(b"/queues/jobs/items?limit=2"),
    "an item": get(b"/queues/jobs/items/3"),
    "no item": get(b"/queues/jobs/items/99"),
    "the dead": get(b"/queues/jobs/dead"),
    "keys": get(b"/queues/jobs/keys"),
    "the page": get(b"/"),
    "a file of the page": get(b"/page/static/page.css"),
    "the reference": get(b"/docs"),
    "OpenAPI": get(b"/openapi.json"),
    "HEAD of health": get(b"/healthz", method=b"HEAD"),
    "HEAD of a page": get(b"/docs", method=b"HEAD"),
    "OPTIONS": get(b"/queues", method=b"OPTIONS"),
    "OPTIONS of all": get(b"*", method=b"OPTIONS"),
    "an encoded path": get(b"/queues/%6aobs"),
    "an odd query": get(b"/queues?after=%00&limit=%"),
    "an empty query": get(b"/queues?"),
    "no such path": get(b"/nothing?here"),
    "a session": get(b"/page/session"),
    "100 headers": get(b"/queues", *[b"X: y"] * 99),
    "101 headers": get(b"/queues", *[b"X: y"] * 100),
    "a connection that names headers": get(
        b"/queues", b"Connection: keep-alive, accept", b"Accept: image/png"
    ),
    "no body, half a request after it": get(b"/queues") + b"GET /que",
}


@pytest.mark.parametrize("name", LOOKS)
def test_what_is_looked_at(refusing, name):
    assert ways.statuses(refusing(LOOKS[name], CLOSE))


def test_a_queue_is_deleted(ask):
    delete = get(b"/queues/jobs?confirm=jobs", method=b"DELETE")
    assert ways.statuses(ask(delete, CLOSE, before=[JOBS, SOME, FEW]))[0] == 200


def test_keys(ask):
    keyed = [ways.post(b"/next", None, b"Idempotency-Key: " + key) for key in (b"a", b'"a"', b"b", b"A")]
    other = ways.post(b"/next?count=2", None, b"Idempotency-Key: a")
    push = ways.post(b"/queues/jobs/items", b'{"items":[{"value":1}]}', b"Idempotency-Key: d")
    answer = ask(*keyed, other, push, push, CLOSE, before=[JOBS])
    assert ways.statuses(answer) == [200, 200, 200, 200, 422, 201, 201, 200]
    assert answer.count(b"idempotent-replayed: true") == 2


def test_a_pipeline_is_answered_in_order(ask):
    lease = ways.post(b"/queues/default/lease", b'{"max":2}')
    answer = ask((ways.NEXT + lease + get(b"/queues")) * 20 + CLOSE)
    assert answer.count(b"HTTP/1.1 200") == 61


def test_tokens_roles_and_wrong_ones(ask, tmp_path):
    secret = b"x" * 40
    (tmp_path / "token").write_bytes(secret)
    bearer = b"Authorization: Bearer "
    requests = [
        ways.post(b"/next"),
        ways.post(b"/next", None, bearer + secret),
        ways.post(b"/next", None, bearer + b"y" * 40),
        *[ways.post(b"/next", None, bearer + b"z" * 40)] * 12,
        get(b"/tokens", bearer + secret),
        get(b"/page/session", bearer + secret),
        get(b"/"),
    ]
    answer = ask(*requests, CLOSE, settings={"admin_token_file": tmp_path / "token"})
    found = ways.statuses(answer)
    assert found[:3] == [401, 200, 401]
    assert 429 in found
    assert re.findall(rb'"seq":(\d+)', answer) == [b"1"]
