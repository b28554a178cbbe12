"""Ranges, and texts that fit."""

from itertools import pairwise

import pytest
from dibs.client.text import ERROR_BYTES, encode, fit, ranges, told
from hypothesis import given
from hypothesis import strategies as st


@given(st.sets(st.integers(1, 60)))
def test_ranges_hold_exactly_the_seqs(seqs):
    found = ranges(seqs)
    assert [seq for first, last in found for seq in range(first, last + 1)] == sorted(seqs)
    assert all(after[0] > before[1] + 1 for before, after in pairwise(found))


@given(st.text(st.characters(codec=None), max_size=50), st.integers(10, 60))
def test_a_text_that_fits(text, limit):
    cut = fit(text, limit)
    assert len(cut.encode()) <= limit
    if len(text.encode(errors="backslashreplace")) > limit:
        assert cut.startswith("…")
        assert text.encode(errors="backslashreplace").decode().endswith(cut[1:])


def test_an_exception_is_told_with_its_end():
    def deep(n):
        return deep(n - 1) if n else 1 / 0

    with pytest.raises(ZeroDivisionError) as caught:
        deep(100)
    text = told(caught.value)
    assert text.startswith(
        "ZeroDivisionError: division by zero\n\nTraceback"
    )  # as dead letters are told apart
    assert text.endswith("ZeroDivisionError: division by zero")
    assert "…" not in told(ValueError("short"))
    assert len(told(ValueError("ü" * 10_000)).encode()) <= ERROR_BYTES


def test_encode_keeps_letters():
    assert encode({"a": ["ü", 1, None]}) == '{"a":["ü",1,null]}'
