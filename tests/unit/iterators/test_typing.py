"""The decorated function keeps its parameters and its types, under ``mypy --strict`` with our settings."""

import pathlib
import subprocess
import sys

import pytest

USAGE = pathlib.Path(__file__).with_name("typed_usage.py")
ROOT = pathlib.Path(__file__).parents[3]


def test_the_types_come_out_as_promised():
    pytest.importorskip("mypy", reason="mypy is not installed for this Python")
    command = [sys.executable, "-m", "mypy", "--strict", str(USAGE)]
    checked = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
