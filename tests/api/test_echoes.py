"""No answer and no log line shows more than 64 characters of what was sent, however much that was."""

import json
import logging

import pytest

MANY = 50_000
JSON = {"Content-Type": "application/json"}
LETTERS = "é" * MANY
PLAIN = "Z" * MANY


@pytest.fixture(scope="module")
def house(open_house, tmp_path_factory):
    with open_house(source_root=tmp_path_factory.mktemp("files")) as house:
        house.pushed("q")
        yield house


def deep(name):
    value = {name: float("1e400")}
    for _ in range(20):
        value = {name: value}
    return json.dumps(value).replace("Infinity", "1e400")


BODIES = {
    "unknown field": ("PUT", "/queues/x", json.dumps({LETTERS: 1})),
    "unknown setting": ("PUT", "/queues/x", json.dumps({"settings": {LETTERS: 1}})),
    "unknown source": ("PUT", "/queues/x", json.dumps({"source": LETTERS})),
    "function": ("PUT", "/queues/x", json.dumps({"source": f"{PLAIN}:{PLAIN}"})),
    "unknown argument": ("PUT", "/queues/x", json.dumps({"source": "count", "args": {LETTERS: 1}})),
    "text for a number": ("PUT", "/queues/x", json.dumps({"source": "count", "args": {"start": LETTERS}})),
    "format": ("PUT", "/queues/x", json.dumps({"source": "count", "args": {"format": LETTERS}})),
    "axis": ("PUT", "/queues/x", json.dumps({"source": "grid", "args": {LETTERS: 1}})),
    "axis without values": ("PUT", "/queues/x", json.dumps({"source": "grid", "args": {LETTERS: []}})),
    "path": ("PUT", "/queues/x", json.dumps({"source": "lines", "args": {"path": LETTERS}})),
    "path elsewhere": (
        "PUT",
        "/queues/x",
        json.dumps({"source": "csv", "args": {"path": "../" + "a/" * MANY}}),
    ),
    "delimiter": (
        "PUT",
        "/queues/x",
        json.dumps({"source": "csv", "args": {"path": "x", "delimiter": LETTERS}}),
    ),
    "twice": ("POST", "/queues/q/items", f'{{"{LETTERS}":1,"{LETTERS}":2}}'),
    "not JSON": ("POST", "/queues/q/items", LETTERS),
    "a long number": ("POST", "/queues/q/items", f'{{"items":[{{"value":{"9" * MANY}}}]}}'),
    "unknown member": ("POST", "/queues/q/items", json.dumps({"items": [{"value": 1, LETTERS: 1}]})),
    "bad value": ("POST", "/queues/q/items", f'{{"items":[{{"value":{deep(LETTERS[:5000])}}}]}}'),
    "item key": ("POST", "/queues/q/items", json.dumps({"items": [{"value": 1, "key": LETTERS}]})),
    "worker": ("POST", "/queues/q/lease", json.dumps({"worker": LETTERS})),
    "max": ("POST", "/queues/q/lease", json.dumps({"max": LETTERS})),
    "token": ("POST", "/queues/q/ack", json.dumps({"token": LETTERS})),
    "seqs": ("POST", "/queues/q/ack", json.dumps({"token": "x", "seqs": [[LETTERS, 1]]})),
    "target": ("POST", "/queues/q/ack", json.dumps({"token": "x", "push": [{"queue": LETTERS, "value": 1}]})),
    "error": ("POST", "/queues/q/nack", json.dumps({"token": "x", "error": LETTERS})),
    "confirm": ("POST", "/queues/q/purge", json.dumps({"confirm": LETTERS})),
    "states": ("POST", "/queues/q/purge", json.dumps({"confirm": "q", "states": [LETTERS]})),
    "to_seq": ("POST", "/queues/q/advance", json.dumps({"to_seq": LETTERS})),
    "line": ("POST n", "/queues/q/items", json.dumps({"value": 1, LETTERS: 1})),
    "line twice": ("POST n", "/queues/q/items", f'{{"{LETTERS}":1,"{LETTERS}":2}}'),
}


def check(answer, caplog):
    assert 400 <= answer.status_code < 500
    assert len(answer.content) < 2500
    members = [str(member) for member in answer.json().values()]
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("httpx")]
    for text in (*members, *ours):
        assert text.count("é") + text.count("\\xe9") <= 64
        assert text.count("Z") <= 64
        assert "9" * 65 not in text


@pytest.mark.parametrize("case", BODIES)
def test_of_a_body(house, caplog, case):
    caplog.set_level(logging.INFO)
    method, path, body = BODIES[case]
    kind = "application/x-ndjson" if method.endswith("n") else "application/json"
    check(house.ask(method.split()[0], path, content=body, headers={"Content-Type": kind}), caplog)


@pytest.mark.parametrize(
    "name", ["Accept", "Content-Type", "Host", "Idempotency-Key", "Origin", "Sec-Fetch-Site"]
)
def test_of_a_header(house, caplog, name):
    headers = {**JSON, name: PLAIN[:8000]}
    path = "/queues/q/items" if name == "Content-Type" else "/next"
    content = "{}" if name == "Content-Type" else None
    check(house.ask("POST", path, headers=headers, content=content), caplog)


@pytest.mark.parametrize(
    "path", ["/{}", "/docs/{}", "/queues/{}/next", "/next?{}=1", "/next?count={}", "/queues/q/items?state={}"]
)
def test_of_a_url(house, caplog, path):
    method = "GET" if "state" in path or "docs" in path else "POST"
    check(house.ask(method, path.format(PLAIN[:8000])), caplog)


def test_of_a_method(house, caplog):
    check(house.ask("Z" * 30, "/next"), caplog)
