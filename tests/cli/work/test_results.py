"""What a command prints: a result, or lines to be shown; and how often a job that failed is tried."""

from collections import deque

import pytest
from dibs.cli.work_job import RESULT_BYTES
from dibs.cli.work_plan import Retries

from .conftest import Job, Leases, Shop, one


class TestResults:
    def test_text_without_its_last_line_end(self):
        assert one("echo", results="done") == ("ack", [("done", "x")])
        assert one("printf", "a\\n\\n", results="done", append=False) == ("ack", [("done", "a\n")])

    def test_nothing_is_a_result(self):
        assert one("true", results="done") == ("ack", [("done", "")])

    def test_json(self):
        end = one("echo", '{"a": [1.5]}', results="done", json_results=True, append=False)
        assert end == ("ack", [("done", {"a": [1.5]})])

    @pytest.mark.parametrize("written", ["", "{", "NaN", "1 2"])
    def test_what_is_not_json_is_a_nack(self, written):
        end, why = one("echo", written, results="done", json_results=True, append=False)
        assert (end, why.partition(": ")[0]) == ("nack", "its output can't be a result")

    @pytest.mark.parametrize("written", ["1e400", '"\\ud800"', "[" * 100_000, "9" * 5000])
    def test_what_json_can_not_carry_is_a_nack(self, written):
        end, why = one("echo", written, results="done", json_results=True, append=False)
        assert (end, why.startswith("its output ")) == ("nack", True)

    def test_what_the_server_refuses_has_failed_after_all(self):
        shop = Shop("true", leases=Leases("a"), results="done").run()
        assert shop.runner.refused(shop.leases.given[0], ValueError("too large")) == {"delay": None}
        assert shop.verdict == ("", 8)

    def test_what_is_not_text_is_a_nack(self):
        assert one("printf", "\\377", results="done", append=False) == (
            "nack",
            "its output can't be a result: it is not UTF-8",
        )

    def test_what_is_too_much_is_a_nack(self):
        script = f"head -c {RESULT_BYTES + 1} /dev/zero | tr '\\\\0' x"
        assert one("sh", "-c", script, results="done", append=False) == (
            "nack",
            "its output can't be a result: it is over 262,144 bytes",
        )

    def test_a_failure_has_none(self):
        assert one("sh", "-c", "echo x; exit 1", results="done")[0] == "nack"


class TestOutput:
    def test_passed_on_in_one_piece(self, capfd):
        Shop("sh", "-c", 'echo "out $1"; echo "err $1" >&2', "sh", leases=Leases(*"abcdef"), hands=3).run()
        out, err = capfd.readouterr()
        assert sorted(out.splitlines()) == [f"out {value}" for value in "abcdef"]
        assert sorted(err.splitlines()) == [f"err {value}" for value in "abcdef"]

    def test_results_are_not_shown_too(self, capfd):
        one("echo", results="done")
        assert capfd.readouterr() == ("", "")

    def test_failures_are_told(self, capfd):
        one("sh", "-c", "echo why >&2; exit 3")
        assert capfd.readouterr().err == "why\ndibs: jobs 1, attempt 1: exit 3\n"


class TestRetries:
    def test_an_exit_code_that_says_never_again(self):
        assert one("sh", "-c", "echo why >&2; exit 65", retries=Retries(never=frozenset({65, 66}))) == (
            "dead",
            "exit 65\nwhy",
        )
        assert one("sh", "-c", "exit 64", retries=Retries(never=frozenset({65}))) == ("nack", "exit 64")

    def test_the_last_attempt(self):
        leases = Leases()
        leases.jobs = deque([Job(1, "x", attempt=1), Job(2, "x", attempt=2), Job(3, "x", attempt=3)])
        Shop("false", leases=leases, retries=Retries(most=2)).run()
        assert leases.ends == ["nack", "dead", "dead"]

    def test_the_delay_is_doubled(self):
        retries = Retries(backoff=0.5)
        assert [retries.delay(attempt) for attempt in (1, 2, 3, 14, 10_000)] == [
            0.5,
            1.0,
            2.0,
            3600.0,
            3600.0,
        ]
        assert Retries(backoff=5000.0).delay(3) == 5000.0
        assert one("false", retries=Retries(backoff=0.5)) == ("nack", "exit 1", 0.5)
        assert Retries().delay(3) is None

    def test_failures_in_a_row_end_the_work(self):
        leases = Leases("1", "0", "1", "1", "0", "0")
        shop = Shop("sh", "-c", "exit $1", "sh", leases=leases, retries=Retries(halt=2)).run()
        assert leases.ends == ["nack", "ack", "nack", "nack"]
        assert shop.verdict == ("halted, as 2 jobs in a row have failed", 8)

    def test_values_that_are_no_arguments_count_too(self):
        shop = Shop("echo", leases=Leases("a\0", "b"), retries=Retries(halt=1)).run()
        assert (shop.leases.ends, shop.verdict) == (["nack"], ("halted, as 1 job has failed", 8))
