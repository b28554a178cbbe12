"""Hot calls of a front's clients go to the owner by frames; what becomes of them when somebody leaves."""

import asyncio

import pytest
from dibs.api.lane.frames import ANSWER, CALL, HEAD, LARGEST, FrameReader, Hello, Malformed

KEY = {"Idempotency-Key": "k"}


async def framed(made, until):
    """An owner, and a front that has a connection for frames to it."""
    a, b = await made.pair()
    await until(lambda: b.lane.far is not None)
    return a, b


def test_a_hot_call_is_answered_by_frames_and_all_else_is_not(cluster, until, monkeypatch):
    async def test(made):
        a, b = await framed(made, until)
        calls = []
        monkeypatch.setattr(b.lane.far, "call", _noted(calls, b.lane.far.call))
        await b.ask("PUT", "/queues/jobs", json={})
        await b.ask("POST", "/queues/jobs/items", json={"items": [{"value": 1}]})
        leased = (await b.ask("POST", "/queues/jobs/lease", json={"max": 1})).json()
        acked = await b.ask("POST", "/queues/jobs/ack", json={"token": leased["token"]})
        assert acked.json()["outcomes"] == [{"seqs": [1, 1], "outcome": "acked"}]
        first = await b.ask("POST", "/next", headers=KEY)
        again = await a.ask("POST", "/next", headers=KEY)
        assert (first.json()["seq"], again.json()["seq"]) == (1, 1)
        assert again.headers["idempotent-replayed"] == "true"
        paths = [data.split(b" ", 2)[1] for data in calls]
        assert paths[-3:] == [b"/queues/jobs/lease", b"/queues/jobs/ack", b"/next"]
        assert b"/queues/jobs" not in paths

    cluster(test)


def test_many_clients_share_one_connection_and_get_their_own_answers(cluster, until):
    async def test(made):
        a, b = await framed(made, until)
        answers = await asyncio.gather(*(b.ask("POST", "/next") for _ in range(200)))
        assert sorted(answer.json()["seq"] for answer in answers) == list(range(1, 201))
        assert len(a.lane.fronts) == 1

    cluster(test)


def test_a_client_that_leaves_is_waited_for_no_more(cluster, until):
    async def test(made):
        a, b = await framed(made, until)
        await b.ask("PUT", "/queues/jobs", json={})
        _, writer = await asyncio.open_connection("127.0.0.1", b.port)
        writer.write(b"POST /queues/jobs/next?wait=25 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await until(lambda: a.context.queues.get("jobs").line.parked == 1)
        writer.close()
        await until(lambda: a.context.queues.get("jobs").line.parked == 0)
        await b.ask("POST", "/queues/jobs/items", json={"items": [{"value": "x"}]})
        assert (await b.ask("POST", "/queues/jobs/next")).json()["value"] == "x"

    cluster(test)


def test_a_client_that_sends_nothing_more_is_answered_without_waiting(cluster, until):
    async def test(made):
        a, b = await framed(made, until)
        await b.ask("PUT", "/queues/jobs", json={})
        reader, writer = await asyncio.open_connection("127.0.0.1", b.port)
        writer.write(b"POST /queues/jobs/next?wait=25 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await until(lambda: a.context.queues.get("jobs").line.parked == 1)
        writer.write_eof()
        assert (await asyncio.wait_for(reader.read(), 60)).startswith(b"HTTP/1.1 204 ")
        writer.close()

    cluster(test)


@pytest.mark.parametrize("keyed", [True, False])
def test_a_call_whose_owner_is_lost_is_sent_again_only_with_a_key(cluster, until, keyed):
    async def test(made):
        a, b = await framed(made, until)
        await b.ask("PUT", "/queues/jobs", json={})
        asked = b.ask("POST", "/queues/jobs/next?wait=25", headers=KEY if keyed else {})
        waiting = asyncio.ensure_future(asked)
        await until(lambda: a.context.queues.get("jobs").line.parked == 1)
        b.lane.far.close()
        if keyed:
            await until(lambda: a.context.queues.get("jobs").line.parked == 1)
            await b.ask("POST", "/queues/jobs/items", json={"items": [{"value": "x"}]})
            assert (await waiting).json()["value"] == "x"
        else:
            problem = (await waiting).json()
            assert (problem["type"], problem["handed_out"]) == ("urn:dibs:problem:outcome-unknown", "maybe")

    cluster(test)


@pytest.mark.parametrize("wrong", ["secret", "term", "exposed"])
def test_frames_are_for_fronts_that_can_read_the_database(cluster, until, wrong):
    async def test(made):
        a, _ = await framed(made, until)
        term, secret = a.seat.term.number, a.context.front.secret()
        hello = Hello(term + (wrong == "term"), "x", wrong == "exposed")
        reader, writer = await asyncio.open_connection("127.0.0.1", a.port)
        writer.write(hello.request(b"guess" if wrong == "secret" else secret, "localhost"))
        assert (await reader.readline()).startswith(b"HTTP/1.1 404 ")
        writer.close()

    cluster(test)


def test_frames_come_in_any_pieces():
    frames = [(1, CALL, b"abc"), (70_000, ANSWER, b""), (2, CALL, b"x" * 5_000)]
    data = b"".join(HEAD.pack(len(said) + 5, slot, kind) + said for slot, kind, said in frames)
    for step in (1, 7, 4_096, len(data)):
        reader, found = FrameReader(), []
        for at in range(0, len(data), step):
            found += reader.feed(data[at : at + step])
        assert found == frames


@pytest.mark.parametrize("size", [0, 4, LARGEST + 1])
def test_what_is_no_frame_is_refused(size):
    with pytest.raises(Malformed):
        list(FrameReader().feed(HEAD.pack(size, 1, CALL)))


def _noted(calls, call):
    def noted(number, data):
        calls.append(data)
        call(number, data)

    return noted


def test_of_a_call_that_an_owner_was_lost_with_nobody_says_that_nothing_was_done(cluster, until, monkeypatch):
    monkeypatch.setattr("dibs.cluster.passage.PATIENCE", 0.3)

    async def test(made):
        a, b = await framed(made, until)
        await b.ask("PUT", "/queues/jobs", json={})
        waiting = asyncio.ensure_future(b.ask("POST", "/queues/jobs/next?wait=25", headers=KEY))
        await until(lambda: a.context.queues.get("jobs").line.parked == 1)
        a.vanish()
        problem = (await waiting).json()
        assert (problem["type"], problem["handed_out"]) == ("urn:dibs:problem:outcome-unknown", "maybe")
        other = (await b.ask("POST", "/queues/jobs/next", headers={"Idempotency-Key": "l"})).json()
        assert (other["type"], other["handed_out"]) == ("urn:dibs:problem:no-owner", "no")

    cluster(test)


def test_a_call_that_comes_as_the_connection_to_the_owner_ends_goes_the_ordinary_way(cluster, until):
    async def test(made):
        _, b = await framed(made, until)
        reader, writer = await asyncio.open_connection("127.0.0.1", b.port)
        await until(lambda: _own(b, writer))
        far, [connection] = b.lane.far, _own(b, writer)
        far.close()
        await far.closed.wait()
        assert b.lane.far is far
        connection.data_received(b"POST /next HTTP/1.1\r\nhost: localhost\r\n\r\n")
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        assert answer.startswith(b"HTTP/1.1 200 ")
        writer.close()

    cluster(test)


def test_who_sends_nothing_more_before_his_call_begins_is_answered_without_waiting(cluster, until):
    async def test(made):
        _, b = await framed(made, until)
        await b.ask("PUT", "/queues/jobs", json={})
        reader, writer = await asyncio.open_connection("127.0.0.1", b.port)
        writer.write(b"GET /queues/jobs HTTP/1.1\r\nhost: localhost\r\n\r\n")
        writer.write(b"POST /queues/jobs/next?wait=25 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        writer.write_eof()
        answers = await asyncio.wait_for(reader.read(), 60)
        assert (answers.count(b"HTTP/1.1 200 "), answers.count(b"HTTP/1.1 204 ")) == (1, 1)
        writer.close()

    cluster(test)


def _own(server, writer):
    """The server's end of a connection, once it is there."""
    name = writer.get_extra_info("sockname")
    return [each for each in server.lane.connections if each.transport.get_extra_info("peername") == name]


def test_a_front_that_does_not_read_is_not_heard_and_cut_off_in_the_end(cluster, until, monkeypatch):
    async def test(made):
        monkeypatch.setattr("dibs.api.lane.fronts.MUCH", 65_536)
        a, b = await made.pair(limits={"body_patience": 0.5})
        await until(lambda: b.lane.far is not None)
        await b.ask("PUT", "/queues/jobs", json={})
        values = [{"value": "x" * 100_000}] * 50
        for _ in range(4):
            await a.ask("POST", "/queues/jobs/items", json={"items": values})
        b.lane.far._transport.pause_reading()
        calls = [asyncio.ensure_future(b.ask("POST", "/queues/jobs/next?count=10")) for _ in range(20)]
        [front] = a.lane.fronts
        await until(lambda: front._cut is not None)
        assert front.transport.get_write_buffer_size() < 50_000_000
        assert not front.transport.is_reading()
        await until(lambda: not a.lane.fronts)  # it is cut off
        b.lane.far._transport.resume_reading()
        for answer in await asyncio.gather(*calls):
            assert answer.status_code in {200, 503}

    cluster(test)


def test_calls_go_the_ordinary_way_while_the_owner_does_not_read_frames(cluster, until, monkeypatch):
    async def test(made):
        _, b = await framed(made, until)
        calls = []
        monkeypatch.setattr(b.lane.far, "call", _noted(calls, b.lane.far.call))
        b.lane.far.pause_writing()
        assert (await b.ask("POST", "/next")).json()["seq"] == 1
        assert calls == []
        b.lane.far.resume_writing()
        assert (await b.ask("POST", "/next")).json()["seq"] == 2
        assert len(calls) == 1

    cluster(test)


def test_a_call_to_an_owner_that_was_deposed_goes_to_the_next_one(cluster, until, monkeypatch):
    """By the connection of frames that is open for a moment longer, when both know of the next owner."""

    async def test(made):
        a, b = await framed(made, until)
        c = await made.add("c")
        await until(lambda: c.lane.far is not None)
        old, served = c.lane.far, asyncio.Event()
        await c.ask("POST", "/next")  # its head is known at a
        monkeypatch.setattr(c.lane, "reach", lambda far: served.set())  # c has not heard yet
        await made.hand_over("b")
        await until(lambda: a.lane.far is not None)
        await a.ask("POST", "/next")  # and is known again, of a client of a's own
        assert c.lane.far is old
        answer = await c.ask("POST", "/next")
        assert (answer.status_code, answer.json()["seq"]) == (200, 3)
        assert b.seat.owns()

    cluster(test)
