"""The owner feeds the server that is next in line, which keeps a copy of its memory; nobody else may."""

import asyncio

import pytest
from dibs.api.lane import copies
from dibs.api.lane.frames import COPY, PROTOCOL, Hello


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(copies, "EVERY", 0.005)
    monkeypatch.setattr(copies, "PAUSES", (0.005,))


async def fed(made, until, name="b"):
    """Let this server be next, and wait until it is fed: the feed at the owner, the copy there."""
    made.shared.next_owner = name
    feeds = made.shared.holder.feeds
    had = len(feeds)
    await until(lambda: len(feeds) > had)
    return feeds[-1], made.shared.parts[name or "b"].copies[-1]


def test_the_next_owner_is_fed(cluster, until):
    async def test(made):
        await made.pair()
        feed, copy = await fed(made, until)
        assert copy.term == 1
        feed.connection.sendall(b"one")
        feed.connection.sendall(b"two")
        await until(lambda: copy.heard == b"onetwo")
        assert not copy.ended
        feed.close()
        await until(lambda: copy.ended)
        await until(lambda: len(made.shared.holder.feeds) == 2)  # a feed that has ended begins anew

    cluster(test)


def test_under_tls_too(cluster, until, certificate):
    async def test(made):
        await made.pair(tls_cert=certificate)
        feed, copy = await fed(made, until)
        feed.connection.sendall(b"x" * 100_000)
        await until(lambda: len(copy.heard) == 100_000)
        feed.close()
        await until(lambda: copy.ended)

    cluster(test)


def test_when_another_one_is_next_that_one_is_fed(cluster, until):
    async def test(made):
        await made.pair()
        await made.add("c")
        first, copy = await fed(made, until)
        second, other = await fed(made, until, "c")
        assert (first.closed, second.closed) == (True, False)
        await until(lambda: copy.ended)
        assert not other.ended
        made.shared.next_owner = "elsewhere"
        await until(lambda: second.closed and other.ended)

    cluster(test)


def test_who_has_left_the_line_is_fed_until_another_one_is_in_it(cluster, until):
    async def test(made):
        owner, _ = await made.pair()
        await made.add("c")
        feed, _ = await fed(made, until, "c")
        looks, survey = [], owner.seat.survey
        owner.seat.survey = lambda: looks.append(1) or survey()
        made.shared.notes["c"] = "the source of mine is not there"
        made.shared.next_owner = None
        had = len(looks)
        await until(lambda: len(looks) > had + 3)
        assert not feed.closed
        await fed(made, until)
        assert feed.closed

    cluster(test)


def test_where_nobody_is_in_line_one_that_cant_own_is_fed(cluster, until):
    async def test(made):
        await made.pair()
        assert made.shared.holder.feeds == []
        made.shared.notes["b"] = "the source of mine is not there"
        _, copy = await fed(made, until, None)
        assert copy.term == 1

    cluster(test)


def test_a_copy_that_is_given_up_is_begun_anew(cluster, until):
    async def test(made):
        await made.pair()
        feed, copy = await fed(made, until)
        copy.lost()
        await until(lambda: copy.ended)
        feed.closed = True  # as a feed is that can't send
        _, other = await fed(made, until)
        assert other is not copy

    cluster(test)


def test_the_new_owner_feeds_the_old_one(cluster, until):
    async def test(made):
        await made.pair()
        feed, _ = await fed(made, until)
        await made.hand_over("b")
        assert feed.closed
        _, copy = await fed(made, until, "a")
        assert copy.term == 2

    cluster(test)


def test_who_gives_way_feeds_until_its_term_has_ended(cluster, until):
    async def test(made):
        owner, _ = await made.pair()
        feed, _ = await fed(made, until)
        leave, survey = owner.seat._leave, owner.seat.survey
        looks, seen = [], []
        owner.seat.survey = lambda: looks.append(1) or survey()

        async def slowly():
            had = len(looks)
            await until(lambda: len(looks) > had + 2)
            seen.append(feed.closed)
            await leave()

        owner.seat._leave = slowly
        await made.hand_over("b")
        await until(lambda: feed.closed)
        assert seen == [False]

    cluster(test)


@pytest.mark.parametrize("whose", ["owner", "front"])
def test_a_copy_can_be_done_without(cluster, until, whose):
    async def test(made):
        owner = await made.add("a", owns=True, warm_copy=whose != "owner")
        front = await made.add("b", warm_copy=whose != "front")
        asked = []
        feeds = front.lane.feeds
        front.lane.feeds = lambda head: asked.append(head) or feeds(head)
        made.shared.next_owner = "b"
        if whose == "front":
            await until(lambda: len(asked) > 1)
        else:
            await asyncio.sleep(0.05)
            assert asked == []
        assert made.shared.holder.feeds == made.shared.parts["b"].copies == []
        assert (await owner.ask("POST", "/next")).status_code == 200

    cluster(test)


def test_another_release_is_not_fed(cluster, until):
    async def test(made):
        await made.pair()
        made.shared.parts["a"].version = "0.9"
        looks = []
        survey = made.shared.parts["a"].survey
        made.shared.parts["a"].survey = lambda: looks.append(1) or survey()
        made.shared.next_owner = "b"
        await until(lambda: len(looks) > 3)
        assert made.shared.parts["b"].copies == []

    cluster(test)


@pytest.mark.parametrize("wrong", ["secret", "protocol", "term", "owner", "nothing"])
def test_a_copy_is_kept_only_for_the_owner_that_can_read_the_database(cluster, until, wrong):
    async def test(made):
        owner, front = await made.pair()
        await made.hand_over("a")
        server = owner if wrong == "owner" else front
        hello = Hello(1 if wrong == "term" else 2, "a", False, PROTOCOL if wrong == "protocol" else COPY)
        request = hello.request(b"guess" if wrong == "secret" else front.context.front.secret(), "localhost")
        if wrong == "protocol":  # the proof of the one is none of the other
            request = request.replace(b"upgrade: dibs-frames", b"upgrade: dibs-copy")
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request)
        said = b" 101 " if wrong == "nothing" else b" 404 "
        assert said in await reader.readline()
        assert len(made.shared.parts[server.name].copies) == (wrong == "nothing")
        writer.close()

    cluster(test)


def test_the_lag_of_copies_is_told(cluster):
    async def test(made):
        owner, front = await made.pair()
        made.shared.lags.update(a=9, b=3)  # that of the owner is left from before it owned
        for server in (owner, front):
            told = (await server.ask("GET", "/stats")).json()["cluster"]["servers"]
            assert {each["url"]: each["lag"] for each in told} == {owner.url: None, front.url: 3}
            metrics = (await server.ask("GET", "/metrics")).text
            assert "\ndibs_warm_copies 1.0\n" in metrics
            assert "\ndibs_warm_copy_lag 3.0\n" in metrics

    cluster(test)
