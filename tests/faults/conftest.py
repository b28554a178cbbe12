"""Scripts of the harness, each in a process of its own: a disk that fails belongs to a whole process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HARNESS = Path(__file__).parent / "harness"


def _environment():
    """Ours without settings of dibs, and with the harness's functions as sources."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DIBS_")}
    return kept | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(HARNESS)))}


@pytest.fixture
def harness():
    """A function that runs a script of the harness to its end."""

    def harness(script, *arguments, seconds=1800):
        return subprocess.run(
            [sys.executable, str(HARNESS / script), *map(str, arguments)],
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds,
            env=_environment(),
        )

    return harness
