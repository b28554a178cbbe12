"""``dibs loadtest`` as it is called: options, progress, exit codes. What it finds: tests/proof."""

from __future__ import annotations

import importlib.util
from collections import Counter
from io import StringIO
from pathlib import Path

import pytest
import typer
from dibs.cli.loadtest import loadtest
from dibs.cli.verify import verify
from dibs.proof.progress import Watch, percentile
from rich.console import Console
from typer.testing import CliRunner


@pytest.fixture(scope="module")
def fake():
    path = Path(__file__).parents[1] / "proof" / "fake_server.py"
    spec = importlib.util.spec_from_file_location("fake_server", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(monkeypatch):
    monkeypatch.delenv("DIBS_URL", raising=False)
    command = typer.Typer(add_completion=False)
    command.command()(loadtest)
    command.command()(verify)
    return lambda *args: CliRunner().invoke(command, [str(arg) for arg in args])


def test_a_right_server_passes_and_its_history_can_be_verified(run, fake, tmp_path):
    history = tmp_path / "h.jsonl"
    with fake.serving(fake.FakeQueue()) as url:
        result = run("loadtest", "--url", f"{url}/", "-c", 4, "-n", 100, "--history", history)
    assert result.exit_code == 0
    assert "Clean: 100 items (1..100)" in result.output
    assert "throughput" in result.output
    assert result.output.count("Bottleneck: ") == 1
    assert f"dibs verify {history}" in result.output
    assert run("verify", history).exit_code == 0
    assert run("verify", history, "--plant", "skip").exit_code == 1


def test_a_server_that_hands_out_duplicates_fails(run, fake):
    queue = fake.FakeQueue()
    queue.draw = lambda first, last: (max(1, first - first % 50 // 49), last - first % 50 // 49)
    with fake.serving(queue) as url:
        result = run("loadtest", "--url", url, "--clients", 4, "--total", 100)
    assert result.exit_code == 1
    assert "Violated: " in result.output
    assert "duplicates" in result.output.rpartition("Violated: ")[2]


def test_no_server_is_a_fault_of_the_harness(run, fake):
    with fake.serving(fake.FakeQueue()) as url:
        pass
    result = run("loadtest", "--url", url)
    assert result.exit_code == 3
    assert f"dibs: no server at {url}" in result.output


def test_a_fault_in_the_middle_comes_with_the_verdict_so_far(run, fake):
    queue = fake.FakeQueue()

    def broken(number):
        if number == 20:
            raise fake.Fault(418, b"I am a teapot")

    queue.before = broken
    with fake.serving(queue) as url:
        result = run("loadtest", "--url", url, "-c", 2, "-n", 100)
    assert result.exit_code == 3
    assert "verdict: " in result.output
    assert "Fault of the test: 418" in result.output


def test_a_history_that_can_not_be_written(run, fake, tmp_path):
    with fake.serving(fake.FakeQueue()) as url:
        result = run("loadtest", "--url", url, "--history", tmp_path / "no" / "h.jsonl")
    assert result.exit_code == 3
    assert "the history can't be written" in result.output


@pytest.mark.parametrize("options", [("--queue", "orders"), ("--no-keys",)])
def test_chaos_refuses_what_it_can_not_do(run, options):
    result = run("loadtest", "--chaos", *options)
    assert result.exit_code == 2
    assert "leave out --queue and --no-keys" in result.output


@pytest.mark.parametrize(
    "options", [("-c", "0"), ("-n", "0"), ("--count", "0"), ("--rounds", "0"), ("-c", "x")]
)
def test_wrong_options(run, options):
    assert run("loadtest", *options).exit_code == 2


TALLY = Counter(items=1500, answers=15, replayed=2, refused=0, lost=3)
RECENT = [1_000_000, 2_000_000, 9_000_000]


def test_progress_without_a_terminal_is_a_line_now_and_then():
    console = Console(file=StringIO(), width=140)
    watch = Watch(console)
    watch.begin(10_000)
    for seconds in (0.1, 2.1, 2.2, 4.0, 4.2):
        watch.tick(TALLY, RECENT, seconds)
    watch.say("round [1]")
    watch.close()
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 3
    for part in ("1,500 items", "714/s", "p50 2.0 ms", "p99 9.0 ms", "3 lost", "2 replayed"):
        assert part in lines[0]
    assert lines[2] == "round [1]"


def test_progress_on_a_terminal_is_a_bar():
    console = Console(file=StringIO(), width=140, force_terminal=True)
    watch = Watch(console)
    watch.tick(TALLY, RECENT, 0.0)
    watch.begin(10_000)
    for seconds in (1.0, 2.0):
        watch.tick(TALLY, RECENT, seconds)
    watch.say("round [1]")
    watch.close()
    watch.close()
    assert "1,500 items" in console.file.getvalue()
    assert "round [1]" in console.file.getvalue()


def test_percentiles():
    assert percentile([], 0.5) is None
    assert [percentile(list(range(1, 101)), share) for share in (0.5, 0.99, 1.0)] == [51, 100, 100]
