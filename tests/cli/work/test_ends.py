"""How a job ends: by its command, by its lease."""

from dataclasses import replace

from .conftest import SECONDS, Leases, Shop, background, one


class TestEnds:
    def test_good_is_an_ack(self):
        assert one("true") == ("ack", [])

    def test_bad_is_a_nack_with_the_tail_of_stderr(self):
        assert one("sh", "-c", "echo why >&2; exit 3") == ("nack", "exit 3\nwhy")

    def test_too_long_is_a_nack(self):
        assert one("sleep", value="1000", timeout=0.05) == ("nack", "timed out after 0.05 s")

    def test_words_stdin_and_environment(self, tmp_path):
        out = tmp_path / "out"
        script = f'echo "$1 $DIBS_QUEUE $DIBS_SEQ $DIBS_ATTEMPT $DIBS_URL $(cat)" > {out}'
        one("sh", "-c", script, "sh", "{}", value={"a": "é"}, stdin=True, append=False)
        assert out.read_text() == '{"a":"é"} jobs 1 1 http://x {"a":"é"}\n'

    def test_a_value_that_no_command_takes_is_a_nack(self):
        assert one("echo", value="a\0b") == (
            "nack",
            "the value can't be the argument of a command (embedded null byte): --stdin takes any value",
        )
        end, why = one("echo", value="x" * 200_000)
        assert (end, why) == (
            "nack",
            "the value is too long for the argument of a command: --stdin takes any length",
        )

    def test_a_value_that_is_no_command_is_a_nack(self):
        end, why = one("{}", value="dibs-no-such-command")
        assert end == "nack"
        assert (
            why
            == "the value is not a command that can be run (dibs-no-such-command: No such file or directory)"
        )

    def test_a_lost_lease_ends_the_command_and_claims_nothing(self, gate):
        leases = Leases("x")
        shop = Shop(*gate.command, leases=leases)
        running = background(shop.run)
        gate.begun()
        leases.given[0].outcome = "lost"
        shop.runner.lost(leases.given[0])
        running.join(SECONDS)
        assert leases.ends == ["release"]
        assert shop.verdict == ("", 0)

    def test_a_lease_that_is_lost_while_the_command_starts_ends_it(self):
        leases = Leases("x")
        shop = Shop("sleep", "1000", leases=leases, append=False)
        filled = shop.plan.words.filled

        class Late:
            program = shop.plan.words.program

            def filled(self, value, seq):
                leases.given[0].outcome = "lost"
                shop.runner.lost(leases.given[0])
                return filled(value, seq)

        shop.runner._plan = replace(shop.plan, words=Late())
        running = background(shop.run)
        running.join(SECONDS)
        assert leases.ends == ["release"]
