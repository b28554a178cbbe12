"""Commands as processes: how they end, what they leave, and that nothing of them outlives its end.

A command tells that it is ready by writing into a pipe that the test reads, so nothing waits for luck.
"""

import io
import os
import signal
import sys
import threading
from contextlib import contextmanager

import pytest
from dibs.cli.work_children import Children
from dibs.cli.work_process import ERROR_BYTES, CannotStart, End, Process, Unfit, error_text

LONG = 1000
CHILDREN = Children(guarded=False)


def run(*words, **options):
    """(how it ended, stdout, stderr)"""
    with Process(words, CHILDREN, **options) as process:
        end = process.wait()
        for file in (process.out, process.err):
            file.seek(0)
        return end, process.out.read(), process.err.read()


def python(code):
    return [sys.executable, "-c", code]


@contextmanager
def ready(code, **options):
    """A process that has come to its ``ready()``; and the end of the pipe on which it, and its kin, live."""
    path = f"/tmp/dibs-test-{os.getpid()}-{threading.get_ident()}"
    os.mkfifo(path)
    try:
        said = f"""
import os, signal, sys, time, subprocess
alive = open({path!r}, "wb", buffering=0)
def ready():
    alive.write(b"r")
{code}
"""
        with Process(python(said), CHILDREN, **options) as process, open(path, "rb", buffering=0) as alive:
            assert alive.read(1) == b"r"
            yield process, alive
    finally:
        os.unlink(path)


class TestEnds:
    def test_good(self):
        assert run("true") == (End(""), b"", b"")
        assert End("").good

    def test_an_exit_code(self):
        end, _, _ = run("sh", "-c", "exit 3")
        assert (end.why, end.good) == ("exit 3", False)

    @pytest.mark.parametrize("name", ["KILL", "TERM", "SEGV"])
    def test_a_signal(self, name):
        assert run("sh", "-c", f"kill -{name} $$")[0].why == f"killed by SIG{name}"

    def test_a_signal_without_a_name(self):
        number = signal.SIGRTMIN + 1
        assert run("sh", "-c", f"kill -{number} $$")[0].why == f"killed by signal {number}"

    def test_what_it_wrote(self):
        assert run("sh", "-c", "echo out; echo err >&2") == (End(""), b"out\n", b"err\n")

    def test_more_than_any_pipe_holds_in_and_out(self):
        much = b"x" * 1_000_000
        assert run("cat", stdin=much)[1] == much

    def test_what_is_not_read_is_no_error(self):
        assert run("true", stdin=b"x" * 1_000_000)[0].good

    def test_stdin_is_empty_otherwise(self):
        assert run("cat") == (End(""), b"", b"")

    def test_the_environment(self):
        assert run("sh", "-c", "echo $DIBS_SEQ", env={**os.environ, "DIBS_SEQ": "7"})[1] == b"7\n"

    def test_it_has_a_session_of_its_own(self):
        code = "import os; print(os.getsid(0) == os.getpgrp() == os.getpid())"
        assert run(*python(code))[1] == b"True\n"


class TestEnding:
    def test_what_takes_too_long(self):
        end, _, _ = run("sleep", LONG_TEXT, timeout=0.05)
        assert end.why == "timed out after 0.05 s"

    def test_what_is_done_in_time(self):
        with Process(["true"], CHILDREN, timeout=LONG) as process:
            assert process.wait().good
        timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
        assert [timer for timer in timers if not timer.finished.is_set()] == []

    def test_sigterm_comes_first_so_that_it_can_tidy_up(self):
        code = """
def tidy(*_):
    print("tidied"); sys.exit(0)
signal.signal(signal.SIGTERM, tidy)
ready(); time.sleep(1000)
"""
        with ready(code) as (process, _):
            process.end("because")
            assert process.wait() == End("because")
            process.out.seek(0)
            assert process.out.read() == b"tidied\n"

    def test_sigkill_where_that_is_not_heard(self):
        code = "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready(); time.sleep(1000)"
        with ready(code, grace=0.05) as (process, _):
            process.end("because")
            assert process.wait() == End("because")

    def test_what_it_has_started_ends_with_it(self):
        code = """
deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN); os.write(%d, b'r'); time.sleep(1000)" % alive.fileno()
subprocess.Popen([sys.executable, "-c", "import os, signal, time; " + deaf], pass_fds=[alive.fileno()])
time.sleep(1000)
"""
        with ready(code) as (process, alive):
            process.end("because")
            process.wait()
            assert alive.read() == b""  # nobody has it any more

    def test_what_is_in_the_background_does_not_keep_it_from_ending(self):
        code = """
subprocess.Popen(["sleep", "1000"], pass_fds=[alive.fileno()])
ready()
"""
        with ready(code) as (process, alive):
            assert process.wait().good
            os.killpg(process._process.pid, signal.SIGKILL)  # it lives on, as with a shell
            assert alive.read() == b""

    def test_the_first_reason_counts(self):
        with ready("ready(); time.sleep(1000)") as (process, _):
            process.end("first")
            process.end("second")
            assert process.wait() == End("first")

    def test_what_has_ended_is_left_alone(self):
        with Process(["true"], CHILDREN) as process:
            process.wait()
            process.end("late")
            assert process.wait().good

    def test_leaving_the_with_ends_it(self):
        with ready("ready(); time.sleep(1000)") as (process, _):
            pass
        assert process._process.returncode == -signal.SIGTERM


LONG_TEXT = str(LONG)


class TestStarting:
    def test_no_such_command(self):
        with pytest.raises(CannotStart, match=r"^dibs-no-such-command: No such file or directory$") as error:
            Process(["dibs-no-such-command"], CHILDREN)
        assert error.value.missing

    def test_one_that_is_not_executable(self, tmp_path):
        path = tmp_path / "file"
        path.touch()
        with pytest.raises(CannotStart, match="Permission denied") as error:
            Process([str(path)], CHILDREN)
        assert not error.value.missing

    def test_one_that_is_no_program(self, tmp_path):
        path = tmp_path / "file"
        path.write_bytes(b"\x7fnonsense")
        path.chmod(0o755)
        with pytest.raises(CannotStart, match="Exec format error"):
            Process([str(path)], CHILDREN)

    def test_a_nul(self):
        with pytest.raises(Unfit, match="--stdin takes any value"):
            Process(["echo", "a\0b"], CHILDREN)

    def test_too_long(self):
        with pytest.raises(Unfit, match="--stdin takes any length"):
            Process(["echo", "x" * 10_000_000], CHILDREN)

    @pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="Linux tells what is open there")
    def test_nothing_stays_open_of_what_was_not_started(self):
        before = os.listdir("/proc/self/fd")
        with pytest.raises(CannotStart):
            Process(["dibs-no-such-command"], CHILDREN, stdin=b"x")
        assert os.listdir("/proc/self/fd") == before


class TestErrorText:
    def test_why_and_what_it_said(self):
        assert error_text("exit 3", io.BytesIO(b"\nno such file\n")) == "exit 3\nno such file"

    def test_nothing_said(self):
        assert error_text("exit 3", io.BytesIO()) == "exit 3"

    @pytest.mark.parametrize(
        "said", [b"x" * 100_000, b"\xff" * 100_000, "é".encode() * 50_000, "x€".encode() * 9999]
    )
    def test_the_tail_and_never_more_than_the_server_takes(self, said):
        text = error_text("exit 3", io.BytesIO(said + b"the end"))
        assert text.startswith("exit 3\n")
        assert text.endswith("the end")
        assert ERROR_BYTES - 4 <= len(text.encode()) <= ERROR_BYTES

    def test_what_is_not_text_does_no_harm(self):
        assert error_text("exit 3", io.BytesIO(b"a\0\xffb")) == "exit 3\na\ufffd\ufffdb"
