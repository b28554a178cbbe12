"""``dibs verify``: what it says, shows and exits with."""

from __future__ import annotations

import json

import pytest
import typer
from dibs.cli.verify import verify
from dibs.proof.history import HistoryWriter
from dibs.proof.records import Audit, End, Header, Outcome
from typer.testing import CliRunner


@pytest.fixture
def run():
    command = typer.Typer(add_completion=False)
    command.command()(verify)
    return lambda *args: CliRunner().invoke(command, [str(arg) for arg in args])


ORDERS = Header("orders", source="count()", cursor=0, taken=0, jumped=0)


class Writer(HistoryWriter):
    """Writes takes of one item."""

    def ok(self, client, key, times, seq, value=None, *, replay=False):
        answer = {"seqs": [[seq, seq]], "values": [value or seq], "replay": replay}
        self.request({"op": "take", "client": client, "key": key, "count": 1}, times, Outcome.OK, answer)

    def lost(self, client, key, times, error):
        asked = {"op": "take", "client": client, "key": key, "count": 1}
        self.request(asked, times, Outcome.UNKNOWN, {"error": error})


@pytest.fixture
def clean(tmp_path):
    """A history of two clients: one asks again for the reply that it lost."""
    path = tmp_path / "clean.jsonl"
    with Writer(path, ORDERS) as writer:
        for seq in range(1, 20, 2):
            at = seq * 10_000_000
            writer.ok("1", f"a-{seq}", (at, at + 3), seq)
            writer.lost("2", f"b-{seq}", (at + 1, at + 5), "ReadError")
            writer.ok("2", f"b-{seq}", (at + 6, at + 9), seq + 1, replay=True)
        writer.end(End(0, (Audit(20, 20, 0, True),)))
    return path


def test_a_clean_history(run, clean):
    result = run(clean)
    assert result.exit_code == 0
    assert "verdict: clean" in result.output
    assert "Clean: 20 items (1..20), each to exactly one request" in result.output


@pytest.mark.parametrize(
    ("damage", "column"), [("duplicate", "duplicates"), ("skip", "skipped"), ("reorder", "reordered")]
)
@pytest.mark.parametrize("seed", range(3))
def test_each_damage_is_found(run, clean, damage, column, seed):
    result = run(clean, "--plant", damage, "--seed", seed)
    assert result.exit_code == 1
    assert f"Planted {damage}: " in result.output
    assert "Violated: " in result.output
    assert f" {column.removesuffix('s')}" in result.output.rpartition("Violated: ")[2]


def test_help_says_which_damage_is_of_which_history(run):
    told = " ".join(run("--help").output.replace("│", " ").split())
    assert "Takes: duplicate, skip, reorder; work: lost, two-owners, acked-again, value." in told


def test_one_is_no_plural(run, tmp_path):
    path = tmp_path / "one.jsonl"
    with Writer(path, ORDERS) as writer:
        writer.ok("1", "a", (10, 13), 1)
        writer.end(End(0, (Audit(1, 1, 0, True), Audit(2, 2, 0, True))))
    output = run(path).output
    assert "1 in 1 answer and 0 replays" in output
    assert ": 1 audit" in output
    assert "1 audits" not in output


def test_a_damage_leaves_the_file_as_it_was(run, clean):
    before = clean.read_bytes()
    run(clean, "--plant", "skip")
    assert clean.read_bytes() == before


def test_findings_name_clients_keys_lines_and_times(run, clean):
    output = run(clean, "--plant", "reorder").output
    assert "client 1, key a-" in output
    assert "line " in output
    assert " ms" in output


def test_an_unresolved_request_is_inconclusive(run, tmp_path):
    path = tmp_path / "h.jsonl"
    with Writer(path, ORDERS) as writer:
        writer.lost("1", None, (0, 5), "ReadTimeout")
        writer.ok("2", None, (0, 5), 2)
        writer.end(End(0, (Audit(2, 2, 0, True),)))
    result = run(path)
    assert result.exit_code == 3
    assert "Inconclusive: 1 unexplained, 1 allowed." in result.output
    assert "ReadTimeout" in result.output


def test_json_for_programs(run, clean):
    clean_, damaged = run(clean, "--json"), run(clean, "--plant", "duplicate", "--json")
    assert json.loads(clean_.output)["outcome"] == "clean"
    found = json.loads(damaged.output)
    assert (found["outcome"], found["duplicates"], found["rules"]["seq-twice"]) == ("violated", 1, 1)
    assert found["planted"].startswith("Planted duplicate")
    assert found["findings"][0]["requests"][0]["client"] in {"1", "2"}


def test_what_it_shows_is_limited(run, tmp_path):
    path = tmp_path / "h.jsonl"
    with Writer(path, ORDERS) as writer:
        for at in range(30):
            writer.ok("1", f"k{at}", (0, 5), 1)
    output = run(path, "--examples", "2").output
    assert "a seq was handed out twice: 29 items" in output
    assert output.count("went to two requests") == 2
    assert "no end line" in output


def test_an_unreadable_history_names_the_line(run, tmp_path):
    path = tmp_path / "h.jsonl"
    path.write_text('{"dibs_history": 1, "queue": "q"}\n{"client": ')
    result = run(path)
    assert result.exit_code == 3
    assert "h.jsonl: line 2: not JSON" in result.output


def test_no_file(run, tmp_path):
    result = run(tmp_path / "none.jsonl")
    assert result.exit_code == 3
    assert "No such file" in result.output


def test_a_history_too_short_to_damage_says_so(run, tmp_path):
    path = tmp_path / "h.jsonl"
    with Writer(path, ORDERS) as writer:
        writer.end(End(0))
    result = run(path, "--plant", "skip")
    assert result.exit_code == 3
    assert "nothing was handed out" in result.output


def test_markup_in_a_history_is_only_text(run, tmp_path):
    path = tmp_path / "h.jsonl"
    with Writer(path, Header("[red]q[/]", source="[bold]")) as writer:
        for _ in range(2):
            writer.ok("[/x]", "[b]", (0, 5), 1, "[/y]")
    result = run(path)
    assert result.exit_code == 1
    assert "[red]q[/]" in result.output
    assert "[/x]" in result.output
