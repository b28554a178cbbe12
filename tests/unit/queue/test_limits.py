"""Over a limit is an error that names field and limit; at the limit is fine."""

from __future__ import annotations

import pytest
from dibs.errors import LimitExceeded
from dibs.queue.limits import Limits, check_name

LIMITS = Limits()


@pytest.mark.parametrize("name", ["a", "0", "a.b-c_d", "x" * 64, "...", "-"])
def test_a_name(name):
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", "x" * 65, "A", "a b", "a/b", "ä", "a\0", "a\n", ".", "..", "a%2fb", "{q}", "\ud800"]
)
def test_no_name(name):
    with pytest.raises(LimitExceeded) as caught:
        check_name(name)
    assert caught.value.field == "queue"


@pytest.mark.parametrize("count", [1, 500])
def test_a_count(count):
    LIMITS.check_count("count", count, 500)


@pytest.mark.parametrize("count", [0, -1, 501, 2**63])
def test_no_count(count):
    with pytest.raises(LimitExceeded, match="from 1 to 500") as caught:
        LIMITS.check_count("size", count, 500)
    assert (caught.value.field, caught.value.limit) == ("size", 500)


def test_the_defaults_are_those_of_the_design():
    assert (LIMITS.count, LIMITS.block, LIMITS.handout_bytes) == (10_000, 1_000_000, 4 * 2**20)
    assert (LIMITS.wait, LIMITS.key_bytes, LIMITS.key_ttl) == (30, 255, 86_400)
