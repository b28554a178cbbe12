"""``dibs work`` to its end: what is done, what fails, what is pushed on."""

import json
import re
import subprocess
import sys

import httpx
import pytest
from dibs.cli import main

from tests.cli.conftest import SECONDS, environment

from .conftest import items


class TestWork:
    def test_all_is_done_and_the_queue_is_closed(self, queue, work):
        jobs = queue()
        jobs.push(*"abc")
        jobs.close()
        code, out, err = work(jobs.name, "-j", 2, "--", "echo", "got")
        assert (code, sorted(out.splitlines())) == (0, ["got a", "got b", "got c"])
        assert re.fullmatch(rf"{jobs.name}: 3 done in \S+ \w+ \(.*/s\)\n", err)
        assert jobs.audit == {"acked": 3, "waiting": 0, "leased": 0, "dead": 0}

    def test_a_source_is_worked_on_alike(self, server, work):
        httpx.put(
            f"{server.url}/queues/sweep", json={"source": "grid", "args": {"a": [1, 2], "b": ["x", "y"]}}
        )
        code, out, _ = work("sweep", "-j", 3, "--", "echo")
        assert code == 0
        assert sorted(map(json.loads, out.splitlines()), key=str) == [
            {"a": a, "b": b} for a in (1, 2) for b in ("x", "y")
        ]

    def test_what_fails_is_tried_again_and_its_errors_are_kept(self, queue, work, server):
        jobs = queue()
        jobs.push("a")
        script = "echo attempt $DIBS_ATTEMPT >&2; [ $DIBS_ATTEMPT = 3 ]"
        code, _, err = work(jobs.name, "--exit-when-empty", "--", "sh", "-c", script)
        assert (code, jobs.audit["acked"]) == (0, 1)
        assert f"dibs: {jobs.name} 1, attempt 2: exit 1\n" in err
        assert re.search(r": 1 done in .*; 2 attempts failed\n", err)

    def test_what_is_dead_has_its_exit_code_and_its_history(self, queue, work, server):
        jobs = queue()
        httpx.put(f"{server.url}/queues/{jobs.name}", json={"settings": {"max_attempts": 2, "backoff": 0.01}})
        jobs.push("a", "b")
        code, _, err = work(
            jobs.name, "--exit-when-empty", "--", "sh", "-c", 'echo no >&2; [ "$1" = b ]', "sh", "{}"
        )
        assert (code, jobs.audit) == (8, {"acked": 1, "waiting": 0, "leased": 0, "dead": 1})
        assert re.search(r": 1 done, 1 dead in .*; 2 attempts failed\n", err)
        item = httpx.get(f"{server.url}/queues/{jobs.name}/items/1").json()
        assert [failure["error"] for failure in item["history"]] == ["exit 1\nno"] * 2

    def test_results_come_with_the_ack(self, queue, work):
        jobs, results = queue(), queue()
        jobs.push({"n": 1}, {"n": 2})
        script = "import json, sys; print(json.load(sys.stdin)['n'] * 10)"
        options = ("--stdin", "--results", results.name, "--json-results", "--exit-when-empty")
        code, out, _ = work(jobs.name, *options, "--", sys.executable, "-c", script)
        assert (code, out, sorted(results.values)) == (0, "", [10, 20])

    def test_the_trace_of_a_push_is_in_the_environment_and_goes_on_with_the_results(
        self, queue, work, server
    ):
        jobs, results = queue(), queue()
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        httpx.post(
            f"{server.url}/queues/{jobs.name}/items",
            json={"items": [{"value": "a"}]},
            headers={"traceparent": trace},
        ).raise_for_status()
        jobs.push("b")
        options = "--results", results.name, "--exit-when-empty"
        code, _, _ = work(jobs.name, *options, "--", "sh", "-c", 'echo "$1 $TRACEPARENT"', "sh", "{}")
        leased = httpx.post(f"{server.url}/queues/{results.name}/lease", json={"max": 9}).json()["items"]
        assert (code, {item["value"]: item.get("traceparent") for item in leased}) == (
            0,
            {f"a {trace}": trace, "b ": None},
        )

    def test_only_so_many(self, queue, work):
        jobs = queue()
        jobs.push(*range(10))
        assert work(jobs.name, "-j", 3, "--max", 4, "--", "true")[0] == 0
        assert jobs.audit == {"acked": 4, "waiting": 6, "leased": 0, "dead": 0}

    def test_empty_is_an_end_where_that_is_wanted(self, queue, work):
        code, out, err = work(queue().name, "--exit-when-empty", "--", "true")
        assert (code, out, ": 0 done in " in err) == (0, "", True)

    def test_otherwise_it_waits_for_more(self, queue, start, gate, server):
        jobs = queue()
        working = start(server.url, "work", jobs.name, "--max", 1, "--", *gate.command)
        gate.make("late")
        jobs.push("late")
        assert gate.begun(1) == ["late"]
        gate.open("late")
        assert working.end()[0] == 0

    def test_one_bad_result_costs_one_job(self, queue, work):
        jobs, results = queue(), queue()
        jobs.push("1e400", "[1]", "9" * 30, "2")
        options = ("--stdin", "--results", results.name, "--json-results", "--max-attempts", 1)
        script = "import json, sys; print(json.load(sys.stdin))"
        code, _, err = work(jobs.name, *options, "--exit-when-empty", "--", sys.executable, "-c", script)
        assert (code, jobs.audit) == (8, {"acked": 2, "waiting": 0, "leased": 0, "dead": 2})
        assert results.values == [[1], 2]
        errors = [item["error"].partition(": ")[0] for item in items(jobs)]
        assert errors == ["its output can't be a result", "value-refused"]
        assert f"dibs: {jobs.name} 3, attempt 1: value-refused: " in err

    def test_a_text_of_line_ends_that_is_too_long_as_json(self, queue, work):
        jobs, results = queue(), queue()
        jobs.push(200_000, 2)
        script = "import sys; sys.stdout.write('\\n' * int(sys.argv[1]))"
        options = ("--results", results.name, "--max-attempts", 1, "--exit-when-empty")
        code, _, _ = work(jobs.name, *options, "--", sys.executable, "-c", script)
        assert (code, jobs.audit) == (8, {"acked": 1, "waiting": 0, "leased": 0, "dead": 1})
        assert results.values == ["\n"]

    def test_a_queue_that_takes_no_results_any_more_ends_it(self, queue, start, gate, server):
        jobs, results = queue(), queue()
        gate.make("a", "b")
        jobs.push("a", "b")
        working = start(server.url, "work", jobs.name, "--results", results.name, "--", *gate.command)
        gate.begun(1)
        results.close()
        gate.open("a")
        code, _, err = working.end()
        assert (code, jobs.audit["acked"]) == (1, 0)
        assert "does not take the result: it is closed" in err

    @pytest.mark.parametrize("where", ["/dev/full", "&-"])
    def test_what_can_not_be_shown_is_done_all_the_same(self, queue, server, tmp_path, where):
        jobs = queue()
        jobs.push("a", "b")
        script = f"echo ran >> {tmp_path}/ran; echo out"
        command = ("-m", "dibs", "work", jobs.name, "--exit-when-empty", "--", "sh", "-c", script)
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" >{where}', "sh", sys.executable, *command],
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env=environment({"DIBS_URL": server.url}),
        )
        assert (done.returncode, jobs.audit["acked"]) == (9, 2)
        assert (tmp_path / "ran").read_text() == "ran\n" * 2
        assert "dibs: not all of the output could be written: " in done.stderr

    def test_more_attempts_than_the_queue_gives_are_refused(self, queue, run, server):
        jobs = queue()
        code, _, err = run("work", jobs.name, "--url", server.url, "--max-attempts", 11, "--", "true")
        why = f"{jobs.name} gives an item 10 attempts; `dibs set {jobs.name} max_attempts=11` changes that"
        assert (code, err) == (2, f"dibs: option --max-attempts 11: {why}\n")


def test_the_server_that_was_looked_at_is_waited_for(monkeypatch, capfd):
    """It goes away between the look at the queue and the first lease, which another client asks for."""
    monkeypatch.setattr("dibs.client.flow._UNKNOWN", 0.0)
    monkeypatch.setattr("dibs.cli.http.PATIENCE", 0.3)
    monkeypatch.setattr("dibs.cli.work._look", lambda plan, create: None)
    monkeypatch.setattr(sys, "argv", ["dibs", "work", "jobs", "--url", "http://127.0.0.1:1", "--", "true"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 7
    assert (
        "dibs: waiting for the server at http://127.0.0.1:1 (Connection refused)\n" in capfd.readouterr().err
    )
