"""Kills and signals: what was answered stands, what was not is drawn again."""

import re
import signal
import socket
import subprocess
import sys
import threading

import httpx
import pytest

pytestmark = pytest.mark.slow


def dibs(*arguments, cwd, timeout=120):
    return subprocess.run(
        [sys.executable, "-m", "dibs", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.timeout(180)
def test_three_rounds_of_chaos(tmp_path, monkeypatch):
    """SIGKILL at random moments. Fifty rounds: ``dibs loadtest --chaos --rounds 50``."""
    monkeypatch.setenv("PYTHONPATH", str(__file__).rsplit("/tests/", 1)[0])
    history = tmp_path / "h.jsonl"
    ended = dibs("loadtest", "--chaos", "--rounds", 3, "--clients", 8, "--history", history, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "clean" in ended.stdout
    assert dibs("verify", history, cwd=tmp_path).returncode == 0
    for damage in ("duplicate", "skip", "reorder"):
        assert dibs("verify", history, "--plant", damage, cwd=tmp_path).returncode == 1, damage


def test_a_kill_under_load_takes_back_nothing(serve, load):
    server = serve()
    asking = load(server)
    asking.until(300)
    server.kill()
    asking.end()
    assert len(set(asking.answers)) == len(asking.answers)
    again = serve()
    assert again.post().json()["seq"] > max(asking.answers)
    audit = again.audit()
    assert audit["balanced"]
    # Beyond what was answered, at most what was in flight was spent: one for each of the eight clients.
    assert len(asking.answers) < audit["cursor"] <= len(asking.answers) + 8 + 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_under_load_answers_what_is_in_flight(serve, load, number):
    server = serve()
    asking = load(server)
    asking.until(200)
    assert server.stop(number) == 0
    asking.end()
    assert all(problem["handed_out"] == "no" for problem in asking.refused)
    cursor = serve().audit()["cursor"]
    assert sorted(asking.answers) == list(range(1, cursor + 1))  # answered, all of it, or not handed out


def test_a_signal_wakes_those_that_wait_and_a_settling_says_what_it_settled(serve):
    server = serve()
    httpx.put(server.url + "/queues/q", json={}, timeout=60).raise_for_status()
    server.post("/queues/q/items", json={"items": [{"value": "x"}]}).raise_for_status()
    token = server.post("/queues/q/lease", json={}).json()["token"]
    requests = {
        "take": ("/queues/q/next?wait=30", None),
        "lease": ("/queues/q/lease", {"wait": 30}),
        "settle": ("/queues/q/settle", {"acks": [{"token": token}], "lease": {"wait": 30}}),
    }
    replies = {}

    def ask(name):
        path, body = requests[name]
        replies[name] = server.post(path, key=name, json=body, timeout=60)

    threads = [threading.Thread(target=ask, args=(name,)) for name in requests]
    for thread in threads:
        thread.start()
    while server.get("/stats").json()["waiting"] < len(requests):
        pass
    assert server.stop() == 0
    for thread in threads:
        thread.join()
    for name in ("take", "lease"):
        problem = replies[name].json()
        assert (replies[name].status_code, problem["type"]) == (503, "urn:dibs:problem:stopping")
        assert problem["handed_out"] == "no"
    settled = replies["settle"]
    assert (settled.status_code, settled.json()["acks"][0][0]["outcome"]) == (200, "acked")
    again = serve()  # it was filed before the signal came
    assert again.audit("q")["acked"] == 1
    path, body = requests["settle"]
    repeat = again.post(path, key="settle", json=body | {"lease": {"wait": 0}})
    assert repeat.json()["acks"] == settled.json()["acks"]


def test_a_client_that_is_gone_before_its_reply(serve):
    server = serve()
    for number in range(20):
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(
                f"POST /next HTTP/1.1\r\nHost: localhost:{server.port}\r\nIdempotency-Key: k{number}\r\n"
                "Content-Length: 0\r\n\r\n".encode()
            )
    firsts = [server.post(key=f"k{number}").json()["seq"] for number in range(20)]
    assert sorted(firsts) == list(range(1, 21))
    assert [server.post(key=f"k{number}").json()["seq"] for number in range(20)] == firsts
    assert server.post().json()["seq"] == 21


def test_one_key_many_times_at_once(serve):
    server = serve()
    start = threading.Barrier(16)
    replies = []

    def ask():
        with httpx.Client(base_url=server.url, timeout=60) as client:
            start.wait()
            replies.append(client.post("/next?count=3", headers={"Idempotency-Key": "same"}))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {reply.content for reply in replies} == {replies[0].content}
    assert sum("idempotent-replayed" not in reply.headers for reply in replies) == 1
    assert server.audit()["cursor"] == 3


def test_keys_outlive_a_kill(serve):
    server = serve("--queue", "default=range(10)")
    answers = [server.post("/next?count=3", key=f"k{number}").json() for number in range(3)]
    server.kill()
    again = serve("--queue", "default=range(10)")
    replays = [again.post("/next?count=3", key=f"k{number}") for number in range(3)]
    assert [reply.json() for reply in replays] == answers
    assert all(reply.headers["idempotent-replayed"] == "true" for reply in replays)
    assert again.post("/next?count=4", key="k0").json()["type"].endswith(":key-reused")
    assert again.post("/next?count=9", key="last").json()["state"] == "exhausted"
    again.kill()
    third = serve("--queue", "default=range(10)")
    assert third.post().status_code == 410
    assert third.post("/next?count=9", key="last").json()["items"] == [{"seq": 10, "value": 9}]


def test_a_second_server_is_told_who_owns_the_data(serve, tmp_path):
    server = serve()
    second = dibs("serve", "--port", 0, "--data", tmp_path / "data", cwd=tmp_path, timeout=60)
    assert second.returncode == 4
    assert re.search(rf"\b{server.process.pid}\b", second.stderr)
    assert "Traceback" not in second.stderr
    server.kill()
    assert serve().post().status_code == 200


def test_a_count_goes_on_far_up(serve):
    server = serve("--queue", "default=count()")
    server.post("/queues/default/advance", json={"to_seq": 1_000_000_000}).raise_for_status()
    assert server.post().json()["value"] == 1_000_000_001
    server.kill()
    again = serve("--queue", "default=count()")
    assert again.post().json()["value"] == 1_000_000_002
    audit = again.audit()
    assert (audit["cursor"], audit["taken"], audit["jumped"]) == (1_000_000_002, 2, 1_000_000_000)
    assert audit["balanced"]
