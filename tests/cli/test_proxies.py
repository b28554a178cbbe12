"""The recipes for nginx and Caddy, run as they stand but for addresses and files: a proxy spoils nothing."""

import json
import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

import httpx
import pytest
from dibs import Client
from dibs.proof.server import free_port
from dibs.queue.limits import Limits

pytestmark = pytest.mark.slow
DEPLOY = Path(__file__).parents[2] / "app" / "deploy"
SECONDS = 60
MIB = 1024 * 1024
TOKEN = "0123456789abcdef" * 4
JSON = {"Content-Type": "application/json"}
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def replaced(text, changes):
    """A recipe with a test's addresses and files in it; each must be there."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def nginx(folder, port, backend):
    text = replaced(
        (DEPLOY / "nginx.conf").read_text(),
        {
            "server 127.0.0.1:8000;": f"server 127.0.0.1:{backend};",
            "listen 443 ssl;": f"listen 127.0.0.1:{port};",
            "server_name dibs.example.com;": "server_name localhost;",
            "/etc/nginx/dibs.htpasswd": f"{folder}/htpasswd",
        },
    )
    text = re.sub(r"^\s*ssl_certificate.*\n", "", text, flags=re.MULTILINE)
    (folder / "htpasswd").write_text("ann:{PLAIN}secret\n")
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user}daemon off;\nworker_processes 1;\npid {folder}/pid;\nerror_log stderr;\n"
        f"events {{ worker_connections 256; }}\nhttp {{\naccess_log off;\n{temporary}{text}\n}}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy(folder, port, backend):
    hashed = subprocess.run(
        ["caddy", "hash-password", "--plaintext", "secret"], capture_output=True, text=True, check=True
    ).stdout.strip()
    text = (DEPLOY / "Caddyfile").read_text()
    text = re.sub(r"ann \$2a\$\S+", lambda _: f"ann {hashed}", text)
    text = replaced(
        text,
        {
            "127.0.0.1:8000": f"127.0.0.1:{backend}",
            "\ndibs.example.com {": f"\nhttp://localhost:{port} {{\n\tbind 127.0.0.1",
        },
    )
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n}}\n{text}")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


@pytest.fixture(params=[nginx, caddy], ids=["nginx", "caddy"])
def behind(request, serve, tmp_path):
    """A function that starts a server, and a proxy in front of it: the server, and its URL from outside."""
    name, started = request.param.__name__, []
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed (apt-get install {name})")

    def behind(**settings):
        server = serve("--queue", "default=count", "--queue", "jobs", env=settings)
        port, log = free_port(), tmp_path / "proxy.log"
        home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
        with log.open("w") as file:
            command = request.param(tmp_path, port, server.port)
            started.append(subprocess.Popen(command, stdout=file, stderr=file, env=os.environ | home))
        url, until = f"http://localhost:{port}", time.monotonic() + SECONDS
        while not answers(f"{url}/dibs/healthz"):
            assert started[0].poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        return server, url

    yield behind
    for process in started:
        process.terminate()
        process.wait(SECONDS)


def answers(url):
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def proxied(behind):
    """A server without tokens, and the URL of it behind a proxy."""
    return behind()


def test_the_recipe_spoils_nothing(proxied, run):
    server, url = proxied
    prefix = f"{url}/dibs"
    with Client(prefix) as client:  # with keys and sequences, as programs ask
        queue = client.queue("jobs")
        queue.push(range(50))
        seen = []
        for job in queue.lease(until_empty=True):
            seen.append(job.value)
            job.ack()
        assert sorted(seen) == list(range(50))
        assert [client.queue("default").next().value for _ in range(3)] == [1, 2, 3]
    assert run("next", "default", "--url", prefix)[:2] == (0, "4\n")
    with httpx.Client(timeout=SECONDS) as client:
        large = json.dumps({"items": [{"value": "x" * 250_000}] * 60})  # 15 MB
        assert 14 * MIB < len(large) < 16 * MIB
        pushed = client.post(f"{prefix}/queues/jobs/items", content=large, headers=JSON)
        assert pushed.status_code == 201
        over = client.post(f"{prefix}/queues/jobs/items", content=large * 2, headers=JSON)
        assert over.json()["type"] == "urn:dibs:problem:body-too-large"  # the word is the server's
        backup = client.get(f"{prefix}/backup")
        assert len(backup.content) == int(backup.headers["content-length"]) > 14 * MIB
    assert server.stderr == ""


def test_events_come_as_they_are_sent_and_waits_are_waited(proxied):
    server, url = proxied
    httpx.put(f"{server.url}/queues/late", json={}).raise_for_status()
    with (
        httpx.Client(timeout=SECONDS) as client,
        client.stream("GET", f"{url}/dibs/events?view=overview") as events,
    ):
        lines = events.iter_lines()
        assert next(line for line in lines if line.startswith("event:")) == "event: hello"
        assert next(line for line in lines if line.startswith("event: overview"))
    got = []
    wait = threading.Thread(
        target=lambda: got.append(
            httpx.post(f"{url}/dibs/queues/late/next?wait=20", timeout=SECONDS).json()["value"]
        )
    )
    wait.start()
    end = time.monotonic() + SECONDS
    while httpx.get(f"{server.url}/queues/late/stats").json()["waiting"] == 0:
        assert time.monotonic() < end
        time.sleep(0.02)
    httpx.post(f"{server.url}/queues/late/items", json={"items": [{"value": "now"}]}).raise_for_status()
    wait.join(SECONDS)
    assert got == ["now"]


def test_a_stream_of_items_is_pushed_as_it_comes(proxied):
    server, url = proxied
    arrived = threading.Event()

    def lines():
        for n in range(2_000):
            yield b'{"value":%d}\n' % n
        assert arrived.wait(SECONDS)
        yield b'{"value":"last"}\n'

    def look():
        end = time.monotonic() + SECONDS
        while httpx.get(f"{server.url}/queues/jobs").json()["waiting"] < 1_000 and time.monotonic() < end:
            time.sleep(0.02)
        arrived.set()

    looking = threading.Thread(target=look)
    looking.start()
    kind = {"Content-Type": "application/x-ndjson"}
    pushed = httpx.post(f"{url}/dibs/queues/jobs/items", content=lines(), headers=kind, timeout=SECONDS)
    looking.join(SECONDS)
    assert (pushed.status_code, pushed.json()["accepted"]) == (201, 2_001)


def test_who_somebody_is_is_the_proxy_s_word_alone(behind, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    _, url = behind(DIBS_TRUSTED_PROXIES="127.0.0.1", DIBS_ADMIN_TOKEN_FILE=str(tmp_path / "token"))
    forged = {"X-Forwarded-User": "eve"}
    assert httpx.get(f"{url}/dibs/page/session", headers=forged).status_code == 401
    program = httpx.get(f"{url}/dibs/page/session", headers=forged | BEARER).json()
    assert "eve" not in program["who"]
    assert httpx.get(f"{url}/dibs-page/page/session", headers=forged).status_code == 401
    people = httpx.get(f"{url}/dibs-page/page/session", headers=forged, auth=("ann", "secret")).json()
    assert people["who"] == "user:ann"
    assert httpx.get(f"{url}/dibs-page/", auth=("ann", "secret")).text.startswith("<!doctype html>")
    assert httpx.get(f"{url}/dibs", follow_redirects=False).headers["location"].endswith("/dibs/")


def test_the_proxy_waits_longer_than_the_server():
    patience = re.search(r"proxy_read_timeout (\d+)s", (DEPLOY / "nginx.conf").read_text())
    assert int(patience[1]) > Limits().wait + 20


@pytest.fixture
def hasty(serve, tmp_path):
    """A server, and the URL of it behind an nginx that waits a second for an answer, and not for ``wait``."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed (apt-get install nginx)")
    server, port, log = serve("--queue", "jobs"), free_port(), tmp_path / "proxy.log"
    command = nginx(tmp_path, port, server.port)
    file = Path(command[-1])
    file.write_text(replaced(file.read_text(), {"proxy_read_timeout 90s": "proxy_read_timeout 1s"}))
    url, until = f"http://localhost:{port}/dibs", time.monotonic() + SECONDS
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            while not answers(f"{url}/healthz"):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.05)
            yield server, url
        finally:
            process.terminate()


def test_a_proxy_that_waits_too_short_loses_nothing(hasty):
    """Its 504 is no answer of dibs: the request is sent again, under its key, until the item is there."""
    server, url = hasty
    assert httpx.post(f"{url}/queues/jobs/next?wait=20", timeout=SECONDS).status_code == 504
    told, got = [], []

    def wait_for_two():
        with Client(url, on_wait=lambda _, why: told.append(why)) as client:
            queue = client.queue("jobs")
            got.append(queue.next(wait=20).value)
            with queue.lease(wait=20) as jobs, next(jobs) as job:
                got.append(job.value)

    waiting = threading.Thread(target=wait_for_two)
    waiting.start()
    for number in (1, 2):
        until, before = time.monotonic() + SECONDS, len(told)
        while len(told) < before + 2:  # it was cut off twice, and goes on
            assert time.monotonic() < until, told
            time.sleep(0.02)
        httpx.post(f"{server.url}/queues/jobs/items", json={"items": [{"value": number}]}).raise_for_status()
        while len(got) < number:
            assert time.monotonic() < until, told
            time.sleep(0.02)
    waiting.join(SECONDS)
    audit = httpx.get(f"{server.url}/queues/jobs/audit").json()
    assert (got, audit["taken"], audit["acked"], audit["balanced"]) == ([1, 2], 1, 1, True)
    assert {why[:8] for why in told} == {"504 with"}


def test_who_tries_tokens_is_slowed_whatever_address_it_says_it_has(behind, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    _, url = behind(DIBS_TRUSTED_PROXIES="127.0.0.1", DIBS_ADMIN_TOKEN_FILE=str(tmp_path / "token"))
    tried = [
        httpx.get(
            f"{url}/dibs/queues", headers={"Authorization": "Bearer wrong", "X-Forwarded-For": f"192.0.2.{n}"}
        ).status_code
        for n in range(30)
    ]
    assert (tried[0], 429 in tried) == (401, True)
    said = {"X-Forwarded-Proto": "https"}  # the recipe is run without TLS here
    login = httpx.post(f"{url}/dibs/page/login", json={"token": TOKEN}, headers=said)
    assert (login.status_code, "Secure" in login.headers["set-cookie"]) == (200, False)
