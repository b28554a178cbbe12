"""One server owns, then another one, then the first again; their connections stay."""

import asyncio

import httpx
import pytest


def test_who_owns_answers_and_who_does_not_passes_on(cluster):
    async def test(made):
        a, b = await made.pair()
        for seq, server in enumerate((a, b, b, a), start=1):
            answer = await server.ask("POST", "/next")
            assert (answer.status_code, answer.json()["seq"]) == (200, seq)
        assert (a.seat.role, b.seat.role) == ("owner", "front")

    cluster(test)


def test_many_terms_on_one_connection_each(cluster):
    async def test(made):
        a, b = await made.pair()
        peers = set()
        for turn in range(6):
            for server in (a, b):
                answer = await server.ask("POST", "/next")
                assert answer.status_code == 200, answer.text
                peers.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
            assert answer.json()["seq"] == 2 * turn + 2
            await made.hand_over("b" if a.seat.owns() else "a")
        assert len(peers) == 2
        assert made.shared.term == 7

    cluster(test)


@pytest.mark.parametrize("long", [True, False])
def test_who_waits_at_the_old_owner_is_told_and_who_came_just_now_goes_on(cluster, until, monkeypatch, long):
    if long:
        monkeypatch.setattr("dibs.cluster.passage.SOON", 0.0)

    async def test(made):
        a, b = await made.pair()
        await a.ask("PUT", "/queues/jobs", json={})
        own, passed = [asyncio.ensure_future(s.ask("POST", "/queues/jobs/next?wait=25")) for s in (a, b)]
        await until(lambda: a.context.queues.get("jobs").line.parked == 2)
        await made.hand_over("b")
        for each in (own, passed)[: 1 + long]:
            problem = (await each).json()
            assert (problem["type"], problem["handed_out"]) == ("urn:dibs:problem:stopping", "no")
        if not long:
            await until(lambda: b.context.queues.get("jobs").line.parked == 1)
            await a.ask("POST", "/queues/jobs/items", json={"items": [{"value": "w"}]})
            assert (await passed).json()["value"] == "w"
        waiting = asyncio.ensure_future(a.ask("POST", "/queues/jobs/next?wait=25"))
        await until(lambda: b.context.queues.get("jobs").line.parked == 1)
        await a.ask("POST", "/queues/jobs/items", json={"items": [{"value": "x"}]})
        assert (await waiting).json()["value"] == "x"

    cluster(test)


def test_nothing_is_handed_out_twice_under_load_while_the_owner_changes(cluster):
    async def test(made):
        a, b = await made.pair()
        found, over = [], asyncio.Event()

        async def load(server, name):
            async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
                number = 0
                while not over.is_set():
                    number += 1
                    key = {"Idempotency-Key": f"{name}-{number}"}
                    answer = await client.post("/next", headers=key)
                    while answer.status_code == 503:
                        await asyncio.sleep(0.01)
                        answer = await client.post("/next", headers=key)
                    assert answer.status_code == 200, answer.text
                    found.append(answer.json()["seq"])

        loads = [asyncio.ensure_future(load(s, f"{s.name}{n}")) for s in (a, b) for n in range(6)]
        for turn in range(6):
            seen = len(found)
            while len(found) < seen + 100:
                await asyncio.sleep(0.005)
                assert not any(each.done() for each in loads)
            await made.hand_over("b" if turn % 2 == 0 else "a")
        over.set()
        await asyncio.gather(*loads)
        assert sorted(found) == list(range(1, len(found) + 1))

    cluster(test)


def test_a_term_that_can_not_be_ended_in_order_ends_all_the_same(cluster, caplog):
    async def test(made):
        a, _b = await made.pair()
        resign = a.seat.term.resign

        async def failing():
            await resign()
            raise RuntimeError("the connection is gone")

        a.seat.term.resign = failing
        await made.hand_over("b")
        await made.hand_over("a")
        assert (await a.ask("POST", "/next")).json()["seq"] == 1
        assert "term 1 could not be ended in order" in caplog.text

    cluster(test)
