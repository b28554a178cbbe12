"""A push of a file, against a server in this process. No sockets, no sleep."""

import io
import json

import httpx
import pytest
import typer
from dibs.cli import push_lines
from dibs.cli.http import Api
from dibs.cli.push_lines import Input, Shape
from dibs.cli.push_source import Push
from rich.console import Console


class Server:
    """A queue with its items' keys, as the server keeps them. ``troubles`` come before answers, in turn."""

    def __init__(self):
        self.answers = {}
        self.values = []
        self.keys = {}
        self.troubles = []
        self.room = None
        self.bodies = []
        self.traces = []
        self.slept = []
        self.info = {"queue": "jobs", "created_at": "2026-11-29T01:02:03.004Z", "purged": 0}

    def __call__(self, request):
        trouble = self.troubles.pop(0) if self.troubles else None
        if isinstance(trouble, BaseException):
            raise trouble
        if request.method == "GET":
            return self.look(request.url.path.rpartition("/")[2], request.url.params)
        key, body = request.headers["idempotency-key"], request.read()
        self.bodies.append(body)
        self.traces.append(request.headers.get("traceparent"))
        answer = self.answers.get(key)
        if answer is None:
            answer = self.push(json.loads(body)["items"])
            if answer.status_code == 201:
                headers = {"Idempotent-Replayed": "true"}
                self.answers[key] = httpx.Response(201, headers=headers, content=answer.content)
        if trouble == "lost":
            raise httpx.ReadError("the connection was reset")
        if trouble == "Ctrl-C":
            raise KeyboardInterrupt
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def look(self, what, params):
        """The queue, or the keys that begin so; several pages of them where there are many."""
        if what != "keys":
            return httpx.Response(200, json={})
        found = [key for key in sorted(self.keys) if key.startswith(params["prefix"])]
        found = [key for key in found if key > params.get("after", "")]
        page = [{"key": key, "seq": self.keys[key]} for key in found[:3]]
        return httpx.Response(200, json={"keys": page, "next": found[2] if len(found) > 3 else None})

    def push(self, items):
        for at, item in enumerate(items):
            if item["value"] == "refuse me":
                return problem(
                    422, "value-refused", field=f"items.{at}.value", detail=f"items.{at}.value: why"
                )
        fresh = [item for item in items if item.get("key") not in self.keys]
        if self.room is not None and len(fresh) > self.room:
            self.room = None
            return problem(429, "queue-full", retry_after=3, field="items")
        self.values += [item["value"] for item in fresh]
        seqs = [{"seq": 1, "duplicate": item not in fresh} for item in items]
        for item in fresh:
            if "key" in item:
                assert 0 < len(item["key"].encode()) <= 255
                self.keys[item["key"]] = len(self.values)
        return httpx.Response(201, json={"items": seqs})

    def sleep(self, seconds):
        self.slept.append(seconds)


def problem(status, name, *, retry_after=None, **members):
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    body = {"type": f"urn:dibs:problem:{name}", "detail": "why", "retryable": status == 429, **members}
    return httpx.Response(status, json=body, headers=headers)


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def push(server, capsys):
    """Push a file: (exit code, stdout, stderr)."""

    def push(path, *, again=False, last_line=False, **shape):
        transport = httpx.MockTransport(server)
        with (
            path.open("rb") as file,
            Api("http://x", patience=60, transport=transport, sleep=server.sleep) as api,
        ):
            source = Input(path.name, file, path.stat().st_size, last_line=last_line)
            code = 0
            try:
                push = Push(api, server.info, source, Shape(**shape), Console(file=io.StringIO()))
                push.run(again=again)
            except typer.Exit as ended:
                code = ended.exit_code
        return code, *capsys.readouterr()

    return push


@pytest.fixture
def small(monkeypatch):
    """Chunks of two lines."""
    monkeypatch.setattr(push_lines, "CHUNK_ITEMS", 2)


@pytest.fixture
def file(tmp_path):
    def file(*lines):
        path = tmp_path / "files.txt"
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    return file


LINES = [f"line {number}" for number in range(100)]
