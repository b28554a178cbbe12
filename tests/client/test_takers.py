"""Many callers that take one value each: few requests, each value to one caller, none lost with a caller."""

import asyncio
import json
import os
import threading
import traceback

import pytest
from dibs.client import AsyncClient, Client, ClientError, SourceFailed
from dibs.client.flow import Listen, Lost, Reply, Send, Terms
from dibs.client.takers import AT_ONCE, Takers


class Bell:
    here = True

    def __init__(self):
        self.rings = 0

    def ring(self):
        self.rings += 1


class Caller:
    """One caller's flow. It goes on when the test says so."""

    def __init__(self, takers):
        self.flow = takers.take()
        self.value = self.error = self.effect = None
        self.go()

    def go(self, answer=None):
        try:
            self.effect = self.flow.send(answer)
        except StopIteration as end:
            self.effect, self.value = None, end.value and end.value.value
        except ClientError as error:
            self.effect, self.error = None, error
            self.told_by = [frame.name for frame in traceback.extract_tb(error.__traceback__)]

    @property
    def request(self):
        return self.effect.request if isinstance(self.effect, Send) else None

    @property
    def asks_for(self):
        return int(self.request.path.partition("count=")[2].partition("&")[0])

    def interrupt(self):
        with pytest.raises(KeyboardInterrupt):
            self.flow.throw(KeyboardInterrupt)
        self.effect = None


class Crowd:
    """``first`` have a request each on their way, so that ``others`` stand in line."""

    def __init__(self, lab, others):
        self.server = lab.server
        self.takers = Takers("ids", Terms(lab.tempo, 0.0, contact=lab.contact), Bell)
        self.first = [Caller(self.takers) for _ in range(AT_ONCE)]
        self.others = [Caller(self.takers) for _ in range(others)]
        assert [caller.asks_for for caller in self.first] == [1] * AT_ONCE
        assert not any(caller.request for caller in self.others)

    @property
    def leaders(self):
        """Those of the others that have a request on its way."""
        return [caller for caller in self.others if caller.request]

    def served(self, caller):
        """The server's answer, on its way back."""
        sent = caller.request
        answer = self.server.handle(
            sent.method, sent.path, sent.body, sent.key.text, sent.kind, True, sent.key.n
        )
        return Reply(answer.status, answer.headers, json.dumps(answer.body).encode())

    def answer(self, *callers):
        for caller in callers:
            caller.go(self.served(caller))
            self.wake()

    def wake(self):
        """Whoever was rung for goes on."""
        waiting = lambda caller: isinstance(caller.effect, Listen)  # noqa: E731
        while rung := [
            one for one in self.others if waiting(one) and one.effect.bell.rings != one.effect.seen
        ]:
            for caller in rung:
                caller.go()


@pytest.fixture
def lab(sim):
    return sim.Sim()


def test_those_who_come_while_eight_requests_are_on_their_way_share_the_next(lab):
    ids = lab.server.add("ids", range(1000))
    crowd = Crowd(lab, 20)
    crowd.answer(crowd.first[0])
    (leader,) = crowd.leaders
    assert leader.asks_for == 20
    crowd.answer(leader, *crowd.first[1:])
    assert [caller.value for caller in crowd.first] == [0, *range(21, 28)]
    assert sorted(caller.value for caller in crowd.others) == list(range(1, 21))
    assert ids.taken == 28  # nothing that nobody waited for


def test_a_short_answer_goes_to_the_first_and_the_others_are_asked_for_again(lab):
    lab.server.add("ids", range(4))
    crowd = Crowd(lab, 5)
    crowd.answer(crowd.first[0])
    crowd.answer(*crowd.leaders)
    assert sorted(caller.value for caller in crowd.others if not caller.effect) == [1, 2, 3]
    assert [caller.asks_for for caller in crowd.leaders] == [2]
    crowd.answer(*crowd.leaders, *crowd.first[1:])
    assert not any(caller.effect or caller.error for caller in crowd.first + crowd.others)
    assert sum(caller.value is None for caller in crowd.first + crowd.others) == 9


def test_an_error_is_told_to_all_who_were_asked_for(lab):
    lab.server.add("ids", range(9), fails_at=2)
    crowd = Crowd(lab, 5)
    crowd.answer(crowd.first[0])
    crowd.answer(*crowd.leaders)
    assert [type(caller.error) for caller in crowd.others] == [SourceFailed] * 5
    assert [caller.told_by[0] for caller in crowd.others] == ["go"] * 5
    assert [caller.told_by.count("take") for caller in crowd.others] == [1] * 5  # not the ways of the others


@pytest.mark.parametrize("handed_out", [True, False], ids=["the reply is lost", "the request is lost"])
def test_of_a_request_that_is_interrupted_another_caller_hears_the_answer(lab, handed_out):
    ids = lab.server.add("ids", range(1000))
    crowd = Crowd(lab, 5)
    crowd.answer(crowd.first[0])
    (leader,) = crowd.leaders
    sent = leader.request
    if handed_out:
        crowd.served(leader)
    leader.interrupt()
    crowd.wake()
    (heir,) = crowd.leaders
    assert heir.request == sent
    crowd.answer(heir)
    left = [caller.value for caller in crowd.others if caller is not leader]
    assert sorted(left) == [1, 2, 3, 4]  # the fifth came for the one that has gone: it is the next one's
    assert [Caller(crowd.takers).value, ids.taken] == [5, 6]


def test_what_came_for_a_caller_that_has_gone_is_the_next_one_s(lab):
    lab.server.add("ids", range(1000))
    crowd = Crowd(lab, 3)
    leaves = crowd.others[0]
    crowd.answer(crowd.first[0])
    leaves.interrupt() if not leaves.request else crowd.others[1].interrupt()
    crowd.answer(*crowd.leaders)
    assert sorted(caller.value for caller in crowd.others if caller.value) == [1, 2]
    assert Caller(crowd.takers).value == 3


@pytest.mark.parametrize("handed_out", [True, False], ids=["the reply is lost", "the request is lost"])
def test_the_value_of_one_that_was_interrupted_alone_is_the_next_one_s(lab, handed_out):
    ids = lab.server.add("ids", range(1000))
    crowd = Crowd(lab, 0)
    leaver = crowd.first[0]
    sent = leaver.request
    if handed_out:
        crowd.served(leaver)
    leaver.interrupt()
    crowd.others = [Caller(crowd.takers)]
    assert crowd.others[0].request == sent
    crowd.answer(*crowd.others)
    assert (crowd.others[0].value, ids.taken) == (0, 1)


def test_when_all_have_gone_their_request_is_not_repeated(lab):
    ids = lab.server.add("ids", range(1000))
    crowd = Crowd(lab, 2)
    crowd.answer(crowd.first[0])
    (leader,) = crowd.leaders
    (other,) = set(crowd.others) - {leader}
    other.interrupt()
    leader.interrupt()
    assert Caller(crowd.takers).asks_for == 1
    assert ids.taken == 1


def test_who_leaves_the_line_is_not_asked_for(lab):
    lab.server.add("ids", range(1000))
    crowd = Crowd(lab, 3)
    crowd.others[0].interrupt()
    crowd.answer(crowd.first[0])
    assert [caller.asks_for for caller in crowd.leaders] == [2]


def test_a_server_that_gives_fewer_at_once_is_asked_for_fewer(lab):
    lab.server.add("ids", range(1000))
    crowd = Crowd(lab, 9)
    crowd.answer(crowd.first[0])
    members = {"type": "urn:dibs:problem:limit-exceeded", "status": 422, "field": "count", "limit": "1..3"}
    crowd.leaders[0].go(Reply(422, {}, json.dumps({**members, "detail": "no"}).encode()))
    crowd.wake()
    assert [caller.asks_for for caller in crowd.leaders] == [3]
    for first in crowd.first[1:]:
        crowd.answer(first)
    assert sorted(caller.asks_for for caller in crowd.leaders) == [3, 3, 3]
    crowd.answer(*crowd.leaders)
    assert None not in {caller.value for caller in crowd.others}


def test_a_server_that_is_not_there_is_told_to_all(lab):
    crowd = Crowd(lab, 4)
    gone = Lost(OSError("gone"), reached=False)
    crowd.first[0].go(gone)
    crowd.wake()
    crowd.leaders[0].go(gone)
    crowd.wake()
    assert {type(caller.error).__name__ for caller in (crowd.first[0], *crowd.others)} == {"Unreachable"}


# -- with the clients


def test_threads_get_each_value_once_and_all_of_them(wire):
    ids = wire.server.add("ids", range(3000))
    found, start = [], threading.Barrier(40)
    with Client("http://dibs", transport=wire) as client:

        def take():
            start.wait(60)
            found.extend(client.queue("ids"))

        threads = [threading.Thread(target=take) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert sorted(found) == list(range(3000))
    assert ids.taken == 3000


def test_tasks_that_are_cancelled_lose_nothing_of_others(wire):
    wire.server.add("ids", range(400))

    async def main():
        found = []

        async def take(client):
            async for value in client.queue("ids"):
                found.append(value)
                await asyncio.sleep(0)

        async with AsyncClient("http://dibs", transport=wire) as client:
            tasks = [asyncio.create_task(take(client)) for _ in range(40)]
            for n in range(20):
                await asyncio.sleep(0.002)
                tasks[n].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return found

    found = asyncio.run(main())
    assert len(found) == len(set(found))
    assert len(found) >= 400 - 20  # a task that was cancelled may have lost its own


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_of_a_fork_has_its_own_line(wire):
    wire.server.add("ids", range(9))
    with Client("http://dibs", transport=wire) as client:
        assert next(iter(client.queue("ids"))) == 0
        takers = client.setup.takers("ids")
        with takers._lock:  # as a thread of the parent may hold it
            child = os.fork()
            if not child:
                os._exit(client.setup.takers("ids") is takers)
        assert os.waitpid(child, 0)[1] == 0
        assert client.setup.takers("ids") is takers


def test_each_value_that_is_left_over_wakes_one_who_stands_in_line(lab):
    lab.server.add("ids", range(1000))
    crowd = Crowd(lab, 4)
    crowd.answer(crowd.first[0])
    (leader,) = crowd.leaders
    late = [Caller(crowd.takers) for _ in range(2)]
    answer = crowd.served(leader)
    for follower in [caller for caller in crowd.others if caller is not leader][:2]:
        follower.interrupt()
        crowd.others.remove(follower)
    crowd.others += late
    leader.go(answer)
    crowd.wake()
    assert all(isinstance(caller.value, int) for caller in late)
