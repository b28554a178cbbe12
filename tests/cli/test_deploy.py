"""What is deployed beside the package: the health check of the image, the unit of systemd."""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from dibs.proof.server import free_port

ROOT = Path(__file__).parents[2]
HAPROXY = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")


def health_check(port):
    """The command of the Dockerfile, which a container's engine runs."""
    found = re.search(r"^HEALTHCHECK .*\\\n\s+CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    command = [part.replace("/8000", f"/{port}") for part in json.loads(found[1])]
    assert str(port) in command[-1]
    return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_health_check_of_the_image(serve, run, tmp_path):
    server = serve("--port", free_port())  # nobody else is there when it has ended
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
    verified = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    told = [line for line in verified.stderr.splitlines() if "dibs.service" in line]
    assert told == []


@pytest.fixture
def balance(tmp_path):
    """Run the recipe for haproxy before two addresses; its URL."""
    started = []

    def balance(first, second):
        port = free_port()
        text = (ROOT / "app" / "deploy" / "haproxy.cfg").read_text()
        changes = {
            "bind :8000": f"bind 127.0.0.1:{port}",
            "server-1:8000": f"127.0.0.1:{first}",
            "server-2:8000": f"127.0.0.1:{second}",
            "    server server-3 server-3:8000\n": "",
        }
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "haproxy.cfg").write_text(text)
        command = [HAPROXY, "-db", "-f", str(tmp_path / "haproxy.cfg")]
        with (tmp_path / "haproxy.log").open("wb") as log:
            started.append(subprocess.Popen(command, stdout=log, stderr=log))
        return f"http://127.0.0.1:{port}"

    yield balance
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")
def test_haproxy_asks_only_servers_that_are_ready(serve, run, balance, tmp_path):
    well = serve()
    run("backup", "--to", tmp_path / "to", "--url", well.url)
    (backup,) = (tmp_path / "to").iterdir()
    run("restore", backup, tmp_path / "restored")
    held = serve("--data", tmp_path / "restored")  # alive, and hands nothing out
    assert httpx.get(f"{held.url}/readyz").status_code == 503
    url = balance(held.port, well.port)
    until(lambda: "server-1 is DOWN" in (tmp_path / "haproxy.log").read_text())
    with httpx.Client(base_url=url) as client:
        assert [client.post("/next").json()["seq"] for _ in range(20)] == list(range(1, 21))
        assert client.put("/queues/jobs", json={"source": None}).status_code == 201
        assert client.post("/queues/jobs/lease", json={"ttl": 9, "wait": 3}, timeout=60).status_code == 204
    well.close()
    refused = until(lambda: answer if (answer := httpx.post(f"{url}/next")).status_code == 503 else None)
    assert (
        "urn:dibs:problem" not in refused.text
    )  # haproxy's own: whether anything happened, it does not know


def until(found, seconds=60):
    """What is found in the end."""
    over = time.monotonic() + seconds
    while not (one := found()):
        assert time.monotonic() < over
        time.sleep(0.05)
    return one


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize("name", ["standby.sh", "unsteady.sh"])
def test_the_scripts_can_be_read_by_bash(name):
    script = ROOT / "app" / "deploy" / name
    assert subprocess.run(["bash", "-n", script], check=False, capture_output=True).stderr == b""


@pytest.mark.parametrize(
    "name", ["nginx.conf", "Caddyfile", "dibs.service", "haproxy.cfg", "standby.sh", "unsteady.sh"]
)
def test_the_manual_names_each_file(name):
    manual = (ROOT / "app" / "MANUAL.md").read_text(encoding="utf-8")
    assert (ROOT / "app" / "deploy" / name).is_file()
    assert f"(deploy/{name})" in manual
