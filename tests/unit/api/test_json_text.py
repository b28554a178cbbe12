"""A text read a window at a time gives what the decoder gives, and is refused where that refuses it."""

import json
from json import JSONDecodeError, JSONDecoder

import pytest
from dibs.api.json_text import LEVELS, WindowedReader
from hypothesis import given
from hypothesis import strategies as st


class TooManyError(Exception):
    pass


def too_many(most):
    raise TooManyError(most)


def pairs_of(pairs):
    return {"pairs": pairs}


DECODER = JSONDecoder(object_pairs_hook=pairs_of)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner, max_size=6),
    max_leaves=40,
)


def outcome(read):
    """The value, or what is wrong and where."""
    try:
        return read()
    except JSONDecodeError as error:
        return error.msg, error.pos


def windowed(text, window, most=100):
    return WindowedReader(text, DECODER, pairs_of, most=most, over=too_many, window=window).read()


@given(VALUES, st.integers(1, 40), st.sampled_from([None, 0, 1, "\t"]))
def test_the_same_values(value, window, indent):
    text = f" {json.dumps(value, indent=indent, ensure_ascii=bool(indent))}\n"
    try:
        assert windowed(text, window) == DECODER.decode(text)
    except TooManyError as error:
        assert error.args == (0,)  # noqa: PT017  # deeper than anything of ours


@given(
    VALUES, st.integers(1, 40), st.integers(0, 200), st.sampled_from(["", ",", "]", "}", '"', "x", ":", "1"])
)
def test_the_same_refusals(value, window, at, damage):
    text = json.dumps(value)
    text = text[:at] + damage + text[at + 1 :]
    try:
        assert outcome(lambda: windowed(text, window)) == outcome(lambda: DECODER.decode(text))
    except TooManyError as error:
        assert error.args == (0,)  # noqa: PT017


@pytest.mark.parametrize("text", ["[1,2,3,4,5,6,7,8]", '{"a":1,"b":2,"c":3,"d":4}', "[[],[],[],[],[],[]]"])
def test_more_members_than_there_may_be(text):
    with pytest.raises(TooManyError, match="3"):
        windowed(text, 4, most=3)
    assert windowed(text, len(text), most=3) == DECODER.decode(text)


def test_a_number_is_not_cut_by_the_windows_end():
    for window in range(1, 20):
        assert windowed("[1234567890,-1.5e300]", window) == [1234567890, -1.5e300]


def test_large_lists_stand_no_deeper_than_ours():
    def nested(levels):
        return "[" * levels + "1,2,3,4,5,6,7,8" + "]" * levels

    assert windowed(nested(LEVELS), 8) == json.loads(nested(LEVELS))
    with pytest.raises(TooManyError, match="0"):
        windowed(nested(LEVELS + 1), 8)
