"""What is seen of a cluster: each server tells Prometheus of itself, and all see who owns."""

import json

import pytest
from dibs.dashboard.servers import servers_of
from dibs.queue.draining import InboxState
from dibs.queue.stats import ClusterStats, ServerStats
from prometheus_client.parser import text_string_to_metric_families


async def metrics(server, **headers):
    answer = await server.ask("GET", "/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    found = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.documentation
        for sample in family.samples:
            found[sample.name, tuple(sample.labels.items())] = sample.value
    return found


def role(found):
    [name] = [dict(labels)["role"] for (name, labels), on in found.items() if name == "dibs_role" and on]
    return name


def of_queues(found):
    return {name for name, labels in found if "queue" in dict(labels)}


def test_a_front_tells_of_itself_and_the_owner_of_the_queues(cluster):
    async def test(made):
        owner, front = await made.pair()
        at_owner, at_front = await metrics(owner), await metrics(front)
        assert (role(at_owner), role(at_front)) == ("owner", "front")
        assert "dibs_cursor" in of_queues(at_owner)
        assert not of_queues(at_front)
        assert ("dibs_commit_seconds_count", ()) not in at_front
        assert at_owner["dibs_ready", ()] == at_front["dibs_ready", ()] == 1
        assert (at_owner["dibs_takeovers_total", ()], at_front["dibs_takeovers_total", ()]) == (1, 0)
        for found in (at_owner, at_front):
            told = [found[f"dibs_{name}", ()] for name in ("term", "position", "position_age_seconds")]
            assert told == [1, 101, 0.5]
            assert found["dibs_servers", (("version", "1.0"),)] == 2
            assert [found[f"dibs_standbys{of}", ()] for of in ("", "_needed")] == [2, 1]
            assert found["dibs_vacuum_held_transactions", ()] == 7
            assert found["dibs_servers_unfit", ()] == 0
            assert ("process_cpu_seconds_total", ()) in found

    cluster(test)


def test_roles_change_places_and_metrics_are_there_while_nobody_owns(cluster, until):
    async def test(made):
        owner, front = await made.pair()
        made.shared.take()
        await until(lambda: made.shared.holder is None)
        await until(lambda: owner.seat.role == "front")
        for server in (owner, front):
            found = await metrics(server)
            assert (role(found), found["dibs_ready", ()]) == ("front", 0)
            assert found["dibs_term", ()] == 1
        made.shared.give("b")
        await until(front.seat.owns)
        at_owner, at_front = await metrics(front), await metrics(owner)
        assert (role(at_owner), role(at_front)) == ("owner", "front")
        assert at_front["dibs_ready", ()] == at_front["dibs_takeovers_total", ()] == 1
        assert at_owner["dibs_term", ()] == at_front["dibs_term", ()] == 2
        assert not of_queues(at_front)

    cluster(test)


def test_before_the_first_look_only_the_role_is_told(cluster):
    async def test(made):
        made.shared.surveyed = False
        _, front = await made.pair()
        found = await metrics(front)
        assert role(found) == "front"
        assert ("dibs_term", ()) not in found
        assert (await front.ask("GET", "/stats")).json()["cluster"] is None

    cluster(test)


def test_a_front_asks_for_tokens_also_while_nobody_owns(cluster, until):
    async def test(made):
        owner, front = await made.pair()
        tokens = {}
        for grant in ("admin", "read", "consume"):
            body = {"name": grant, "roles": [grant]}
            head = {"Authorization": f"Bearer {tokens['admin']}"} if tokens else {}
            made_of = await owner.ask("POST", "/tokens", json=body, headers=head)
            assert made_of.status_code == 201, made_of.text
            tokens[grant] = made_of.json()["token"]

        async def statuses():
            found = [(await front.ask("GET", "/metrics")).status_code]
            for each in (tokens["read"], tokens["admin"], tokens["consume"], tokens["read"][:-1] + "!"):
                head = {"Authorization": f"Bearer {each}"}
                found.append((await front.ask("GET", "/metrics", headers=head)).status_code)
            return found

        assert await statuses() == [401, 200, 200, 403, 401]
        made.shared.take()
        await until(lambda: made.shared.holder is None)
        assert await statuses() == [401, 200, 200, 403, 401]

    cluster(test)


def test_a_front_that_other_machines_reach_tells_nothing_without_a_token(cluster):
    async def test(made):
        await made.add("a", owns=True)
        front = await made.add("b", host="0.0.0.0")
        answer = await front.ask("GET", "/metrics")
        assert answer.status_code == 403
        assert "can be reached from other machines, and there is no token" in answer.json()["detail"]

    cluster(test)


def test_a_front_whose_tokens_can_t_be_read_lets_nobody_in(cluster, tmp_path):
    async def test(made):
        file = tmp_path / "admin"
        file.write_text("a" * 32)
        await made.add("a", owns=True)
        front = await made.add("b", admin_token_file=file)
        file.unlink()
        answer = await front.ask("GET", "/metrics", headers={"Authorization": f"Bearer {'a' * 32}"})
        assert answer.status_code == 503
        assert "admin's token can't be read" in answer.json()["detail"]
        assert str(file) not in answer.text

    cluster(test)


def test_the_statistics_tell_who_owns_and_which_servers_there_are(cluster):
    async def test(made):
        owner, front = await made.pair()
        made.shared.notes["b"] = "this server can't own the ledger: no module named jobs"
        told = (await front.ask("GET", "/stats")).json()["cluster"]
        assert told["role"] == "owner"  # it is the owner that answers
        assert told["url"] == told["owner"] == owner.url
        assert (told["term"], told["position"], told["position_age"]) == (1, 101, 0.5)
        assert told["takeovers"] == 1
        assert told["warnings"] == ["look"]
        seen = [(each["url"], each["owner"], each["note"]) for each in told["servers"]]
        assert seen == [(owner.url, True, ""), (front.url, False, made.shared.notes["b"])]
        assert (await metrics(owner))["dibs_servers_unfit", ()] == 1

    cluster(test)


def test_a_server_that_has_its_ledger_alone_has_no_cluster(tmp_path):
    import asyncio

    import httpx
    from dibs.config import Settings
    from dibs.main import create_app

    async def test():
        app = create_app(Settings(data=tmp_path / "data"))
        async with app.router.lifespan_context(app):
            base = "http://localhost"
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base) as client:
                assert (await client.get("/stats")).json()["cluster"] is None
                assert "dibs_role" not in (await client.get("/metrics")).text

    asyncio.run(test())


@pytest.mark.parametrize("silent", [9.9, 10.1])
def test_a_position_that_does_not_move_is_told(silent):
    from types import SimpleNamespace

    from dibs.cluster.seat import Role
    from dibs.cluster.view import view_of
    from dibs.ledger.terms import Survey

    survey = Survey(5, 2, "http://a:8000", silent, 60.0, 1, (), None, 0, 0, 0, ())
    seat = SimpleNamespace(survey=lambda: survey, role=Role.FRONT, url="http://b:8000")
    warnings = view_of(seat).warnings
    assert bool(warnings) == (silent > 10)
    if warnings:
        assert (
            "nothing has been written to the ledger for 10 s, and the last owner was http://a:8000"
            in warnings[0]
        )


def test_the_manual_names_what_is_told(cluster):
    from importlib.resources import files

    manual = files("dibs").joinpath("MANUAL.md").read_text("utf-8")

    async def test(made):
        for server in await made.pair():
            for name, _ in await metrics(server):
                family = name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")
                if name.startswith("dibs_") and not name.endswith("_created"):
                    assert f"`{family}`" in manual, name

    cluster(test)


async def overview(server):
    """What the first screen is told."""
    async with server.client.stream("GET", "/events", params={"view": "overview"}) as answer:
        name = None
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: ") and name == "overview":
                return json.loads(line[6:])
    return None


def test_the_page_and_dibs_top_are_told_of_the_servers_through_any_of_them(cluster):
    async def test(made):
        owner, front = await made.pair()
        made.shared.notes["b"] = "no module named jobs"
        for server in (owner, front):
            told = (await overview(server))["servers"]
            assert (told["owner"], told["term"], told["position"], told["age"]) == (owner.url, 1, 101, 0.5)
            assert (told["count"], told["versions"], told["takeovers"]) == (2, ["1.0"], 1)
            assert told["unfit"] == [{"url": front.url, "note": "no module named jobs"}]
            assert told["warnings"] == ["look"]
            assert told["inbox"] is None  # the ledger of these tests has none

    cluster(test)


def test_the_inbox_is_told_with_the_servers():
    servers = (
        ServerStats("http://a", "1.0", True, 1.0, "", None),
        ServerStats("http://b", "0.9", False, 11.0, "old", 7),
    )
    cluster = ClusterStats("owner", "http://a", "http://a", 1, 1.0, 5, 0.1, 1, servers, 0, 0, 0, ())
    told = servers_of(cluster, InboxState(7, 2.5, 1, ("jobs",), ("jobs", "mails")))
    assert told["inbox"] == {"rows": 7, "oldest": 2.5, "refused": 1, "stopped": 2}
    assert (told["count"], told["versions"], told["unfit"]) == (1, ["1.0"], [])  # b was not seen for long
    assert servers_of(None, InboxState()) is None
