"""What a server says on a terminal when it begins: where the data is, what it has, and what to try."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from dibs.cli import banner
from dibs.cli.banner import announce
from dibs.config import Settings
from dibs.sources import parse_source

URL = "http://127.0.0.1:1"


def queue(name, source=None, cursor=0, state="open"):
    counts = dict.fromkeys(("taken", "acked", "waiting", "leased", "dead"), 0)
    info = SimpleNamespace(queue=name, cursor=cursor, state=state, configured="file", **counts)
    spec = source and parse_source(source)
    browser, line = SimpleNamespace(info=lambda: info), SimpleNamespace(spec=spec)
    return SimpleNamespace(name=name, line=line, browser=browser)


@pytest.fixture
def shown(capsys, monkeypatch):
    def shown(*queues, terminal=True, data="folder", found=()):
        monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
        monkeypatch.setenv("COLUMNS", "200")
        announce(
            URL,
            Settings(data=data),
            SimpleNamespace(restored=SimpleNamespace(told=None), list=lambda: list(queues), found=found),
        )
        return re.sub("\x1b\\[[0-9;]*m|\x1b\\].*?\x1b\\\\\\\\", "", capsys.readouterr().out)

    return shown


def test_the_folder_as_it_is_found_from_anywhere(shown):
    assert str(Path("folder").absolute()) in shown(queue("default", "count"))
    assert "in memory: nothing outlives this process" in shown(data=":memory:")


def test_what_is_new_and_what_was_opened(shown):
    out = shown(queue("a", "count"), queue("b", cursor=1234), queue("c"), found={"b", "c"})
    assert re.search(r"\ba  count  new\b.*\bb  producers push  opened, cursor 1234\b", out, re.DOTALL)
    assert "c  producers push  opened, cursor 0" in out  # it was there, and nothing was pushed yet


def test_ten_queues_and_a_count(shown):
    queues = [queue(f"q{number:04}") for number in range(1200)]
    assert "q0009" in (out := shown(*queues))
    assert ("q0010" in out, "and 1,190 more: dibs queues" in out) == (False, True)
    line = shown(*queues, terminal=False)
    assert line.endswith("q0009 (new), and 1,190 more\n")
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("queues", "command"),
    [
        ([queue("default", "count")], f"curl -X POST {URL}/next"),
        ([queue("a"), queue("b", "count(start=5)")], f"curl -X POST {URL}/queues/b/next"),
        ([queue("invoices", "count(format='INV-{}')")], f"curl {URL}/queues"),
        ([queue("default", "lines(jobs.txt)"), queue("w")], f"curl {URL}/queues"),
        ([queue("default", "count", state="paused")], f"curl {URL}/queues"),
        ([], f"curl {URL}/queues"),
    ],
)
def test_what_is_to_be_tried_spends_nothing_but_a_counter_s_number(queues, command):
    assert banner._try(URL, queues) == command
