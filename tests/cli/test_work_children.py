"""What dibs work has started is known, reaped, and gone when it is. Pipes tell of ends; races are forced."""

import errno
import os
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from functools import partial

import pytest
from dibs.cli import work_guard
from dibs.cli.work_children import Children
from dibs.cli.work_process import Busy, Process

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's signal is Linux's")
sleeper = (sys.executable, "-S", "-c", "import time; time.sleep(1000)")


@pytest.fixture
def alive():
    """The two ends of a pipe: the first reads its end when nobody has the second any more."""
    reading, writing = os.pipe()
    yield reading, writing
    for end in (reading, writing):
        with suppress(OSError):
            os.close(end)


@contextmanager
def parent(code, alive):
    """A process that runs this with ``Children`` at hand, and ``alive`` for what it starts."""
    said = f"""
import os, signal, subprocess, sys, threading, time
from functools import partial
from dibs.cli.work_children import Children, _armed
alive = {alive}
sleeper = {sleeper!r}
{code}
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", said],
        env=environment,
        pass_fds=[alive],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@linux
def test_the_kernel_ends_what_a_killed_parent_has_started(alive):
    code = """
children = Children(guarded=False)
children.start(partial(subprocess.Popen, sleeper, pass_fds=[alive]))
print("r", flush=True); time.sleep(1000)
"""
    with parent(code, alive[1]) as process:
        os.close(alive[1])
        assert process.stdout.read(1) == b"r"
        process.kill()
        assert os.read(alive[0], 1) == b""


@linux
def test_a_parent_that_died_before_the_signal_was_asked_for_is_noticed(alive):
    """As if it had: the parent that is looked for is not the one that is there."""
    code = """
arm = _armed(None)
def status(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
if (middle := os.fork()) == 0:
    if (leaf := os.fork()) == 0:
        arm()
        os._exit(0)
    os._exit(status(leaf))
print(status(middle))
if (child := os.fork()) == 0:
    arm()
    os._exit(0)
print(status(child))
"""
    with parent(code, alive[1]) as process:
        assert process.stdout.read() == b"137\n0\n"


def test_the_guard_ends_the_whole_group_also_what_does_not_want_to(alive):
    code = """
children = Children(grace=0.05)
children._arm = None  # as where the kernel has no such signal
deaf = "trap '' TERM; printf r; sleep 1000; :"
children.start(partial(subprocess.Popen, ["sh", "-c", deaf], stdout=alive))
os.close(alive)
print("r", flush=True); time.sleep(1000)
"""
    with parent(code, alive[1]) as process:
        os.close(alive[1])
        assert process.stdout.read(1) == b"r"
        assert os.read(alive[0], 1) == b"r"
        process.kill()
        assert os.read(alive[0], 1) == b""


@linux
def test_the_guard_knows_what_a_parent_started_that_died_before_it_could_tell(alive):
    code = """
children = Children(grace=0.05)
children._tell = lambda line: None
children.start(partial(subprocess.Popen, ["sh", "-c", "printf r; sleep 1000; :"], stdout=alive))
os.close(alive)
time.sleep(1000)
"""
    with parent(code, alive[1]) as process:
        os.close(alive[1])
        assert os.read(alive[0], 1) == b"r"
        process.kill()
        assert os.read(alive[0], 1) == b""


def test_the_guard_leaves_alone_what_has_ended():
    assert work_guard.left_of(["+5\n", "+6\n", "-5\n", "+7\n", "-7\n"]) == {6}


def test_the_guard_ends_with_the_work():
    with Children() as children:
        guard = children._guard
        assert guard.poll() is None
    assert guard.returncode == 0


def test_orphans_are_reaped_and_children_are_not():
    children = Children(guarded=False)
    own = children.start(partial(subprocess.Popen, ["true"]))
    os.waitid(os.P_PID, own.pid, os.WEXITED | os.WNOWAIT)
    children.reap_orphans()
    assert children.reap(own) == 0
    orphan = os.posix_spawnp("sh", ["sh", "-c", "exit 3"], os.environ)
    os.waitid(os.P_PID, orphan, os.WEXITED | os.WNOWAIT)
    children.reap_orphans()
    with pytest.raises(ChildProcessError):
        os.waitpid(orphan, 0)
    children.reap_orphans()  # nobody is left


def test_what_is_just_being_started_is_no_orphan():
    """It has ended before its starter knows its id: whoever reaps waits until that is known."""
    children, forked, reaped = Children(guarded=False), threading.Event(), threading.Event()

    def start(**options):
        process = subprocess.Popen(["false"], **options)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        forked.set()
        assert not reaped.wait(0.05)
        return process

    def reap():
        forked.wait()
        children.reap_orphans()
        reaped.set()

    thread = threading.Thread(target=reap, daemon=True)
    thread.start()
    process = children.start(start)
    assert reaped.wait(60)
    assert children.reap(process) == 1


@pytest.mark.parametrize("lacking", [errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_system_without_room_is_busy_and_not_unable(lacking, monkeypatch):
    def popen(*words, **options):
        raise OSError(lacking, os.strerror(lacking))

    monkeypatch.setattr("dibs.cli.work_process.subprocess.Popen", popen)
    with pytest.raises(Busy, match=os.strerror(lacking)):
        Process(["true"], Children(guarded=False))
