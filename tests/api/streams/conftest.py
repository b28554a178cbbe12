"""What the tests of streams share: sending them, below httpx too, and what is said of them."""

import json

import pytest
from dibs.queue.producer import Producer

NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def house(house):
    house.pushed("jobs")
    return house


@pytest.fixture
def send(house):
    """Send one stream; its answer."""

    def send(body, *, key=None, name="jobs"):
        headers = NDJSON | ({"Idempotency-Key": key} if key else {})
        return house.ask("POST", f"/queues/{name}/items", content=body, headers=headers)

    return send


@pytest.fixture
def commits(monkeypatch):
    """How many items each chunk had."""
    sizes = []
    push = Producer.push

    async def counting(queue, parcels, **more):
        pushed = await push(queue, parcels, **more)
        sizes.append(len(pushed.seqs))
        return pushed

    monkeypatch.setattr(Producer, "push", counting)
    return sizes


@pytest.fixture
def sums():
    def sums(body, *, accepted, ranges, duplicates=0):
        """What is said of a stream that is in."""
        return {
            "queue": "jobs",
            "lines": body.count(b"\n") + (not body.endswith(b"\n")),
            "bytes": len(body),
            "accepted": accepted,
            "duplicates": duplicates,
            "ranges": ranges,
        }

    return sums


@pytest.fixture
def values(house):
    """The values inside, the first thousand."""

    def values():
        page = house.ask("GET", "/queues/jobs/items?limit=1000").json()
        return [item["value"] for item in page["items"]]

    return values


@pytest.fixture
def received():
    def received(*pieces, then=None):
        """A receive that gives the pieces, and after them nothing, or what ``then`` gives."""
        waiting = list(pieces)

        async def receive():
            if waiting:
                more = bool(len(waiting) > 1 or then)
                return {"type": "http.request", "body": waiting.pop(0), "more_body": more}
            return await then()

        return receive

    return received


@pytest.fixture
def stream(house):
    async def stream(receive, *, headers=(), query=b"", whole=False):
        """A stream below httpx: status and answer, or None; ``whole``: all messages."""
        sent = []

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/queues/jobs/items",
            "query_string": query,
            "root_path": "",
            "headers": [
                (b"content-type", b"application/x-ndjson"),
                (b"transfer-encoding", b"chunked"),
                *headers,
            ],
        }
        await house.app(scope, receive, send)
        if whole:
            return sent
        return (sent[0]["status"], json.loads(sent[1]["body"])) if sent else None

    return stream
