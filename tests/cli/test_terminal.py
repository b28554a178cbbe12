"""A hostile server: nothing that it sends acts on a terminal, or is markup."""

import json
import os
import pty
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from dibs.inert import acts
from rich.text import Text

EVIL = "\x1b]0;owned\x07\x9b2J\u202e[red]x[/]"
QUEUE = {
    **dict.fromkeys(("cursor", "taken", "acked", "purged", "jumped", "waiting", "leased", "dead"), 1),
    **{"queue": EVIL, "source": EVIL, "args": {EVIL: EVIL}, "state": EVIL, "paused": False, "generation": 1},
    "failure": {"seq": 1, "type": EVIL, "message": EVIL},
    "created_at": EVIL,
    "settings": {},
    "oldest_waiting": 1.0,
}
ITEM = {
    **{"seq": 1, "attempt": 1, "priority": 0, "due_at": EVIL, "worker": EVIL, "state": EVIL},
    **{"value": {EVIL: EVIL}, "error": f"{EVIL}\n{EVIL}"},
    "history": [{"attempt": 1, "at": EVIL, "worker": EVIL, "error": EVIL}],
}
TIMES = {"p50": 1.0, "p90": 1.0, "p99": 1.0, "max": 1.0, "samples": 1}
COUNTS = ("waiting_items", "pushed", "settled", "nacked", "rate", "replays", "refused", "handed_out")
STATS = (
    QUEUE
    | dict.fromkeys((*COUNTS, "requests", "uptime", "in_flight"), 1)
    | dict.fromkeys(("answer", "wait", "hold"), TIMES)
)
LEDGER = {"engine": EVIL, "path": EVIL, "bytes": 1, "commits": 1, "ops": 1, "syncs": 1, "commit": TIMES}
ANSWERS = {
    "GET /queues": {"queues": [QUEUE], "next": None},
    "GET /stats": STATS | {"queues": [STATS], "ledger": LEDGER, "next": None},
    "GET /queues/q/stats": STATS,
    **dict.fromkeys(("GET /queues/q", "PUT /queues/q", "POST /queues/q/pause"), QUEUE),
    "GET /queues/q/audit": QUEUE | {"balanced": True, "overlaps": 0},
    "GET /queues/q/items": {"items": [ITEM], "next": None},
    "GET /queues/q/items/1": ITEM,
    "GET /queues/q/dead": {"errors": [{"error": EVIL, "items": 2}, {"error": "[red]x[/]", "items": 1}]},
    "GET /inbox": {
        "length": 1,
        "oldest": 2.5,
        "refused": 1,
        "full": [EVIL],
        "stopped": ["[red]x[/]"],
        "rows": [
            {
                "id": 5,
                "queue": EVIL,
                "value": EVIL,
                "key": EVIL,
                "at": "2026-01-31T12:00:00.000Z",
                "reason": EVIL,
                "refused_at": "2026-01-31T12:00:00.000Z",
            }
        ],
        "next": None,
    },
    "POST /backup": {"path": EVIL, "bytes": 1},
    "POST /queues/q/next": {"items": [{"seq": 1, "value": EVIL}, {"seq": 2, "value": "\u202e[red]x[/]"}]},
}
PROBLEM = {"type": "urn:dibs:problem:" + EVIL, "title": EVIL, "status": 409, "detail": EVIL}


class Hostile(BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        found = ANSWERS.get(f"{self.command} {path}")
        body = json.dumps(found or PROBLEM).encode()
        self.send_response(200 if found else 409)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


@pytest.fixture(autouse=True, scope="module")
def hostile():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _url(hostile, monkeypatch):
    monkeypatch.setenv("DIBS_URL", hostile)


COMMANDS = [
    ("queues",),
    ("stats",),
    ("stats", "q"),
    ("peek", "q"),
    ("peek", "q", "1"),
    ("audit", "q"),
    ("define", "q"),
    ("pause", "q"),
    ("dead", "q"),
    ("dead", "q", "1"),
    ("backup",),
    ("inbox",),
]
REFUSED = [("dead", "z"), ("next", "z"), ("work", "z", "--", "true"), ("stats", "z"), ("push", "z", __file__)]


@pytest.mark.parametrize("command", [*COMMANDS, *((*command, "--json") for command in COMMANDS)])
def test_what_it_shows(run, command):
    code, out, err = run(*command)
    assert (code, err) == (0, "")
    assert [line for line in out.splitlines() if acts(line)] == []
    assert "[red]" in out


@pytest.mark.parametrize("command", REFUSED)
def test_why_it_refuses(run, command):
    code, _, err = run(*command)
    assert code == 1
    assert [line for line in err.splitlines() if acts(line)] == []
    assert r"\x1b]0;owned\x07\x9b2J\u202e[red]x[/]" in err


def test_a_table_on_a_terminal_has_no_codes_but_those_of_its_own(run, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = run("queues")[1]
    assert "\x1b[" in out
    assert not acts(re.sub("\x1b\\[[0-9;]*m|\n", "", out))


def test_next_says_a_value_in_a_line_and_is_inert_on_a_terminal(run, monkeypatch):
    quoted = r'"\u001b]0;owned\u0007\u009b2J\u202e[red]x[/]"'
    assert run("next", "q", "-n", 2) == (0, f"{quoted}\n\u202e[red]x[/]\n", "")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert run("next", "q", "-n", 2) == (0, f"{quoted}\n\\u202e[red]x[/]\n", "")


def test_a_file_name_in_a_progress_bar(run, tmp_path, monkeypatch):
    from dibs.cli.push_progress import Bar
    from rich.console import Console

    master, slave = pty.openpty()
    with (
        os.fdopen(slave, "w") as file,
        Bar(f"{EVIL}.txt", 10, Console(file=file, force_terminal=True)) as bar,
    ):
        bar.at(5, 1, 1.0, 1)
    shown = os.read(master, 65_536).decode()
    os.close(master)
    assert "owned" in shown
    assert "\x1b]0;" not in shown
    assert "\x9b" not in shown
    assert "\u202e" not in shown


def test_a_verdict_on_a_strange_history_is_printed_inert(capsys):
    from dibs.cli.console import console

    console().print(Text(EVIL))
    assert capsys.readouterr().out == "\\x1b]0;owned\\x9b2J\\u202e[red]x[/]\n"
