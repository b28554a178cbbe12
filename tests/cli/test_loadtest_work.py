"""``dibs loadtest --work`` and ``dibs verify`` of its history, as they are called."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import typer
from dibs.cli.loadtest import loadtest
from dibs.cli.verify import verify
from typer.testing import CliRunner


@pytest.fixture(scope="module")
def fake():
    path = Path(__file__).parents[1] / "proof" / "fake_work.py"
    if path.stem not in sys.modules:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[path.stem]


@pytest.fixture(scope="module")
def run():
    command = typer.Typer(add_completion=False)
    command.command()(loadtest)
    command.command()(verify)
    return lambda *args: CliRunner(env={"DIBS_URL": None}).invoke(command, [str(arg) for arg in args])


SMALL = ("-c", 3, "-n", 400, "--count", 10, "--ttl", 0.2, "--seed", 4)


@pytest.fixture(scope="module")
def made(run, fake, tmp_path_factory):
    """A load test of a server that keeps its word: its result, and its history."""
    history = tmp_path_factory.mktemp("work") / "h.jsonl"
    with fake.serving(fake.FakeWork()) as url:
        result = run("loadtest", "--work", "--url", url, *SMALL, "--crash", 0.1, "--history", history)
    return result, history


def test_a_right_server_passes_and_redeliveries_are_explained(made):
    result, history = made
    assert result.exit_code == 0
    assert "verdict: clean" in result.output
    assert result.output.count("Bottleneck: ") == 1
    assert "Clean: 400 items, one owner at a time: " in result.output
    assert "redelivered: " in result.output
    assert "expired: its consumer crashed" in result.output
    assert f"dibs verify {history}" in result.output


def test_its_history_can_be_verified(run, made):
    result = run("verify", made[1])
    assert result.exit_code == 0
    assert "Clean: 400 items" in result.output


@pytest.mark.parametrize(
    ("damage", "column"),
    [
        ("lost", "lost"),
        ("two-owners", "two owners"),
        ("acked-again", "acked again"),
        ("value", "value"),
    ],
)
def test_each_damage_is_found(run, made, damage, column):
    result = run("verify", made[1], "--plant", damage, "--seed", 2)
    assert result.exit_code == 1
    assert f"Planted {damage}: " in result.output
    assert f"1 {column}" in result.output.rpartition("Violated: ")[2]


def test_a_damage_of_takes_has_no_place_here(run, made):
    result = run("verify", made[1], "--plant", "skip")
    assert result.exit_code == 3
    assert "a history of work, which knows lost, two-owners, acked-again, value" in result.output


def test_json_for_programs(run, made):
    clean = json.loads(run("verify", made[1], "--json").output)
    assert (clean["outcome"], clean["lost"], clean["two_owners"], clean["totals"]["pushed"]) == (
        "clean",
        0,
        0,
        400,
    )
    assert clean["totals"]["redelivered"]["crashed"] > 0
    damaged = json.loads(run("verify", made[1], "--plant", "lost", "--json").output)
    assert (damaged["outcome"], damaged["lost"], damaged["rules"]["lost"]) == ("violated", 1, 1)


def test_a_broken_server_fails(run, fake):
    with fake.serving(fake.FakeWork(bug="two-owners")) as url:
        result = run("loadtest", "--work", "--url", url, *SMALL)
    assert result.exit_code == 1
    assert "two owners" in result.output.rpartition("Violated: ")[2]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--work", "--queue", "jobs"), "--work: it has its own queue"),
        (("--work", "--no-keys"), "--work: it has its own queue and needs keys"),
        (("--crash", "0.1"), "--crash: it is for --work"),
        (("--ttl", "1"), "--ttl: it is for --work"),
        (("--work", "--crash", "2"), "--crash"),
        (("--work", "--ttl", "0"), "--ttl"),
    ],
)
def test_wrong_options(run, options, told):
    result = run("loadtest", *options)
    assert result.exit_code == 2
    assert told in result.output
