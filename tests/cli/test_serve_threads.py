"""dibs serve --threads: several event loops on one socket, and all that holds for one holds for them."""

import json
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

THREADS = 3


@pytest.fixture
def server(serve):
    return serve(
        "--threads", THREADS, "--queue", "default=count", "--queue", "jobs", "--queue", "few=range(50)"
    )


@pytest.fixture
def clients(server):
    """As many connections as it takes to be on every loop, twice."""
    opened = [httpx.Client(base_url=server.url, timeout=20) for _ in range(2 * THREADS)]
    yield opened
    for client in opened:
        client.close()


def test_each_value_goes_to_one_of_many_connections(clients):
    def take(client):
        return [client.post("/next").json()["seq"] for _ in range(100)]

    with ThreadPoolExecutor(len(clients)) as pool:
        taken = list(pool.map(take, clients))
    assert all(seqs == sorted(seqs) for seqs in taken), "on one connection they come in order"
    assert sorted(seq for seqs in taken for seq in seqs) == list(range(1, 100 * len(clients) + 1))
    stats = clients[0].get("/queues/default/stats").json()
    assert (stats["requests"], stats["handed_out"]) == (100 * len(clients),) * 2


def test_every_call_is_answered_on_every_loop(clients):
    for number, client in enumerate(clients):
        assert client.post("/queues/jobs/items", json={"items": [{"value": number}]}).status_code == 201
    for client in clients:
        lease = client.post("/queues/jobs/lease", json={"max": 1}).json()
        settled = client.post("/queues/jobs/settle", json={"acks": [{"token": lease["token"]}], "lease": {}})
        assert settled.json()["acks"][0][0]["outcome"] == "acked"
        if settled.json()["lease"]:
            client.post("/queues/jobs/release", json={"token": settled.json()["lease"]["token"]})
        assert client.get("/stats").status_code == 200
        assert client.get("/nowhere").status_code == 404
        assert client.post("/next?count=x").status_code == 422
        assert client.post("/queues/default/lease", content=b"{").status_code == 415
        assert client.get("/docs").status_code == 200
    assert client.get("/queues/jobs/audit").json()["balanced"]


def test_a_key_is_one_key_on_every_loop(clients):
    def take(client):
        return client.post("/next", headers={"Idempotency-Key": "k"}).json()["seq"]

    with ThreadPoolExecutor(len(clients)) as pool:
        assert list(pool.map(take, clients)) == [1] * len(clients)
    answers = [client.post("/next", headers={"Idempotency-Key": "k"}) for client in clients]
    assert {answer.headers["idempotent-replayed"] for answer in answers} == {"true"}


def test_the_end_of_a_source_is_told_on_every_loop(clients):
    def drain(client):
        got, status = [], 200
        while status == 200:
            answer = client.post("/queues/few/next?count=3")
            status = answer.status_code
            got += [item["value"] for item in answer.json()["items"]] if status == 200 else []
        return got, status

    with ThreadPoolExecutor(len(clients)) as pool:
        drained = list(pool.map(drain, clients))
    assert {status for _, status in drained} == {410}
    assert Counter(value for got, _ in drained for value in got) == Counter(range(50))


def test_who_waits_is_woken_from_another_loop(clients):
    *waiting, producer = clients
    with ThreadPoolExecutor(len(waiting)) as pool:
        leases = [pool.submit(client.post, "/queues/jobs/lease", json={"wait": 20}) for client in waiting]
        while producer.get("/queues/jobs/stats").json()["waiting"] < len(waiting):
            time.sleep(0.01)
        items = [{"value": number} for number in range(len(waiting))]
        producer.post("/queues/jobs/items", json={"items": items})
        got = [lease.result(20).json()["items"][0]["value"] for lease in leases]
    assert sorted(got) == list(range(len(waiting)))


def test_who_waits_and_leaves_takes_nothing(server, clients):
    body = b'{"wait":20}'
    head = b"POST /queues/jobs/lease HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    request = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    gone = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(2 * THREADS)]
    for connection in gone:
        connection.sendall(request)
    for wanted in (len(gone), 0):
        while clients[0].get("/queues/jobs/stats").json()["waiting"] != wanted:
            time.sleep(0.01)
        for connection in gone:
            connection.close()
    clients[0].post("/queues/jobs/items", json={"items": [{"value": 1}]})
    assert clients[1].post("/queues/jobs/lease", json={}).json()["items"][0]["attempt"] == 1


def test_a_stream_on_every_loop(clients):
    def push(client):
        lines = b"".join([json.dumps({"value": number}).encode() + b"\n" for number in range(5_000)])
        answer = client.post(
            "/queues/jobs/items", content=lines, headers={"Content-Type": "application/x-ndjson"}
        )
        return answer.json()["accepted"]

    with ThreadPoolExecutor(len(clients)) as pool:
        assert list(pool.map(push, clients)) == [5_000] * len(clients)
    assert clients[0].get("/queues/jobs").json()["waiting"] == 5_000 * len(clients)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_goes_down_in_order_under_load(server, serve, number):
    """Whoever has an answer has what it says; nobody is left without an end."""
    taken, going = [], threading.Event()

    def take():
        with httpx.Client(base_url=server.url, timeout=10) as client:
            for _ in range(100_000):
                try:
                    answer = client.post("/next")
                except httpx.TransportError:
                    return
                if answer.status_code != 200:
                    return
                taken.append(answer.json()["seq"])
                if len(taken) > 200:
                    going.set()

    threads = [threading.Thread(target=take) for _ in range(2 * THREADS)]
    for thread in threads:
        thread.start()
    assert going.wait(20)
    assert server.end(number) == 0
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert server.stderr == ""
    assert len(set(taken)) == len(taken)
    again = serve(
        "--threads", THREADS, "--queue", "default=count", "--queue", "jobs", "--queue", "few=range(50)"
    )
    assert httpx.post(f"{again.url}/next").json()["seq"] > max(taken)


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--work",)])
def test_the_checker_finds_nothing(server, dibs, more):
    size = ("--clients", 12, "--total", 6_000)
    result = dibs("loadtest", "--url", server.url, *size, *more)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("value", "why"), [("0", "than or equal to 1"), ("65", "than or equal to 64")])
def test_a_wrong_number(dibs, value, why):
    result = dibs("serve", "--threads", value)
    assert result.returncode == 2
    assert "--threads" in result.stderr
    assert why in result.stderr
