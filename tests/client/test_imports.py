"""Who uses the client needs httpx, and who shares an iterator needs nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

BLOCKED = """
import sys

before = set(sys.modules)
ALLOWED = {allowed!r}

class Wall:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in ALLOWED and top not in sys.stdlib_module_names:
            raise ImportError(f"{{name}} is not installed here")

sys.meta_path.insert(0, Wall())
{code}
loaded = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(sorted(loaded - set(sys.stdlib_module_names)))
print(sorted(name for name in sys.modules if name.startswith("dibs.") and name.count(".") == 1))
"""

HTTPX = {"dibs", "httpx", "httpcore", "h11", "anyio", "idna", "certifi", "sniffio", "typing_extensions"}


def run(code, allowed):
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED.format(code=code, allowed=allowed)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": str(ROOT / ".dev"), "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "code",
    [
        "from dibs.client import Client, AsyncClient; Client().close()",
        "from dibs import Client, AsyncClient; Client().close()",
        "import dibs; dibs.Client; dibs.AsyncClient",
    ],
)
def test_the_client_needs_httpx_and_nothing_else(code):
    out = run(code, HTTPX)
    assert "'dibs.client', 'dibs.errors', 'dibs.inert', 'dibs.iterators'" in out


def test_sharing_an_iterator_needs_nothing():
    out = run("import dibs; dibs.threadsafe_iter([]); 'Client' in dir(dibs) or exit(1)", {"dibs"})
    assert out.splitlines()[0] == "['dibs']"


def test_there_is_nothing_else():
    out = run(
        "import dibs\ntry: dibs.Cliant\nexcept AttributeError as error: print(error)\nelse: exit(1)", {"dibs"}
    )
    assert "has no attribute 'Cliant'" in out
