"""The dealer of ``--threads``: each connection goes to the next loop; no room means a pause, not a spin."""

import asyncio
import errno

import pytest
from dibs.cli.loops import PAUSE, Dealer, SideLoop
from dibs.errors import ConfigError


class Listener:
    """Gives or raises what the test says, in order; then there is nobody."""

    def __init__(self, *given):
        self.given = list(given)

    def accept(self):
        if not self.given:
            raise BlockingIOError
        one = self.given.pop(0)
        if isinstance(one, int):
            raise OSError(one, "accept")
        return one, ("127.0.0.1", 1)


class Connection:
    blocking = True

    def setblocking(self, blocking):
        self.blocking = blocking


class Loop:
    """Readers and timers by hand."""

    def __init__(self):
        self.readers, self.timers = {}, []

    def add_reader(self, listener, callback):
        self.readers[listener] = callback

    def remove_reader(self, listener):
        return self.readers.pop(listener, None) is not None

    def call_later(self, seconds, callback):
        timer = asyncio.TimerHandle(0, callback, (), self)
        self.timers.append((seconds, timer))
        return timer

    def _timer_handle_cancelled(self, handle):
        pass

    def get_debug(self):
        return False


@pytest.fixture
def loop(monkeypatch):
    loop = Loop()
    monkeypatch.setattr("dibs.cli.loops.asyncio.get_running_loop", lambda: loop)
    return loop


def test_each_in_turn(loop):
    dealt = [[], []]
    connections = [Connection() for _ in range(5)]
    listener = Listener(*connections)
    Dealer(listener, [dealt[0].append, dealt[1].append])
    loop.readers[listener]()
    assert dealt == [connections[::2], connections[1::2]]
    assert not any(connection.blocking for connection in connections)


def test_one_that_is_gone_already_costs_no_pause(loop):
    dealt, connection = [], Connection()
    listener = Listener(errno.ECONNABORTED, connection)
    Dealer(listener, [dealt.append])
    loop.readers[listener]()
    loop.readers[listener]()
    assert (dealt, loop.timers) == ([connection], [])


@pytest.mark.parametrize("full", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_without_room_it_looks_away_for_a_while(loop, full):
    dealt, connection = [], Connection()
    listener = Listener(full, connection)
    dealer = Dealer(listener, [dealt.append])
    loop.readers[listener]()
    assert loop.readers == {}, "a loop that is told again at once does nothing else"
    [(seconds, timer)] = loop.timers
    assert seconds == PAUSE
    timer._run()
    loop.readers[listener]()
    assert dealt == [connection]
    dealer.close()
    assert loop.readers == {}


def test_closed_in_the_pause_it_stays_closed(loop):
    listener = Listener(errno.EMFILE)
    dealer = Dealer(listener, [lambda connection: None])
    loop.readers[listener]()
    dealer.close()
    assert loop.timers[0][1].cancelled()
    assert loop.readers == {}


def test_a_further_loop_that_cannot_begin_stops_the_start_with_its_reason():
    async def start():
        no_house = None
        SideLoop(no_house, None, asyncio.get_running_loop(), lambda *_: None, 2).start()

    with pytest.raises(ConfigError, match=r"the server can't start dibs-loop-2: .*'limits'"):
        asyncio.run(start())
