"""``dibs top``: one picture, the live screen on a terminal, a server that goes away and comes back."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from io import StringIO

import httpx
import pytest
from dibs.cli.console import InertConsole
from dibs.cli.events import Event, parsed
from dibs.cli.queue_tables import progress
from dibs.cli.top_screen import screen
from dibs.cli.top_words import brief, sentence, sparkline
from dibs.proof.server import free_port
from rich.console import Console

from .conftest import SECONDS, environment

NOW = 1_000_000_000
STATES = dict.fromkeys(("open", "starting", "failed", "paused", "exhausted", "closed"), 0)


def row(name, **changed):
    return {
        "queue": name,
        "state": "open",
        "out": 0.0,
        "settled": None,
        "waiting": 0,
        "leased": 0,
        "dead": 0,
        "oldest": None,
        "old": False,
        "line": [],
        "failure": None,
    } | changed


def data(*rows, findings=(), **changed):
    totals = {"out": 12_345.6, "settled": 3.0, "waiting": 1_234_567, "leased": 7, "dead": 1}
    totals |= {"commit_p99": 0.002, "bytes": 5_000_000, "free": 10**11}
    return {
        "now": NOW,
        "restored": None,
        "partly": False,
        "servers": None,
        "count": len(rows),
        "look": len(findings),
        "states": STATES,
        "findings": list(findings),
        "totals": totals,
        "queues": list(rows),
    } | changed


FAILED = {"kind": "failed", "queue": "sweep", "since": NOW - 180_000, "type": "ValueError", "seq": 412}
DEAD = {"kind": "dead", "queue": "jobs", "since": NOW, "dead": 31, "died": 1}
PAUSED = {"kind": "paused", "queue": "mail", "since": NOW - 7_200_000, "waiting": 1}
OLD = {"kind": "old", "queue": "slow", "since": NOW, "oldest": 90_000.0}


@pytest.mark.parametrize(
    ("findings", "count", "failed", "says"),
    [
        ([], 0, 0, "This server is ready, and has no queues yet."),
        ([], 1, 0, "The queue is well."),
        ([], 1234, 0, "All 1,234 queues are well."),
        ([FAILED], 8, 1, "7 queues are well; sweep failed 3 minutes ago: ValueError at item 412."),
        ([FAILED, FAILED], 2, 2, "sweep and 1 more failed: ValueError at item 412."),
        ([DEAD], 2, 0, "1 queue is well; jobs has 31 dead letters; 1 died within the hour."),
        ([PAUSED], 1, 0, "mail has been paused for 2 hours; 1 waits."),
        ([OLD], 1, 0, "an item of slow has waited for 1 day."),
    ],
)
def test_a_sentence_says_how_everything_is(findings, count, failed, says):
    rows = [row(f"q{number}") for number in range(count)]
    assert sentence(data(*rows, findings=findings, states=STATES | {"failed": failed})) == says


def test_who_may_look_at_no_queue_is_not_told_that_there_is_none():
    assert "no queues that you may look at" in sentence(data(partly=True))


def test_a_restored_backup_that_nobody_has_accepted_is_not_well():
    held = (
        "restored from the backup of 2026-11-29: nothing is handed out until `dibs accept` says how to go on"
    )
    assert sentence(data(row("ids"), restored=held)) == f"R{held[1:]}."


@pytest.mark.parametrize(
    ("number", "narrow", "wide"),
    [
        *[(0, "0", "0"), (0.5, "0.5", "0.5"), (999, "999", "999"), (1000, "1.0k", "1,000")],
        *[
            (12_345.6, "12k", "12,346"),
            (999_700, "1.0M", "999,700"),
            (10**13, "10T", "10T"),
            (10**15, "1.0P", "1.0P"),
        ],
    ],
)
def test_numbers_for_narrow_and_for_wide_columns(number, narrow, wide):
    assert (brief(number, wide=False), brief(number, wide=True)) == (narrow, wide)


def test_a_sparkline_has_the_newest_last_and_nothing_before_the_server_began():
    assert sparkline([None, None, 0, 1, 4, 8], 6) == "  ▁▂▅█"
    assert sparkline([0] * 80 + [5] * 10, 9) == "▁▁▁▁▁▁▁▁█"
    assert sparkline([], 9) == ""


def lines(picture, width):
    console = InertConsole(width=width, highlight=False)
    with console.capture() as captured:
        console.print(picture)
    return captured.get().splitlines()


SERVERS = {
    "owner": "http://dibs-1:8000",
    "term": 7,
    "lasts": 60.0,
    "takeovers": 1,
    "position": 1234,
    "age": 0.2,
    "count": 3,
    "versions": ["1.0"],
    "unfit": [],
    "warm": [],
    "warnings": [],
    "inbox": {"rows": 1234, "oldest": 0.0, "refused": 0, "stopped": 0},
}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({}, "owner dibs-1:8000, term 7 · 3 servers · inbox 1,234"),
        ({"owner": None, "count": 1, "inbox": None}, "owner nobody, term 7 · 1 server"),
        ({"owner": "http://a\x1b[31m:1"}, "owner a\\x1b[31m:1, term 7 · 3 servers · inbox 1,234"),
    ],
)
def test_of_several_servers_it_says_who_owns(changed, says):
    told = lines(screen(data(servers=SERVERS | changed), url="http://x", width=200, height=None), 200)
    assert says in "\n".join(told)


URLS = ("http://dibs-2:8000", "http://dibs-3:8000")
UNREACHED = (
    "the owner says that it is at http://10.0.0.1:8000, and nothing answers there (ConnectError: [Errno 111]"
    " Connection refused): what is asked of this server can't be answered " + "and so on " * 30
)


@pytest.mark.parametrize("width", [50, 80, 200])
def test_what_is_not_well_with_servers_and_their_database_is_told(width):
    """As on the page: in full where it is short, and the beginning of what is long."""
    servers = SERVERS | {
        "warnings": ["no standby\x07"],
        "unfit": [{"url": URLS[0], "note": "it lacks code"}],
        "troubles": [{"url": url, "note": UNREACHED} for url in URLS]
        + [{"url": "http://d", "note": "x"}] * 2,
    }
    told = lines(screen(data(row("a"), servers=servers), url="http://x", width=width, height=24), width)
    assert told[1:3] == ["  no standby\\x07", "  dibs-2:8000: it lacks code"]
    text = " ".join(" ".join(told).split())
    for url in URLS:
        assert f"{url[7:]}: the owner says that it is at http://10.0.0.1:8000, and nothing answers" in text
    assert "and 2 more: `dibs doctor` tells all" in text
    assert (len(told) <= 24, max(map(len, told)) <= width) == (True, True)


class TestScreen:
    HOSTILE = "ValueError: \x1b[31m\u202e" + "x" * 500
    ROWS = (
        row("a-name-of-64-characters-which-is-as-long-as-a-queue-s-may-be-0123", state="exhausted"),
        row("jobs", out=12_345.6, settled=99.5, waiting=10**15, leased=10**9, dead=10**6, oldest=10**6),
        row("sweep", state="failed", failure={"type": "ValueError", "seq": 412, "message": HOSTILE}),
    )

    LEFT_OUT = (("15 min", 77), ("done/s", 70), ("leased", 55))
    """Columns of these rows, and from which width on they are there."""

    @pytest.mark.parametrize("width", [*range(50, 130), 160, 200])
    def test_it_fits_and_numbers_are_whole(self, width):
        told = lines(screen(data(*self.ROWS), url="http://x", width=width, height=24), width)
        assert max(map(len, told)) <= width
        table = "\n".join(told)
        names = {"a-name-of-6", "exhausted", "failed", "12k" if width < 120 else "12,346", "1.0P", "11.6 d"}
        assert [name for name in names if name not in table] == []
        assert not re.search("[\x1b\u202e]", table)
        assert "ValueError at item 412" in table
        assert sum(line.startswith("jobs ") for line in told) == 1
        heading = next(line for line in told if line.startswith("queue "))
        for column, least in self.LEFT_OUT:
            assert (column in heading) == (width >= least)

    def test_where_there_is_room_why_a_queue_has_failed_stands_in_its_line(self):
        rows = [row("sweep", state="failed", failure={"type": "OSError", "seq": 1, "message": "gone"})]
        for width, line in ((200, r"sweep +failed .* OSError at item 1: gone"), (80, r"  OSError at .*")):
            told = lines(screen(data(*rows), url="http://x", width=width, height=None), width)
            assert [found for found in told if re.fullmatch(line, found)]

    def test_a_queue_and_why_it_has_failed_are_shown_both_or_not_at_all(self):
        failure = {"type": "OSError", "seq": 1, "message": "gone"}
        rows = [row(f"q{number:02}", state="failed", failure=failure) for number in range(50)]
        told = lines(screen(data(*rows), url="http://x", width=80, height=24), 80)
        names = sum(line.startswith("q") for line in told) - 1
        assert (len(told) <= 24, sum("OSError" in line for line in told)) == (True, names)
        assert f"and {50 - names} more queues" in told[-1]

    def test_no_more_queues_than_there_is_room_for_and_the_rest_is_told(self):
        rows = [row(f"q{number:02}") for number in range(50)]
        told = lines(screen(data(*rows, count=7000), url="http://x", width=80, height=24), 80)
        assert len(told) <= 24
        shown = sum(line.startswith("q") for line in told) - 1
        assert f"and {7000 - shown:,} more queues" in told[-1]
        assert len(lines(screen(data(*rows), url="http://x", width=80, height=None), 80)) > 50

    def test_what_is_not_live_says_so(self):
        told = lines(screen(data(row("a")), url="x", width=80, height=24, trouble="No word"), 80)
        assert told[1] == "No word"


def test_events_are_read_as_the_standard_says():
    text = ": comment\n\nevent: hello\ndata: {\ndata: }\n\nevent: empty\n\nretry: 5\ndata:3\n\ndata: half"
    assert list(parsed(text.split("\n"))) == [Event("hello", {}), Event("message", 3)]


class TestCommand:
    def test_one_picture_off_a_terminal(self, serve, dibs):
        server = serve("--queue", "ids=count", "--queue", "jobs")
        httpx.post(f"{server.url}/queues/jobs/items", json={"items": [{"value": 1}]})
        httpx.post(f"{server.url}/queues/jobs/pause")
        for _ in range(SECONDS * 4):  # the page looks at all queues once a second
            time.sleep(0.25)
            done = dibs("top", "--url", server.url)
            assert (done.returncode, done.stderr) == (0, "")
            first, *rest = done.stdout.splitlines()
            if "paused" in first:
                break
        assert re.fullmatch(r"1 queue is well; jobs has been paused for \d+ s; 1 waits\.", first)
        assert [line.split()[:2] for line in rest if line.startswith(("ids", "jobs"))] == [
            ["jobs", "paused"],
            ["ids", "open"],
        ]

    def test_without_a_server(self, dibs):
        done = dibs("top", "--once", "--url", "http://127.0.0.1:1")
        assert (done.returncode, done.stdout) == (7, "")
        assert done.stderr.startswith("dibs: no server at http://127.0.0.1:1 (")


class Terminal:
    """A command on a terminal of 80 columns and 24 lines."""

    def __init__(self, folder, *arguments):
        self._ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(its)
        kept = {name: value for name, value in environment().items() if name not in {"COLUMNS", "LINES"}}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dibs", *arguments],
            stdin=its,
            stdout=its,
            stderr=its,
            cwd=folder,
            env=kept | {"TERM": "xterm"},
        )
        self.its = its
        self.seen = ""

    def until(self, text):
        """Read until it is shown."""
        end = time.monotonic() + SECONDS
        self.seen = ""
        while text not in self.seen:
            ready, _, _ = select.select([self._ours], [], [], max(end - time.monotonic(), 0))
            assert ready, f"{text!r} is not in {self.seen[-3000:]!r}"
            self.seen += os.read(self._ours, 65_536).decode(errors="replace")
        return self.seen

    def type(self, keys):
        os.write(self._ours, keys)

    def wait(self):
        """Its exit code. What it writes is read meanwhile: a terminal that nobody reads holds it up."""
        end = time.monotonic() + SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < end
            if select.select([self._ours], [], [], 0.05)[0]:
                os.read(self._ours, 65_536)
        return self.process.returncode

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self.its)


@pytest.fixture
def terminal(tmp_path):
    opened = []

    def terminal(*arguments):
        opened.append(Terminal(tmp_path, *arguments))
        return opened[-1]

    yield terminal
    for each in opened:
        each.close()


class TestLive:
    def test_a_server_that_goes_away_is_told_and_comes_back(self, serve, terminal):
        server = serve("--queue", "ids=count", "--port", free_port())
        shown = terminal("top", "--url", server.url)
        shown.until("The queue is well.")
        httpx.put(f"{server.url}/queues/jobs", json={})
        shown.until("All 2 queues are well.")
        server.end(signal.SIGKILL)
        shown.until("No word from the server")
        serve("--queue", "ids=count", "--port", server.port)
        shown.until("All 2 queues are well.")
        shown.type(b"q")
        assert shown.wait() == 0
        assert termios.tcgetattr(shown.its) == shown.before

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_ctrl_c_and_sigterm_end_it(self, serve, terminal, number):
        shown = terminal("top", "--url", serve().url)
        shown.until("The queue is well.")
        shown.process.send_signal(number)
        assert shown.wait() == 0
        assert termios.tcgetattr(shown.its) == shown.before

    def test_there_never_was_a_server(self, terminal):
        shown = terminal("top", "--url", "http://127.0.0.1:1")
        shown.until("no server at")
        assert shown.wait() == 7


@pytest.mark.parametrize("row", [{"queue": "reports", "source": "count(start=100, format='2026-{:06d}')"}])
def test_numbers_and_short_names_stand_in_one_piece_where_a_source_is_folded(row):
    numbers = dict.fromkeys(
        ("waiting", "leased", "dead", "taken", "acked", "purged", "jumped", "cursor"), 12_345
    )
    made = progress([row | numbers | {"args": {}, "state": "open", "failure": None, "configured": "file"}])
    out = StringIO()
    Console(file=out, width=80).print(made)
    first, *_ = [line for line in out.getvalue().splitlines() if "reports" in line]
    assert first.split().count("12,345") == 8
    assert max(len(line.rstrip()) for line in out.getvalue().splitlines()) <= 80
