"""The folder is ``app``, the package ``dibs``: installed, from the checkout, beside a user's own ``app``."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments, cwd):
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=cwd
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("target", ["standard", "editable"])
def test_a_wheel_installs_dibs_and_no_app(tmp_path, target):
    code = (
        "import sys; from hatchling.builders.wheel import WheelBuilder;"
        f"print(*WheelBuilder({str(ROOT)!r}).build(directory={str(tmp_path)!r}, versions=[{target!r}]))"
    )
    wheel = Path(run("-c", code, cwd=tmp_path).split()[-1])
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
        if target == "standard":
            assert tops == {"dibs"}
            assert {
                "dibs/__init__.py",
                "dibs/py.typed",
                "dibs/ledger/sqlite/work.sql",
                "dibs/cli/serve.py",
            } <= set(names)
        else:
            assert tops == {"_dibs.pth"}
            assert archive.read("_dibs.pth").decode().strip() == str(ROOT / ".dev")


@pytest.mark.parametrize("first", ["app", "dibs"])
def test_from_the_checkout_app_is_a_name_of_dibs(first):
    """One Client class, one module of each kind, whatever name is imported first."""
    code = (
        f"import {first}, app, dibs; from app.client import Client; from app.queue import gate;"
        "from dibs.queue import gate as same;"
        "assert app is dibs and app.Client is dibs.Client is Client and gate is same;"
        "assert gate.__name__ == gate.__spec__.name == 'dibs.queue.gate', gate.__spec__;"
        "print(dibs.__file__)"
    )
    assert Path(run("-c", code, cwd=ROOT).strip()).resolve() == ROOT / "app" / "__init__.py"


def test_the_command_runs_by_both_names():
    assert run("-m", "app", "--version", cwd=ROOT) == run("-m", "dibs", "--version", cwd=ROOT)


def test_any_asgi_server_serves_main_app_by_both_names():
    code = "import app.main, dibs.main; assert app.main is dibs.main; print(type(app.main.app).__name__)"
    assert run("-c", code, cwd=ROOT).strip() == "FastAPI"


def test_a_project_with_an_app_of_its_own_keeps_it(tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("mine = True\n")
    code = "import app; from dibs import Client; assert app.mine and not hasattr(app, 'Client')"
    run("-c", code, cwd=tmp_path)
    assert "Usage" in run("-m", "dibs", "--help", cwd=tmp_path)
