"""``dibs inbox``: what was pushed by SQL and refused, and another chance."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

ROW = {"id": 1234, "queue": "mails", "value": {"to": 17}, "key": None, "at": "2026-01-31T11:00:00.000Z"}
ROW |= {"reason": "the queue is closed", "refused_at": "2026-01-31T12:00:00.000Z"}
PAGE = {"length": 1500, "oldest": 90.0, "refused": 3, "full": ["mails"], "stopped": ["mails"]}
PAGE |= {"rows": [ROW], "next": 1234}


@pytest.fixture
def asked(monkeypatch):
    """A server with an inbox; what it was asked."""
    asked = []

    class Answers(BaseHTTPRequestHandler):
        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append((self.command, self.path, json.loads(body) if body else None))
            told = json.dumps(PAGE if self.command == "GET" else {"retried": 2}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        do_GET = do_POST = answer

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("DIBS_URL", f"http://127.0.0.1:{server.server_port}")
    yield asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_how_much_waits_and_what_was_refused(run, asked):
    code, out, err = run("inbox")
    assert (code, err) == (0, "")
    first, _, heads, _, row, _, more = [line.rstrip() for line in out.splitlines()]
    assert first == (
        "1,500 wait in the inbox, 3 were refused; the first has waited for 2 min; full: mails;"
        " pushes by SQL are refused for mails"
    )
    assert heads.split() == ["id", "queue", "value", "refused", "(UTC)", "reason"]
    assert row.split()[:3] == ["1,234", "mails", '{"to":17}']
    assert row.endswith("the queue is closed")
    assert more == "More: --after 1234"
    assert asked == [("GET", "/inbox?limit=20", None)]


def test_of_one_queue_and_as_json(run, asked):
    code, out, _ = run("inbox", "mails", "--after", 5, "--limit", 3, "--json")
    assert (code, json.loads(out)) == (0, PAGE)
    [(_, path, _)] = asked
    assert sorted(path.partition("?")[2].split("&")) == ["after=5", "limit=3", "queue=mails"]


def test_another_chance(run, asked):
    assert run("inbox", "mails", "--retry") == (0, "2 in the inbox again\n", "")
    assert json.loads(run("inbox", "--retry", "--json")[1]) == {"retried": 2}
    assert asked == [("POST", "/inbox/retry", {"queue": "mails"}), ("POST", "/inbox/retry", {})]
