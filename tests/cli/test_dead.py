"""``dibs dead``: what failed for the last time, why, and another chance."""

import json
import re
import time

import httpx
import pytest
from dibs.cli.http import Api

from .conftest import SECONDS


@pytest.fixture(autouse=True)
def _url(server, monkeypatch):
    monkeypatch.setenv("DIBS_URL", server.url)


@pytest.fixture
def jobs(server):
    """A queue with two dead items and one that waits."""
    path = f"{server.url}/queues/jobs"
    settings = {"max_attempts": 2, "backoff": 0, "jitter": 0}
    asked = {"reset": True, "settings": settings}
    httpx.put(path, json=asked, params={"confirm": "jobs"}).raise_for_status()
    push(path, "a.txt", {"a": ["long "] * 100})
    for attempt in (1, 2):
        lease = httpx.post(f"{path}/lease", json={"max": 2, "worker": "w1"}).json()
        assert [item["seq"] for item in lease["items"]] == [1, 2]
        nack = {"token": lease["token"], "delay": 0, "error": f"exit {attempt}\n[red]why[/]"}
        httpx.post(f"{path}/nack", json=nack).raise_for_status()
    push(path, "c.txt")
    return path


def push(path, *values):
    httpx.post(f"{path}/items", json={"items": [{"value": value} for value in values]}).raise_for_status()


@pytest.mark.usefixtures("jobs")
class TestDead:
    def test_each_in_a_line(self, run):
        code, out, _ = run("dead", "jobs")
        assert code == 0
        heads, _, *rows = out.splitlines()
        assert heads.split() == ["seq", "value", "attempts", "worker", "dead", "since", "(UTC)", "error"]
        assert [row.split()[0] for row in rows] == ["1", "2"]
        assert rows[0].rstrip().endswith("exit 2: [red]why[/]")
        assert "…" in rows[1]

    def test_no_more_than_wanted_and_it_says_so(self, run):
        out = run("dead", "jobs", "--limit", 1)[1]
        assert ("a.txt" in out, "long" in out, "There are more" in out) == (True, False, True)

    def test_one_with_all_that_is_known(self, run):
        code, out, _ = run("dead", "jobs", 1)
        assert code == 0
        lines = [line.rstrip() for line in out.splitlines() if line.strip()]
        assert lines[:2] == ["1  dead  attempt 2", "a.txt"]
        assert [lines[2].partition(",")[0], *lines[3:5]] == ["attempt 1", "exit 1", "[red]why[/]"]
        assert [lines[5].partition(",")[0], *lines[6:]] == ["attempt 2", "exit 2", "[red]why[/]"]

    def test_one_that_was_pushed_under_a_key(self, run, jobs):
        item = {"value": "d.txt", "key": "order-4"}
        httpx.post(f"{jobs}/items", json={"items": [item]}).raise_for_status()
        code, out, _ = run("peek", "jobs", 4)
        assert code == 0
        lines = [line.rstrip() for line in out.splitlines() if line.strip()]
        assert lines[:2] == ["4  waiting  attempt 0", "d.txt"]
        assert re.fullmatch(r"pushed, .+ UTC, key order-4", lines[2])

    def test_one_that_is_not_there(self, run):
        code, _, err = run("dead", "jobs", 99)
        assert (code, err[:20]) == (1, "dibs: item-unknown: ")

    def test_another_chance_for_one_and_for_all(self, run, jobs):
        assert run("dead", "jobs", "--redrive", "--error", "exit 3")[0] == 1
        assert run("dead", "jobs", 2, "--redrive") == (0, "1 of jobs to be tried again\n", "")
        assert run("dead", "jobs", "--redrive", "--rate", 100)[1] == "1 of jobs to be tried again\n"
        assert run("dead", "jobs") == (0, "Nothing in jobs is dead.\n", "")
        assert httpx.get(jobs).json()["waiting"] == 3

    @pytest.mark.parametrize("said", ["exit 2: [red]why[/]", "exit 2", "exit 2\n[red]why[/]"])
    def test_those_of_an_error_as_the_table_shows_it(self, run, jobs, said):
        assert run("dead", "jobs", "--redrive", "--error", said) == (0, "2 of jobs to be tried again\n", "")
        assert httpx.get(jobs).json()["dead"] == 0

    @pytest.mark.parametrize("said", ["exit 5", "exit 2: [red]why[/]", "exit 2", "exit 2\n[red]why[/]"])
    def test_those_of_an_error_are_shown_alone_and_stay(self, run, jobs, said):
        token = httpx.post(f"{jobs}/lease", json={"max": 1}).json()["token"]
        httpx.post(f"{jobs}/nack", json={"token": token, "dead": True, "error": "exit 5"}).raise_for_status()
        seqs = [3] if said == "exit 5" else [1, 2]
        shown = run("dead", "jobs", "--error", said)[1].splitlines()[2:]
        assert [int(row.split()[0]) for row in shown] == seqs
        found = json.loads(run("dead", "jobs", "--error", said, "--limit", 1, "--json")[1])
        assert ([item["seq"] for item in found["items"]], found["next"]) == (
            seqs[:1],
            None if len(seqs) == 1 else 1,
        )
        assert httpx.get(jobs).json()["dead"] == 3

    def test_an_error_that_nothing_died_of_or_with_one_item(self, run):
        assert run("dead", "jobs", "--error", "exit 4") == (0, "Nothing in jobs is dead of this error.\n", "")
        refused = (2, "", "dibs: argument SEQ: it does not go with --error\n")
        assert run("dead", "jobs", 1, "--error", "exit 2") == refused

    def test_those_that_were_redriven_are_no_trouble_any_more(self, run):
        def told(words):
            """Whether the picture says so; it is made anew each second."""
            limit = time.monotonic() + SECONDS
            while words not in run("top", "--once")[1].splitlines()[0]:
                assert time.monotonic() < limit
                time.sleep(0.1)
            return True

        assert told("jobs has 2 dead letters; ")
        run("dead", "jobs", "--redrive")
        assert told(" queues are well.")

    def test_several_errors_are_counted_under_the_table(self, run, jobs):
        assert " × " not in run("dead", "jobs")[1]
        token = httpx.post(f"{jobs}/lease", json={"max": 1}).json()["token"]
        httpx.post(f"{jobs}/nack", json={"token": token, "dead": True, "error": "exit 5"}).raise_for_status()
        told = run("dead", "jobs")[1].splitlines()[-2:]
        assert [line.rstrip() for line in told] == ["2 × exit 2: [red]why[/]", "1 × exit 5"]

    def test_an_error_that_none_has(self, run, jobs):
        told = "dibs: no dead item of jobs has this last error; `dibs dead jobs` shows them\n"
        assert run("dead", "jobs", "--redrive", "--error", "exit 4") == (1, "", told)
        assert httpx.get(jobs).json()["dead"] == 2

    def test_no_others_than_were_seen(self, run, jobs):
        told = "{} dead items match by now, and {} were expected: nothing was redriven"
        code, _, err = run("dead", "jobs", "--redrive", "--expect", 3)
        assert (code, told.format(2, 3) in err) == (1, True)
        how = ("dead", "jobs", "--redrive", "--error", "exit 2", "--expect")
        assert run(*how, 1) == (1, "", f"dibs: {told.format(2, 1)}\n")
        assert httpx.get(jobs).json()["dead"] == 2
        assert run("dead", "jobs", 1, "--redrive", "--expect", 1)[1] == "1 of jobs to be tried again\n"
        assert run(*how, 1)[1] == "1 of jobs to be tried again\n"
        assert run("dead", "jobs", "--expect", 4) == (2, "", "dibs: option --expect: it needs --redrive\n")

    def test_errors_that_look_alike_are_redriven_in_one_step_or_not_at_all(self, run, jobs, monkeypatch):
        httpx.post(f"{jobs}/redrive", json={}).raise_for_status()
        token = httpx.post(f"{jobs}/lease", json={"max": 3}).json()["token"]
        for seq, error in ((1, "exit 5\nof the one"), (2, "exit 5\nof the other")):
            nack = {"token": token, "seqs": [[seq, seq]], "dead": True, "error": error}
            httpx.post(f"{jobs}/nack", json=nack).raise_for_status()
        how = ("dead", "jobs", "--redrive", "--error", "exit 5", "--expect", 2)
        asked = Api.change

        def late(*arguments, **more):
            httpx.post(f"{jobs}/redrive", json={"seqs": [[2, 2]]}).raise_for_status()  # by somebody else
            return asked(*arguments, **more)

        with monkeypatch.context() as patch:
            patch.setattr(Api, "change", late)
            code, _, err = run(*how)
        assert (code, httpx.get(jobs).json()["dead"]) == (1, 1)
        assert "1 dead items match by now, and 2 were expected: nothing was redriven" in err
        assert run(*how[:-1], 1)[1] == "1 of jobs to be tried again\n"
        assert httpx.get(jobs).json()["dead"] == 0

    def test_a_rate_of_nothing_is_refused(self, run):
        assert run("dead", "jobs", "--rate", 4) == (2, "", "dibs: option --rate: it needs --redrive\n")

    def test_json(self, run):
        assert [item["seq"] for item in json.loads(run("dead", "jobs", "--json")[1])["items"]] == [1, 2]
        assert json.loads(run("dead", "jobs", 1, "--json")[1])["history"][0]["error"] == "exit 1\n[red]why[/]"
        assert json.loads(run("dead", "jobs", "--redrive", "--json")[1])["redriven"] == 2


def test_an_unknown_queue(run):
    assert run("dead", "nope") == (1, "", "dibs: queue-unknown: there is no queue nope\n")
