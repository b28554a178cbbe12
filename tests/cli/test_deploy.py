"""What is deployed beside the package: the health check of the image, the unit of systemd."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def health_check(port):
    """The command of the Dockerfile, which a container's engine runs."""
    found = re.search(r"^HEALTHCHECK .*\\\n\s+CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    command = [part.replace("/8000", f"/{port}") for part in json.loads(found[1])]
    assert str(port) in command[-1]
    return subprocess.run(command, check=False, capture_output=True, timeout=20).returncode


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_health_check_of_the_image(serve, run, tmp_path):
    server = serve()
    assert health_check(server.port) == 0
    run("backup", "--to", tmp_path / "to", "--url", server.url)
    server.close()
    assert health_check(server.port) != 0
    (backup,) = (tmp_path / "to").iterdir()
    run("restore", backup, tmp_path / "restored")
    held = serve("--data", tmp_path / "restored")  # alive, and hands nothing out
    assert health_check(held.port) != 0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_unit_of_systemd(tmp_path):
    unit = (ROOT / "app" / "deploy" / "dibs.service").read_text()
    (tmp_path / "dibs").write_text("#!/bin/sh\n")
    (tmp_path / "dibs").chmod(0o755)
    (tmp_path / "dibs.service").write_text(unit.replace("/opt/dibs/bin/dibs", str(tmp_path / "dibs")))
    command = ["systemd-analyze", "verify", "--recursive-errors=no", str(tmp_path / "dibs.service")]
    verified = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    told = [line for line in verified.stderr.splitlines() if "dibs.service" in line]
    assert told == []


@pytest.mark.parametrize("name", ["nginx.conf", "Caddyfile", "dibs.service"])
def test_the_manual_names_each_file(name):
    manual = (ROOT / "app" / "MANUAL.md").read_text(encoding="utf-8")
    assert (ROOT / "app" / "deploy" / name).is_file()
    assert f"(deploy/{name})" in manual
