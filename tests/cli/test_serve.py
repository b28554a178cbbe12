"""dibs serve: start, serve, end; and every reason not to start, as a sentence and an exit code."""

import contextlib
import json
import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import SECONDS

JSON = {"Content-Type": "application/json"}


def post(url, path="/next", **options):
    return httpx.post(url + path, timeout=SECONDS, **options)


def test_it_says_where_it_is_and_serves(serve, tmp_path):
    server = serve()
    data = tmp_path / "dibs-data"
    assert server.line == f"dibs: serving {server.url} data={data} queues=default (new)\n"
    assert [post(server.url).json()["value"] for _ in range(2)] == [1, 2]
    assert (tmp_path / "dibs-data").is_dir()


def test_a_signal_ends_it_with_0_and_after_a_kill_too_it_goes_on_where_it_was(serve):
    for seq, (number, code) in enumerate([(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, -9)], 1):
        server = serve()
        assert post(server.url).json()["seq"] == seq
        assert (server.end(number), server.stderr) == (code, "")
    assert post(serve().url).json()["seq"] == 4


def test_queues_from_options_and_from_the_file(serve, tmp_path):
    (tmp_path / "dibs.toml").write_text('[queues]\na = "count(start=5)"\n')
    server = serve("--queue", "b=range(3)")
    assert server.line.endswith("queues=a (new), b (new)\n")
    assert post(server.url, "/queues/a/next").json()["value"] == 5
    assert post(server.url, "/queues/b/next").json()["value"] == 0
    answer = post(server.url)
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:dibs:problem:queue-unknown")


def test_memory_leaves_nothing_behind(serve, tmp_path):
    server = serve("--data", ":memory:")
    assert post(server.url).json()["seq"] == 1
    assert server.end() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["stderr.txt"]


def test_the_users_own_generator(serve, tmp_path):
    (tmp_path / "mine.py").write_text("def generate(n):\n    yield from ['x'] * n\n")
    server = serve(
        "--queue",
        "own=mine:generate(n=2)",
        env={"PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}"},
    )
    assert post(server.url, "/queues/own/next?count=5").json()["items"] == [
        {"seq": 1, "value": "x"},
        {"seq": 2, "value": "x"},
    ]


SEARCH = """
import os
from dibs import threadsafe_generator

@threadsafe_generator(resume="anew")
def search():
    yield from [os.getpid()] * 9

def replayed():
    yield from [os.getpid()] * 9
"""


def test_a_generator_whose_values_need_not_repeat_goes_on_after_a_kill(serve, tmp_path):
    (tmp_path / "mine.py").write_text(SEARCH)
    (tmp_path / "dibs.toml").write_text('[queues]\nold = "mine:replayed"\n')
    options = ("--queue", "own=mine:search")
    seen = []
    for _ in range(2):
        server = serve(*options)
        items = post(server.url, "/queues/own/next?count=2&wait=10").json()["items"]
        seen += [(item["seq"], item["value"] == server.process.pid) for item in items]
        replayed = post(server.url, "/queues/old/next?count=2&wait=10")
        server.end(signal.SIGKILL)
    assert seen == [(1, True), (2, True), (3, True), (4, True)]
    assert replayed.status_code == 409  # the other one gives other values, and does not say so
    detail = replayed.json()["detail"]
    assert "source-changed" in detail
    assert '@threadsafe_generator(resume="anew")' in detail
    assert not re.search(r"[0-9a-f]{32}", detail)
    (tmp_path / "mine.py").write_text(
        SEARCH.replace("def replayed", '@threadsafe_generator(resume="anew")\ndef replayed')
    )
    server = serve(*options)
    assert post(server.url, "/queues/old/retry").status_code == 200
    assert post(server.url, "/queues/old/next?wait=10").json()["seq"] == 3


def test_the_environment_does_not_make_it_several(serve):
    server = serve(env={"WEB_CONCURRENCY": "4"})
    assert [post(server.url).json()["seq"] for _ in range(4)] == [1, 2, 3, 4]


def test_beyond_loopback_when_it_is_meant(serve):
    server = serve("--host", "0.0.0.0", "--allow-anonymous")
    assert post(server.url).json()["seq"] == 1


class TestEnd:
    def test_a_signal_that_was_ignored_at_the_start_stays_ignored(self, serve):
        """As a shell starts what stands before ``&`` in a script."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            server = serve()
        finally:
            signal.signal(signal.SIGINT, before)
        server.process.send_signal(signal.SIGINT)
        assert post(server.url).json()["seq"] == 1
        assert server.end() == 0

    def test_who_waits_is_answered_at_once(self, serve):
        server = serve()
        post(server.url, "/queues/default/pause")
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(post(server.url, "/next?wait=30")))
        waiting.start()
        while not httpx.get(f"{server.url}/queues/default/stats").json()["waiting"]:
            pass
        assert server.end() == 0
        waiting.join()
        assert answers[0].json()["type"] == "urn:dibs:problem:stopping"
        assert answers[0].headers["retry-after"] == "1"

    def test_what_is_in_flight_is_answered_and_on_disk(self, serve):
        server = serve()
        got, begun = [], threading.Barrier(5, timeout=SECONDS)

        def take():
            with httpx.Client() as client:
                begun.wait()
                while True:
                    try:
                        answer = client.post(f"{server.url}/next?count=10", timeout=SECONDS)
                    except httpx.TransportError:
                        return
                    if answer.status_code != 200:
                        return
                    got.extend(item["value"] for item in answer.json()["items"])

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        begun.wait()
        while len(got) < 200:
            time.sleep(0.005)
        assert server.end() == 0
        for thread in threads:
            thread.join()
        assert len(set(got)) == len(got)
        assert post(serve().url).json()["value"] > max(got)

    def test_an_idle_connection_does_not_keep_it(self, serve):
        server = serve()
        with httpx.Client() as client:
            client.post(f"{server.url}/next")
            assert server.end() == 0

    def test_half_a_request_does_not_keep_it(self, serve):
        server = serve()
        with socket.create_connection(("127.0.0.1", server.port)) as half:
            half.sendall(b"PUT /queues/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n")
            assert server.end() == 0


def chunks_until_closed(connection, most=256):
    """How many chunks of 64 KiB are taken before the other side has had enough."""
    for sent in range(most):
        try:
            connection.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        except OSError:
            return sent
    return most


class TestWire:
    """What only a real server shows."""

    def talk(self, server, raw):
        with socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as connection:
            connection.sendall(raw)
            got = b""
            while chunk := connection.recv(65_536):
                got += chunk
        head, _, body = got.partition(b"\r\n\r\n")
        return head.decode().splitlines(), body

    @pytest.mark.parametrize(
        "raw",
        [
            b"nonsense\r\n\r\n",
            b"POST /next HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            b"POST /next HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
            b"POST /next HTTP/1.1\r\nHost: localhost\r\nBad Header: x\r\n\r\n",
            b"POST /n\xc3\xbcxt HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ],
    )
    def test_what_is_not_http_is_a_problem_too(self, server, raw):
        head, body = self.talk(server, raw)
        assert head[0] == "HTTP/1.1 400 Bad Request"
        assert "content-type: application/problem+json" in head
        assert "cache-control: no-store" in head
        assert json.loads(body)["type"] == "urn:dibs:problem:malformed"

    @pytest.mark.parametrize("piece", [b"X-Many: " + b"x" * 1000 + b"\r\n", b"x" * 1000])
    def test_headers_without_end_are_not_kept_without_end(self, server, piece):
        with socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as connection:
            connection.sendall(b"POST /next HTTP/1.1\r\nHost: localhost\r\nX-Long: x\r\n")
            with contextlib.suppress(OSError):
                for _ in range(10_000):
                    connection.sendall(piece)
            with contextlib.suppress(OSError):
                assert connection.recv(100).startswith(b"HTTP/1.1 431 ")

    def test_many_requests_in_one_breath_are_not_one_long_one(self, server):
        one = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Padding: " + b"x" * 1000
        raw = (one + b"\r\n\r\n") * 200 + one + b"\r\nConnection: close\r\n\r\n"
        head, body = self.talk(server, raw)
        assert head[0] == "HTTP/1.1 200 OK"
        assert body.count(b"HTTP/1.1 200 OK") == 200

    def test_an_upgrade_is_not_offered(self, server):
        raw = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\n"
        raw += b"Upgrade: websocket\r\n\r\n"
        assert self.talk(server, raw)[0][0] == "HTTP/1.1 200 OK"

    def test_a_large_body_is_refused_and_the_answer_is_read(self, server):
        for body in (b"x" * 3_000_000, (b"x" * 100_000 for _ in range(30))):
            answer = httpx.put(f"{server.url}/queues/a", content=body, headers=JSON)
            assert (answer.status_code, answer.json()["limit"]) == (413, 1024 * 1024)

    def test_a_body_without_end_is_not_read_without_end(self, server):
        head = b"PUT /queues/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as connection:
            connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
            assert chunks_until_closed(connection) < 256

    def test_head_hands_out_nothing(self, server):
        raw = b"HEAD /next HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        head, body = self.talk(server, raw)
        assert (head[0], body) == ("HTTP/1.1 405 Method Not Allowed", b"")

    def test_nothing_tells_what_serves_it(self, server):
        assert "server" not in httpx.get(f"{server.url}/healthz").headers
