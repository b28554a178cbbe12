"""Wrong tokens are slowed by their address, in bounded memory."""

import pytest
from dibs.access import throttle
from dibs.access.throttle import EVERY, TRIES, Throttle


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


def test_ten_at_once_and_then_one_every_six_seconds():
    clock = Clock()
    slow = Throttle(clock)
    assert [slow.failed("192.0.2.1") for _ in range(TRIES)] == [0.0] * TRIES
    assert slow.failed("192.0.2.1") == EVERY
    clock.now += EVERY - 1
    assert slow.failed("192.0.2.1") == 1.0
    clock.now += 1
    assert slow.failed("192.0.2.1") == 0.0
    assert slow.failed("192.0.2.1") == EVERY
    assert slow.failed("192.0.2.2") == 0.0
    clock.now += TRIES * EVERY
    assert [slow.failed("192.0.2.1") for _ in range(TRIES + 1)] == [0.0] * TRIES + [EVERY]


def test_a_network_of_ipv6_is_one_place():
    slow = Throttle(Clock())
    waits = [slow.failed(f"2001:db8::{number:x}") for number in range(TRIES + 1)]
    assert waits == [0.0] * TRIES + [EVERY]
    assert slow.failed("2001:db8:1::1") == 0.0
    assert [slow.failed("::ffff:192.0.2.1") for _ in range(TRIES)] == [0.0] * TRIES
    assert slow.failed("192.0.2.1") == EVERY
    assert slow.failed("no address") == slow.failed("") == 0.0


def test_the_memory_is_bounded_and_the_one_that_failed_longest_ago_goes(monkeypatch):
    monkeypatch.setattr(throttle, "ADDRESSES_MOST", 3)
    slow = Throttle(Clock())
    for _ in range(TRIES):
        slow.failed("192.0.2.1")
    for last in (2, 3, 4):
        slow.failed("192.0.2.1")
        slow.failed(f"192.0.2.{last}")
    assert len(slow._free_at) == 3
    assert slow.failed("192.0.2.1") == EVERY
    for last in (5, 6, 7):
        slow.failed(f"192.0.2.{last}")
    assert slow.failed("192.0.2.1") == 0.0


@pytest.mark.parametrize("address", ["192.0.2.1:{}", "[2001:db8::7]:{}", "::ffff:192.0.2.{}:80"])
def test_a_port_makes_no_other_address(address):
    slow = Throttle(Clock())
    tried = [slow.failed(address.format(number)) for number in range(1, TRIES + 2)]
    assert (tried[-1] > 0) == ("{}:80" not in address)
