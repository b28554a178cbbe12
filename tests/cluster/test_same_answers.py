"""A front's answers are the owner's, byte by byte: what is asked of a server alone is asked of a front, too.

The requests are those by which the framework and the fast lane are compared (tests/api/test_both_ways.py).
"""

import asyncio
import importlib.util
import re
from pathlib import Path

import pytest
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


@pytest.fixture
def ask(cluster):
    """Tell a server alone and a front the same bytes; the answers, which have to be one and the same."""

    async def alone(pieces, before, settings, wait):
        app = create_app(Settings(data=":memory:", **settings))
        async with app.router.lifespan_context(app):
            wire = wires.Wire(app)
            await wire.start()
            async with wire.client("http://localhost") as client:
                for method, path, body in before:
                    await client.request(method, path, json=body)
            answer, _ = await wire.raw(*pieces, wait=wait)
            told = counters(app.state.context.queues)
            await wire.stop()
        await asyncio.sleep(0)  # what was aborted is closed in the next step
        return plain(answer), told

    def both(*pieces, before=(), settings=None, wait=0.0):
        settings = settings or {}

        async def passed_on(made):
            owner, front = await made.pair(**settings)
            for method, path, body in before:
                await front.ask(method, path, json=body)
            answer = await front.raw(*pieces, wait=wait)
            return plain(answer), counters(owner.context.queues)

        told = asyncio.run(alone(pieces, before, settings, wait))
        assert cluster(passed_on, ":memory:") == told
        return told[0]

    return both


@pytest.mark.parametrize("name", ways.GOOD)
def test_what_is_answered(ask, name):
    request, status = ways.GOOD[name]
    answer = ask(request, CLOSE, before=[JOBS, SOME, FEW, TEXTS, WIDE])
    assert ways.statuses(answer)[0] == status


@pytest.mark.parametrize("name", ways.REFUSED)
def test_what_is_refused(ask, name):
    request, status = ways.REFUSED[name]
    answer = ask(request, CLOSE, before=[JOBS, FEW, TEXTS], wait=0.02 if status in (400, 431, 501) else 0.0)
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
    "delete": get(b"/queues/jobs?confirm=jobs", method=b"DELETE"),
    "no body, half a request after it": get(b"/queues") + b"GET /que",
}


@pytest.mark.parametrize("name", LOOKS)
def test_what_is_looked_at(ask, name):
    answer = ask(LOOKS[name] + b"", CLOSE, before=[JOBS, SOME, FEW])
    assert ways.statuses(answer)


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
