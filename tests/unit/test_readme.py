"""What the manual names exists, and what exists is named there; the examples of the README run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from dibs.api.problem_table import PROBLEMS
from dibs.cli import cli
from dibs.config import LIVE, Settings
from dibs.main import create_app
from dibs.queue.limits import Limits
from dibs.sources import BUILTINS, parse_source
from typer.main import get_command

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MANUAL = (ROOT / "app" / "MANUAL.md").read_text(encoding="utf-8")


def routes():
    document = create_app(Settings(data=":memory:")).openapi()
    return [(method.upper(), path) for path, methods in document["paths"].items() for method in methods]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_every_problem_stands_beside_its_status(problem):
    rows = [row for row in MANUAL.splitlines() if row.startswith("|") and f"`{problem.name}`" in row]
    assert any(str(problem.status) in row.split("|")[1] for row in rows)


@pytest.mark.parametrize(("method", "path"), routes(), ids=" ".join)
def test_every_route_is_named(method, path):
    short = path.replace("{queue}", "{q}")
    operation = "/" + short.rsplit("/", 1)[1]
    assert f"`{method} {short}" in MANUAL or f"`{operation}`" in MANUAL or f"`{method}`" in MANUAL


@pytest.mark.parametrize("command", get_command(cli()).commands)
def test_every_command_is_named(command):
    assert f"`dibs {command}" in MANUAL


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`dibs (\w+)", MANUAL))))
def test_every_command_that_is_named_exists(command):
    assert command in get_command(cli()).commands


@pytest.mark.parametrize("name", [*Settings.model_fields, *Limits.model_fields])
def test_every_setting_is_named(name):
    assert f"`{name}`" in MANUAL or f"`[{name}]`" in MANUAL


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_manual_has_the_default_of_every_setting_and_when_it_changes(name):
    table = MANUAL.partition("### Of the server")[2].partition("### Limits")[0]
    row = next(row for row in table.splitlines() if row.startswith(f"| `{name}` |"))
    default, changes = (part.strip().strip("`") for part in row.split("|")[2:4])
    assert changes == ("by reload" if name in LIVE else "at a start")
    value = Settings.model_fields[name].get_default(call_default_factory=True)
    told = f"{value:g} s" if isinstance(value, float) else str(value).lower()
    assert default == ("see below" if name == "limits" else "none" if value in (None, (), {}) else told)


def default_of(name):
    """A limit's default as the manual writes it."""
    default, kind = Limits.model_fields[name].default, Limits.model_fields[name].annotation
    units = [(86_400 * 7, "days", 86_400), (3_600, "h", 3_600), (0, "s", 1)]
    if kind is int and name.endswith("_bytes"):
        units = [(1024**2, "MiB", 1024**2), (1024, "KiB", 1024), (0, "", 1)]
    elif kind is int:
        units = [(0, "", 1)]
    unit, size = next((unit, size) for least, unit, size in units if default >= least)
    return f"{default / size:,.10g} {unit}".strip()


@pytest.mark.parametrize("name", Limits.model_fields)
def test_the_manual_has_the_default_of_every_limit(name):
    rows = MANUAL.partition("| `[limits]` |")[2].splitlines()
    (names, defaults) = next(row.split("|")[1:3] for row in rows if f"`{name}`" in row)
    given = dict(zip(re.findall(r"`(\w+)`", names), defaults.strip().split(", "), strict=True))
    assert given[name] == default_of(name)


@pytest.mark.parametrize("name", BUILTINS)
def test_every_source_is_named_and_what_is_written_can_be_read(name):
    (written, *_) = re.findall(rf"`({name}(?:\([^`]*\))?)`", MANUAL)
    if not re.search(r"\((start, stop|path|node)", written):
        assert parse_source(written).name == name


def test_the_example_of_one_process_runs():
    (example,) = [
        block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "shared =" in block
    ]
    script = example + "\nassert [next(shared), *shared.take(2)] == [1, 2, 3]\n"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, timeout=60)


def test_the_example_of_a_configuration_is_one(tmp_path, monkeypatch):
    from dibs.config import load

    (example,) = re.findall(r"```toml\n(.*?)```", MANUAL, re.DOTALL)
    (tmp_path / "dibs.toml").write_text(example)
    monkeypatch.chdir(tmp_path)
    settings = load({})
    assert settings.queues["ids"].source == parse_source("count(start=100)")
    assert settings.queues["jobs"].source is None
    assert settings.limits.count == 10_000
