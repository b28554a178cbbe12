"""The demo tells the truth, on the Python at hand."""

import io

import pytest
from dibs.cli import demo_fleet, demo_threads
from dibs.cli.demo_screen import Stage
from rich.console import Console


@pytest.fixture
def stage(monkeypatch):
    monkeypatch.setattr(demo_threads, "EACH", 5000)
    return Stage(console=Console(file=io.StringIO(), width=100))


@pytest.fixture
def told(stage, monkeypatch):
    """What is shown; the stage has a console of its own where it is not a terminal."""
    out = io.StringIO()
    stage.console = Console(file=out, width=100)
    return out.getvalue


def test_no_line_is_cut_on_a_terminal_of_80_columns(stage):
    out = io.StringIO()
    stage.console = Console(file=out, width=80)
    codes = [getattr(demo_threads, name) for name in ("_BARE", "_COUNTER", "_CURE")] + [demo_fleet._CODE]
    for code in codes:
        stage.scene("A scene", code)
    stage.title()
    stage.end()
    shown = [line.strip("│ ") for line in out.getvalue().splitlines()]
    assert [line for code in codes for line in code.splitlines() if line.strip() not in shown] == []
    assert " ".join(shown[-2].split()) == "dibs loadtest --chaos doubt it properly"
    assert any(line.endswith("the GIL") for line in shown)


def test_a_bare_generator_breaks(stage, told):
    assert demo_threads.bare_generator(stage)
    assert "generator already executing" in told()


def test_a_counter_loses_at_least_what_is_forced(stage, told):
    assert demo_threads.counter(stage)
    assert "of 10,000 numbers went to two callers" in told()


def test_the_lock_cures(stage, told):
    assert demo_threads.cure(stage)
    assert "10,000 numbers, each to one caller; the next one is 10,001" in told()


def test_the_fleet_loses_nothing(stage, told, monkeypatch):
    monkeypatch.setattr(demo_fleet, "TOTAL", 3)  # all there before the server can be killed once
    assert demo_fleet.fleet(stage)
    assert "0 twice, 0 missing" in told()
    assert "2 times kill -9" in told()


def test_the_command(run, monkeypatch):
    monkeypatch.setattr(demo_threads, "EACH", 100)
    monkeypatch.setattr(demo_fleet, "fleet", lambda _: True)
    code, out, _ = run("demo")
    assert (code, "dibs loadtest --chaos" in out) == (0, True)


def test_it_says_so_when_something_is_not_as_promised(run, monkeypatch):
    monkeypatch.setattr(demo_threads, "EACH", 100)
    monkeypatch.setattr(demo_fleet, "fleet", lambda _: False)
    assert run("demo")[0] == 1
