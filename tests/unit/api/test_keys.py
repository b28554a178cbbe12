"""What OpenAPI says of an idempotency key is what its reader takes, under any limit."""

import re

import pytest
from dibs.api.keys import pattern, read_key
from dibs.errors import DibsError


def taken(raw, limit):
    try:
        return read_key(raw.encode(), None, limit) is not None
    except DibsError:
        return False


@pytest.mark.parametrize("limit", [1, 2, 3, 9, 255])
def test_the_pattern_of_a_key_is_that_of_its_reader(limit):
    keys = re.compile(pattern(limit))
    for size in (limit - 1, limit, limit + 1):
        text = "a" * size
        spaced, escaped = text.replace("aaa", "a a"), '\\"' * size
        for raw in (text, spaced, f'"{text}"', f'"{spaced}"', f'"{escaped}"', f'"{text}', f"{text}ü"):
            assert bool(keys.search(raw)) == taken(raw, limit), raw
    assert taken("a" * limit, limit)
    assert not taken("a" * (limit + 1), limit)
    assert taken('"' + "\\\\" * limit + '"', limit)
