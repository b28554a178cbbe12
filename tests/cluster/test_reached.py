"""An owner that is not where it says: the log, callers, the health check and operators are told why."""

import asyncio
import logging
import socket

import pytest
from dibs.cluster import reached
from dibs.cluster.reached import Reached, words_of
from dibs.errors import LedgerLost
from dibs.ledger.terms import Owner
from dibs.queue import Queues

from .conftest import Shared


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def said(port, why):
    return (
        f"the owner says that it is at http://127.0.0.1:{port}, and this server can't reach it there: {why}"
    )


@pytest.fixture
def soon(monkeypatch):
    """What has failed is told at once, and nobody waits for an owner for long."""
    monkeypatch.setattr(reached, "SETTLED", 0.0)
    for module in ("passage", "errand"):
        monkeypatch.setattr(f"dibs.cluster.{module}.PATIENCE", 0.2)


def warnings(caplog):
    return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


def test_an_owner_that_advertises_a_wrong_address(cluster, soon, caplog, until):
    wrong = free_port()

    async def test(made):
        owner = await made.add("a", owns=True, advertise=f"127.0.0.1:{wrong}")
        front = await made.add("b")
        told = said(wrong, "connection refused")
        for method, path in (("POST", "/next"), ("GET", "/queues"), ("GET", "/readyz")):
            answer = await front.ask(method, path)
            problem = answer.json()
            assert (answer.status_code, problem["type"]) == (503, "urn:dibs:problem:no-owner")
            assert (problem["detail"], problem["handed_out"]) == (told, "no")
        assert warnings(caplog) == [told]
        servers = (await owner.ask("GET", "/stats")).json()["cluster"]["servers"]
        assert [(each["url"], each["troubles"]) for each in servers] == [
            (f"http://127.0.0.1:{wrong}", []),
            (front.url, [told]),
        ]
        await made.hand_over("b")
        await until(lambda: made.shared.troubles["b"] == ())
        assert (await owner.ask("POST", "/next")).status_code == 200
        assert told not in warnings(caplog)[1:]

    cluster(test)


def test_an_owner_whose_address_is_another_server_s(cluster, soon):
    async def test(made):
        port = free_port()
        await made.add("a", owns=True, advertise=f"127.0.0.1:{port}")
        front = await made.add("b", port=port)  # so that it asks itself
        told = said(port, "the server that answers there does not own the ledger")
        for method, path in (("POST", "/next"), ("GET", "/readyz")):
            answer = await front.ask(method, path)
            assert (answer.status_code, answer.json()["detail"]) == (503, told)

    cluster(test)


@pytest.mark.parametrize("alone", [True, False])
def test_an_owner_whose_address_is_that_of_a_server_of_another_ledger(cluster, soon, tmp_path, alone):
    async def test(made):
        port = free_port()
        await made.add("a", owns=True, advertise=f"127.0.0.1:{port}")
        front = await made.add("b")
        if alone:
            other = await made.alone(tmp_path / "other", port=port)
        else:
            mine, made.shared = made.shared, Shared(tmp_path / "other", secret=b"another secret")
            other = await made.add("other", owns=True, port=port)
            made.shared = mine
        told = said(
            port,
            "the server that answers there serves another ledger (do servers of both say the same in"
            " --advertise?)",
        )
        for method, path in (("POST", "/next"), ("POST", "/queues/default/pause"), ("GET", "/readyz")):
            answer = await front.ask(method, path)
            problem = answer.json()
            assert (answer.status_code, problem["type"]) == (503, "urn:dibs:problem:no-owner")
            assert (problem["detail"], problem["handed_out"]) == (told, "no")
        assert made.shared.troubles["b"] == (told,)
        long = b'{"value": 1}\n' * 100_000  # which can't be sent twice
        answer = await front.ask(
            "POST", "/queues/mails/items", content=long, headers={"Content-Type": "application/x-ndjson"}
        )
        assert (answer.status_code, answer.json()["detail"]) == (503, told)
        queue = other.context.queues.get("default").browser.info()
        assert (queue.cursor, queue.paused) == (0, False)
        assert (await other.ask("POST", "/next")).json()["seq"] == 1  # for its own clients it is well

    cluster(test)


def test_an_owner_that_is_reached_again_is_told_once(caplog):
    caplog.set_level(logging.INFO)
    told = []

    async def test():
        found, owner = Reached(told.append), Owner(7, "a", "http://127.0.0.1:1")
        times = iter([0.0, 1.9, 2.0, 9.0, 9.0])
        loop = asyncio.get_running_loop()
        loop.time = lambda: next(times)
        try:
            found.failed(owner, ConnectionRefusedError(111, "Connect call failed"))
            found.failed(owner, ConnectionRefusedError(111, "Connect call failed"))
            assert warnings(caplog) == told == []
            found.failed(owner, ConnectionRefusedError(111, "Connect call failed"))
            found.failed(owner, ConnectionRefusedError(111, "Connect call failed"))
            assert warnings(caplog) == told == [said(1, "connection refused")]
            assert str(found.refusal(owner)) == said(1, "connection refused")
            assert str(found.refusal(owner._replace(term=8))) == "no server owns the ledger at the moment"
            found.failed(owner, TimeoutError())
        finally:
            del loop.time
        assert told[1:] == [said(1, "no answer in time")]
        found.well()
        assert told[2:] == [""]
        assert warnings(caplog)[2:] == ["the owner is reached again at http://127.0.0.1:1"]
        found.well()
        assert (len(told), str(found.refusal(owner))) == (3, "no server owns the ledger at the moment")

    asyncio.run(test())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)"), "connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (TimeoutError(), "no answer in time"),
        (OSError("Multiple exceptions: this, that"), "Multiple exceptions: this, that"),
    ],
)
def test_why_a_connection_failed(error, words):
    assert words_of(error) == words


def test_readyz_of_a_front_says_what_its_owner_says(cluster, monkeypatch):
    async def test(made):
        owner, front = await made.pair()
        assert (await front.ask("GET", "/readyz")).json() == {"status": "ok"}
        lost = LedgerLost("the database has lost transactions")
        monkeypatch.setattr(Queues, "down", property(lambda _: lost))
        told = [(await server.ask("GET", "/readyz")) for server in (owner, front)]
        assert [answer.status_code for answer in told] == [503, 503]
        assert told[0].json()["detail"] == told[1].json()["detail"] == "the database has lost transactions"
        assert "dibs_ready 0.0" in (await front.ask("GET", "/metrics")).text

    cluster(test)


def test_a_front_that_lets_nobody_in_is_not_ready(cluster):
    async def test(made):
        owner = await made.add("a", owns=True)
        front = await made.add("b", host="0.0.0.0")
        refused = await front.ask("POST", "/next")
        ready = await front.ask("GET", "/readyz")
        assert (refused.status_code, ready.status_code) == (403, 503)
        assert ready.json()["type"] == "urn:dibs:problem:not-ready"
        assert "there is no token" in ready.json()["detail"]
        assert (await front.ask("GET", "/healthz")).status_code == 200
        body = {"name": "ann", "roles": ["admin"]}
        assert (await owner.ask("POST", "/tokens", json=body)).status_code == 201
        assert (await front.ask("GET", "/readyz")).status_code == 200

    cluster(test)


def test_a_refused_configuration_is_told_until_it_is_applied(cluster, tmp_path, until):
    file = tmp_path / "lines"

    async def test(made):
        owner = await made.add("a", owns=True, queues={"ids": "count"})
        front = await made.add("b", queues={"text": f"lines({file})"})

        async def troubles():
            servers = (await owner.ask("GET", "/stats")).json()["cluster"]["servers"]
            return {each["url"]: each["troubles"] for each in servers}

        [told] = (await troubles())[front.url]
        assert told.startswith("the queues of this server's configuration were not applied, and stay as they")
        assert str(file) in told
        file.write_text("one\n")
        await made.hand_over("b")
        await until(lambda: made.shared.troubles["b"] == ())
        assert set(map(tuple, (await troubles()).values())) == {()}

    cluster(test)


def test_an_owner_that_can_t_ask_whether_it_still_owns_says_so(cluster, soon):
    async def test(made):
        owner = await made.add("a", owns=True)

        async def unsure():
            return False

        term = owner.seat.term
        term.doubt, term.sure = True, unsure
        for method, path in (("POST", "/next"), ("GET", "/readyz")):
            problem = (await owner.ask(method, path)).json()
            assert (problem["type"], problem["handed_out"]) == ("urn:dibs:problem:no-owner", "no")
            assert problem["detail"] == (
                "this server owns the ledger, and can't reach the database to be sure that it still does"
            )

    cluster(test)
