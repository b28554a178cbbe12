"""What is refused before any work is begun."""

import httpx
import pytest


class TestRefusals:
    def test_no_queue(self, work):
        assert work("nope", "--", "true") == (
            1,
            "",
            "dibs: queue-unknown: there is no queue nope; --create makes it\n",
        )

    def test_but_it_can_be_made(self, work, server):
        options = ("--create", "--results", "made-results", "--exit-when-empty")
        assert work("made", *options, "--", "true")[0] == 0
        assert httpx.get(f"{server.url}/queues/made-results").json()["source"] is None

    def test_no_server(self, run):
        code, _, err = run("work", "jobs", "--url", "http://127.0.0.1:1", "--", "true")
        assert (code, err.count("\n")) == (7, 1)
        assert "no server at http://127.0.0.1:1" in err

    def test_no_such_command(self, run, server):
        code, _, err = run("work", "jobs", "--url", server.url, "--", "dibs-no-such-command")
        assert (code, err) == (127, "dibs: can't run dibs-no-such-command: there is no such command\n")

    def test_one_that_is_no_program(self, run, server, tmp_path):
        path = tmp_path / "file"
        path.touch()
        code, _, err = run("work", "jobs", "--url", server.url, "--", path)
        assert (code, err) == (126, f"dibs: can't run {path}: it is not executable\n")

    def test_results_where_nothing_can_be_pushed(self, queue, work):
        jobs, results = queue(), queue()
        results.close()
        code, _, err = work(jobs.name, "--results", "ids", "--", "true")
        assert (code, "a source feeds that queue" in err) == (1, True)
        code, _, err = work(jobs.name, "--results", results.name, "--", "true")
        assert (code, "that queue is closed" in err) == (1, True)

    @pytest.mark.parametrize(
        "options", [("-j", 0), ("--timeout", 0), ("--ttl", 0), ("--max", 0), ("--json-results",)]
    )
    def test_wrong_options(self, run, options):
        assert run("work", "jobs", *options, "--", "true")[0] == 2

    def test_no_command(self, run):
        assert run("work", "jobs")[0] == 2
