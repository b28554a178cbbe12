"""What ``support.watchdog`` does to tests that hang, each in a run of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

LIMITS = """
import asyncio, contextlib, threading, time, pytest
from support import watchdog
watchdog.AGAIN = 0.1
watchdog.LAST = {last}
pytestmark = pytest.mark.timeout(0.2)
"""


@pytest.fixture
def ran(tmp_path):
    """A function that runs the text of a file with tests; what pytest said, and its exit code."""

    def ran(text, *options, last=60.0, **environment):
        (tmp_path / "pytest.ini").touch()
        (tmp_path / "test_it.py").write_text(LIMITS.format(last=last) + text)
        plugins = ("pytest_rerunfailures", "pytest_timeout", "support.reruns", "support.watchdog")
        words = [sys.executable, "-m", "pytest", *(f"-p{name}" for name in plugins), "-pno:cacheprovider"]
        ours = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
        run = subprocess.run(
            [*words, "-q", "-rRfEp", *options, "test_it.py"],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if name != "CI"} | ours | environment,
        )
        return run.stdout + run.stderr, run.returncode

    return ran


HANGING = """
def test_swallowed():
    with contextlib.suppress(BaseException):
        time.sleep(60)
    time.sleep(60)

def test_finally():
    async def main():
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.shield(asyncio.Event().wait())
    asyncio.run(main())

def test_a_task_that_nobody_waits_for():
    async def busy():
        while True:
            time.sleep(0.15)
            await asyncio.sleep(0)
    async def main():
        background = asyncio.create_task(busy())
        await asyncio.Event().wait()
    asyncio.run(main())

@pytest.fixture
def stuck():
    yield
    time.sleep(60)

def test_teardown(stuck):
    assert False

def test_well():
    pass
"""


def test_what_hangs_is_one_failed_test_that_ends_at_its_second_try_too(ran):
    told, _ = ran(HANGING, CI="true")
    hanging = {"swallowed", "finally", "a_task_that_nobody_waits_for"}

    def of(what):
        return set(re.findall(rf"^{what} .*::test_(\w+)", told, re.MULTILINE))

    assert of("RERUN") == hanging
    assert of("FAILED") == hanging | {"teardown"}
    assert of("ERROR") == {"teardown"}
    assert of("PASSED") == {"well"}


@pytest.mark.parametrize(
    "text",
    [
        "def test_it():\n  while True:\n    with contextlib.suppress(BaseException):\n      time.sleep(60)",
        "def test_it():\n    threading.Thread(target=time.sleep, args=(60,)).start()",
    ],
    ids=["an exception that is swallowed", "a thread that is left"],
)
def test_at_last_the_run_ends_with_a_traceback(ran, text):
    told, code = ran(text, last=0.4)
    assert code == 1
    assert "Timeout (0:00:0" in told
    assert "most recent call first" in told
