"""The quick way to encode a value gives the careful one's text, and refuses what that refuses."""

import json

import pytest
from dibs.api.values import value_encoder
from dibs.errors import ValueRefused
from dibs.sources.encode import encoder
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

LIMIT = 200
quick, careful = value_encoder(LIMIT), encoder(LIMIT)

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(2**53 - 3, 2**53 + 3),
    st.floats(),
    st.text(st.characters(exclude_categories=())),
    st.sampled_from(["Infinity", "1234567890123456", "[" * 101, "{"]),
)
VALUES = st.recursive(
    LEAVES, lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside), max_leaves=20
)


def outcome(encode, value):
    try:
        return encode(value)
    except (PydanticCustomError, ValueRefused):
        return "refused"


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(VALUES)
def test_both_ways_say_the_same(value):
    assert outcome(quick, value) == outcome(careful, value)


@pytest.mark.parametrize("depth", [1, 99, 100, 101, 500])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_depth(depth, opening, closing):
    value = json.loads(opening * depth + "1" + closing * depth)
    encode = value_encoder(10_000)
    if depth > 100:
        with pytest.raises(PydanticCustomError, match="a value nested more than 100 levels"):
            encode(value)
    else:
        assert json.loads(encode(value)) == value


@pytest.mark.parametrize(
    ("value", "detail", "limit"),
    [
        (
            2**53,
            "an integer beyond ±(2^53-1), 9007199254740992, which many readers of JSON would round",
            None,
        ),
        ([1, {"a": 2**53}], "a value whose [1]['a'] is an integer beyond", None),
        ("x" * LIMIT, f"a value of {LIMIT + 2} bytes; the limit is {LIMIT}", LIMIT),
        (["x" * LIMIT], f"a value of more than {LIMIT} bytes", LIMIT),
        ("\ud800", "text with the lone surrogate U+D800, which UTF-8 can't carry", None),
        ({"\udfff": 1}, "text with the lone surrogate U+DFFF", None),
        (float("inf"), "inf, which JSON has not", None),
    ],
)
def test_a_refusal_names_the_limit_in_the_pushers_words(value, detail, limit):
    with pytest.raises(PydanticCustomError) as refusal:
        quick(value)
    error = refusal.value
    assert (error.type, error.context["limit"]) == ("value-refused", limit)
    assert error.message().startswith(detail)
    assert "source" not in error.message()
    assert "yield" not in error.message()
