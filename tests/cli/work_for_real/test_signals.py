"""Ctrl-C, a supervisor, a terminal that goes, ``kill -9``."""

import os
import re
import signal
import time

from .conftest import items


class TestCtrlC:
    """Typed at the terminal, so that it reaches whatever is in its foreground."""

    def test_once_finishes_what_is_in_hand(self, queue, start, gate, server):
        jobs = queue()
        gate.make(*"abcd")
        jobs.push(*"abcd")
        working = start(server.url, "work", jobs.name, "-j", 2, "--", *gate.command, terminal=True)
        assert gate.begun(2) == ["a", "b"]
        working.type(b"\x03")
        working.until(b"dibs: finishing 2; Ctrl-C again gives them back")
        gate.open("a", "b")
        code, shown, _ = working.end()
        assert code == 130
        assert re.search(rf"{jobs.name}: 2 done in .*\r\n$", shown)
        assert jobs.audit == {"acked": 2, "waiting": 2, "leased": 0, "dead": 0}

    def test_twice_gives_it_back(self, queue, start, gate, server):
        jobs = queue()
        gate.make(*"abcd")
        jobs.push(*"abcd")
        working = start(server.url, "work", jobs.name, "-j", 2, "--", *gate.command, terminal=True)
        gate.begun(2)
        working.type(b"\x03")
        working.until(b"Ctrl-C again")
        working.type(b"\x03")
        code, shown, _ = working.end()
        assert code == 130
        assert re.search(rf"{jobs.name}: 0 done, 2 given back in .*\r\n$", shown)
        assert jobs.audit == {"acked": 0, "waiting": 4, "leased": 0, "dead": 0}
        assert {item["attempt"] for item in items(jobs)} == {0}

    def test_while_it_waits_it_ends_at_once(self, queue, start, server):
        jobs = queue()
        working = start(server.url, "work", jobs.name, "-j", 4, "--", "true", terminal=True)
        working.until(b"0 running")
        began = time.monotonic()
        working.type(b"\x03")
        assert working.end()[0] == 130
        if time.monotonic() - began >= 15:
            raise TimeoutError("it has waited for the poll, which takes 20 seconds")

    def test_a_supervisor_is_obeyed_at_once(self, queue, start, gate, server):
        jobs = queue()
        gate.make("a")
        jobs.push("a")
        working = start(server.url, "work", jobs.name, "--", *gate.command)
        gate.begun(1)
        working.process.send_signal(signal.SIGTERM)
        assert working.end()[0] == 130
        assert jobs.audit == {"acked": 0, "waiting": 1, "leased": 0, "dead": 0}


class TestUnit:
    """A supervisor ends all processes of a unit, or one of them with no chance to end the others."""

    def test_commands_that_die_before_it_is_heard_here_are_given_back(self, queue, start, server, tmp_path):
        jobs = queue()
        jobs.push("a")
        os.mkfifo(tmp_path / "pid")
        command = ("sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 1000")
        working = start(server.url, "work", jobs.name, "--", *command)
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
        working.process.send_signal(signal.SIGTERM)
        code, _, err = working.end()
        assert (code, jobs.audit) == (130, {"acked": 0, "waiting": 1, "leased": 0, "dead": 0})
        assert [(item["attempt"], item["error"]) for item in items(jobs)] == [(0, None)]
        assert "1 given back" in err

    def test_with_nohup_it_goes_on(self, queue, start, gate, server):
        jobs = queue()
        gate.make("a")
        jobs.push("a")
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what is started inherits that
        try:
            working = start(server.url, "work", jobs.name, "--max", 1, "--", *gate.command)
        finally:
            signal.signal(signal.SIGHUP, before)
        gate.begun(1)
        working.process.send_signal(signal.SIGHUP)
        gate.open("a")
        assert (working.end()[0], jobs.audit["acked"]) == (0, 1)

    def test_kill_9_leaves_nothing_running(self, queue, start, server, tmp_path):
        jobs = queue()
        jobs.push("a")
        for name in ("alive", "ready"):
            os.mkfifo(tmp_path / name)
        script = f"exec 3> {tmp_path}/alive; echo r > {tmp_path}/ready; sleep 1000; true"
        working = start(server.url, "work", jobs.name, "--", "sh", "-c", script)
        with (tmp_path / "alive").open() as alive:
            assert (tmp_path / "ready").read_text() == "r\n"
            working.process.kill()
            assert alive.read() == ""  # neither the shell nor what it runs has it any more
