import os
import re
import subprocess
import sys
from pathlib import Path

TESTS = """
import contextlib, time, pytest
tried = set()

def again(name):
    tried.symmetric_difference_update({name})
    return name in tried

def test_refused():
    if again("refused"):
        raise ConnectionRefusedError

def test_late():
    assert_later = again("late")
    if assert_later:
        raise TimeoutError("the server does not answer")

@pytest.mark.timeout(0.2)
def test_watchdog():
    if again("watchdog"):
        time.sleep(60)

def test_assertion():
    assert not again("assertion")

def test_raises():
    with pytest.raises(ValueError) if again("raises") else contextlib.nullcontext():
        pass

def test_finally():
    try:
        assert not again("finally")
    finally:
        if "finally" in tried:
            raise TimeoutError

def test_group():
    if again("group"):
        raise ExceptionGroup("tasks", [ExceptionGroup("more", [AssertionError()])])

@pytest.fixture
def late_end():
    yield
    if "teardown" in tried:
        raise TimeoutError

def test_teardown(late_end):
    assert not again("teardown")
"""


def test_what_an_assertion_found_is_tried_again_only_where_it_is_seen_on_a_terminal(tmp_path):
    (tmp_path / "pytest.ini").touch()
    files = [tmp_path / folder / f"test_{Path(folder).name}.py" for folder in ("api", "cli", "cli/upload")]
    for file in files:
        file.parent.mkdir()
        file.write_text(TESTS)
    plugins = [f"-p{name}" for name in ("pytest_rerunfailures", "pytest_timeout", "support.reruns")]
    words = [sys.executable, "-m", "pytest", *plugins, "-pno:cacheprovider", "-rRfEp", *files]
    ours = {
        "CI": "true",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    ran = subprocess.run(
        words,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env=os.environ | ours,
    )

    def of(what, where):
        return set(re.findall(rf"^{what} {where}/test_\w+\.py::test_(\w+)", ran.stdout, re.MULTILINE))

    again, found = {"late", "refused", "watchdog"}, {"assertion", "finally", "group", "raises", "teardown"}
    for where in ("api", "cli/upload"):
        assert of("RERUN", where) == of("PASSED", where) == again
        assert of("FAILED", where) == found
        assert of("ERROR", where) == {"teardown"}
    assert of("RERUN", "cli") == of("PASSED", "cli") == again | found
    assert of("FAILED", "cli") == of("ERROR", "cli") == set()
