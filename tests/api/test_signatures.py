"""Every answer says whose it is: the queue and the key of its request, on every way in, refused or not."""

import asyncio
from functools import partial

import pytest
from dibs.config import Settings
from dibs.main import create_app

HOST = b"Host: localhost:8000\r\n"


def ask(method, path, *headers, body=None, kind=b"application/json"):
    lines = [HOST, *(header + b"\r\n" for header in headers)]
    if body is not None:
        lines += [b"Content-Type: " + kind + b"\r\n", b"Content-Length: %d\r\n" % len(body)]
    return method + b" " + path + b" HTTP/1.1\r\n" + b"".join(lines) + b"\r\n" + (body or b"")


post, get, put, delete = (partial(ask, method) for method in (b"POST", b"GET", b"PUT", b"DELETE"))
KEY = b"Idempotency-Key: k"
COUNTED = (b"Idempotency-Key: c",)
STREAM = b"application/x-ndjson"
LONG = b"x" * 256

SAID = {
    # a request: its status, the queue and the key of the answer, and its number
    "a take": (post(b"/next"), 200, b"default", None),
    "a take with a key": (post(b"/next?count=2", KEY), 200, b"default", b"k"),
    "its replay": (post(b"/next?count=2", KEY), 200, b"default", b"k"),
    "a key in quotes": (post(b"/queues/few/next", b'IDEMPOTENCY-KEY:  "q" '), 200, b"few", b'"q"'),
    "over GET": (get(b"/next", b"Idempotency-Key: g"), 200, b"default", b"g"),
    "a wait": (post(b"/queues/default/next?wait=1", b"Idempotency-Key: w"), 200, b"default", b"w"),
    "in text": (post(b"/queues/few/next", b"Accept: text/plain"), 200, b"few", None),
    "a block": (post(b"/queues/default/block?size=2", b"Idempotency-Key: b"), 200, b"default", b"b"),
    "a lease": (post(b"/queues/default/lease", b"Idempotency-Key: l", body=b"{}"), 200, b"default", b"l"),
    "a lease without a key": (post(b"/queues/default/lease", body=b"{}"), 200, b"default", None),
    "nothing": (post(b"/queues/jobs/lease", KEY, body=b"{}"), 204, b"jobs", b"k"),
    "a settle": (post(b"/queues/jobs/settle", KEY, body=b'{"acks":[{"token":"x"}]}'), 200, b"jobs", b"k"),
    "a settle without a key": (
        post(b"/queues/jobs/settle", body=b'{"acks":[{"token":"x"}],"lease":{}}'),
        200,
        b"jobs",
        None,
    ),
    "a push": (
        post(b"/queues/other/items", b"Idempotency-Key: p", body=b'{"items":[{"value":1}]}'),
        201,
        b"other",
        b"p",
    ),
    "a stream": (
        post(b"/queues/other/items", b"Idempotency-Key: s", body=b'{"value":1}\n', kind=STREAM),
        201,
        b"other",
        b"s",
    ),
    "a refused line": (post(b"/queues/other/items", body=b"{\n", kind=STREAM), 400, b"other", None),
    "a definition": (put(b"/queues/new", KEY, body=b"{}"), 201, b"new", b"k"),
    "a look": (get(b"/queues/few"), 200, b"few", None),
    "an item": (get(b"/queues/other/items/1"), 200, b"other", None),
    "an audit": (get(b"/queues/few/audit", KEY), 200, b"few", b"k"),
    "a deletion": (delete(b"/queues/new", b"Idempotency-Key: d"), 200, b"new", b"d"),
    "it is deleted": (get(b"/queues/new"), 404, b"new", None),
    "an operation": (post(b"/queues/jobs/pause", b"Idempotency-Key: o"), 200, b"jobs", b"o"),
    "paused": (post(b"/queues/jobs/next", b"Idempotency-Key: z"), 503, b"jobs", b"z"),
    "paused, without a key": (post(b"/queues/jobs/lease", body=b"{}"), 503, b"jobs", None),
    "unknown": (post(b"/queues/none/next", KEY), 404, b"none", b"k"),
    "no operation": (post(b"/queues/few/nexxt", KEY), 404, b"few", b"k"),
    "no method": (put(b"/next", KEY, body=b""), 405, b"default", b"k"),
    "another request with the key": (post(b"/next?count=3", KEY), 422, b"default", b"k"),
    "a wrong count": (post(b"/queues/few/next?count=0", KEY), 422, b"few", b"k"),
    "a key that is too long": (post(b"/next", b"Idempotency-Key: " + LONG), 422, b"default", LONG),
    "an open key": (post(b"/next", b'Idempotency-Key: "x'), 422, b"default", b'"x'),
    "an empty key": (post(b"/next", b"Idempotency-Key: "), 422, b"default", None),
    "two keys": (post(b"/next", KEY, b"Idempotency-Key: l"), 400, b"default", None),
    "another site": (post(b"/queues/few/next", KEY, b"Sec-Fetch-Site: cross-site"), 403, b"few", b"k"),
    "not acceptable": (post(b"/next", KEY, b"Accept: image/png"), 406, b"default", b"k"),
    "no JSON": (post(b"/queues/few/lease", KEY, body=b"{"), 400, b"few", b"k"),
    "no name": (post(b"/queues/A/next", KEY), 422, None, b"k"),
    "a name with a line end": (post(b"/queues/a%0d%0ax/next", KEY), 422, None, b"k"),
    "a name in percents": (post(b"/queues/%66ew/next"), 200, b"few", None),
    "an encoded slash": (post(b"/queues/few%2fnext"), 422, None, None),
    "all queues": (get(b"/queues"), 200, None, None),
    "no queue": (get(b"/stats", KEY), 200, None, b"k"),
    "health": (get(b"/healthz"), 200, None, None),
    "counted": (post(b"/next", *COUNTED, b"Idempotency-Sequence:  7 "), 200, b"default", b"c/7"),
    "below": (post(b"/next", b"Idempotency-Sequence: 6", *COUNTED), 409, b"default", b"c/6"),
    "no number": (post(b"/next", *COUNTED, b"Idempotency-Sequence: x"), 422, b"default", b"c/x"),
}


@pytest.mark.parametrize("wire", ["ordinary", "fast"])
def test_whose_it_is(wire_module, wire):
    wires = {"ordinary": partial(wire_module.Wire, hot=False), "fast": wire_module.Wire}
    assert asyncio.run(_told(wires[wire])) == {name: said[1:] for name, said in SAID.items()}


async def _told(wire):
    app = create_app(Settings(data=":memory:"))
    async with app.router.lifespan_context(app):
        wire = wire(app)
        await wire.start()
        talk = await wire.talk()
        await talk(put(b"/queues/few", body=b'{"source":"range","args":{"start":0,"stop":9}}'))
        for name in (b"jobs", b"other"):
            await talk(put(b"/queues/" + name, body=b"{}"))
        told = {name: _read(await talk(said[0])) for name, said in SAID.items()}
        talk.close()
        await wire.stop()
    return told


def _read(answer):
    status, *lines = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")
    names = [line.partition(b": ")[0] for line in lines]
    assert len(names) == len(set(names))
    headers = dict(line.split(b": ", 1) for line in lines)
    key = b"/".join(value for name, value in headers.items() if name.startswith(b"idempotency-"))
    return int(status.split()[1]), headers.get(b"dibs-queue"), key or None
