from __future__ import annotations

import json
from collections import OrderedDict, namedtuple
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum

import pytest
from dibs.errors import ValueRefused
from dibs.sources.encode import MAX_DEPTH, MAX_SAFE, encoder, find_fault, wide_encoder
from hypothesis import given, settings
from hypothesis import strategies as st

encode = encoder()

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_SAFE, MAX_SAFE)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Loud(int):
    def __str__(self) -> str:
        return "loud"

    __repr__ = __str__


Point = namedtuple("Point", "x y")


@settings(max_examples=50, deadline=None)
@given(JSON)
def test_the_text_is_compact_json_of_the_same_value(value):
    text = encode(value)
    assert json.loads(text) == value
    assert text == json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("é\n\"😀", '"é\\n\\"😀"'),
        (MAX_SAFE, "9007199254740991"),
        (-MAX_SAFE, "-9007199254740991"),
        (True, "true"),
        (None, "null"),
        (1.0, "1.0"),
        (1e300, "1e+300"),
        (Colour.RED, '"red"'),
        (Level.HIGH, "3"),
        (Loud(7), "7"),
        ([Level.HIGH, Loud(7)], "[3,7]"),
        (Point(1, (2, 3)), "[1,[2,3]]"),
        (OrderedDict(b=1, a=[]), '{"b":1,"a":[]}'),
        ({Colour.RED: None}, '{"red":null}'),
    ],
)  # fmt: skip
def test_sub_classes_travel_as_what_they_are_derived_from(value, text):
    assert encode(value) == text


def cycle() -> list[object]:
    items: list[object] = []
    items.append(items)
    return items


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def shared(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value, value]
    return value


REFUSED = [
    (MAX_SAFE + 1, "an integer beyond ±(2^53-1), 9007199254740992"),
    (-MAX_SAFE - 1, "beyond"),
    (10**5000, "of 16610 bits"),
    ({"a": [1, {"b": 2**60}]}, "whose ['a'][1]['b'] is an integer beyond"),
    (Loud(2**60), "beyond"),
    (float("nan"), "nan, which JSON has not"),
    ([float("inf")], "whose [0] is inf"),
    ({"x": float("-inf")}, "whose ['x'] is -inf"),
    ("\ud800", "lone surrogate U+D800"),
    (["\udfff"], "lone surrogate U+DFFF"),
    ({"\ud83d": 1}, "lone surrogate U+D83D"),
    ({1: 2}, "a dict with a value of type int as a key"),
    ({"a": {None: 2}}, "whose ['a'] is a dict with a value of type NoneType as a key"),
    ({(): 2}, "type tuple as a key"),
    (b"bytes", "type bytes, which is not JSON"),
    ({1, 2}, "type set"),
    (Decimal(1), "type Decimal"),
    ([datetime(2024, 1, 1, tzinfo=UTC)], "whose [0] is a value of type datetime"),
    (object(), "type object"),
    (iter([]), "type list_iterator"),
    (cycle(), "nested more than 100 levels deep"),
    (nested(MAX_DEPTH + 1), "nested more than 100 levels deep"),
    (shared(90), "more than 262144 bytes"),
    (["x" * 1000] * 1_000_000, "more than 262144 bytes"),
    ("x" * 262_144, "262146 bytes; the limit is 262144"),
    ("x" * 262_145, "more than 262144 bytes"),
    ("é" * 131_072, "262146 bytes"),
    ("\n" * 131_072, "262146 bytes"),
    ({"x" * 300_000: 1}, "more than 262144 bytes"),
]


@pytest.mark.parametrize(("value", "why"), REFUSED, ids=[why for _, why in REFUSED])
def test_what_json_can_not_carry_exactly_is_refused(value, why):
    with pytest.raises(ValueRefused) as refused:
        encode(value)
    assert why in str(refused.value)


@pytest.mark.parametrize("value", ["x" * 8, [1, 2, 34, 5], {"a": 1234}, "éééé", 1_234_567_890])
def test_a_value_of_just_the_limit_passes(value):
    limit = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
    assert encoder(limit)(value)
    with pytest.raises(ValueRefused, match="bytes"):
        encoder(limit - 1)(value)


def test_just_the_deepest_nesting_passes():
    assert encode(nested(MAX_DEPTH)) == "[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH


def test_a_wide_source_gives_strings_from_the_first_on():
    wide = wide_encoder()
    assert [wide(value) for value in (1, -(2**63), 10**40, Level.HIGH, "x", Colour.RED)] == [
        '"1"',
        f'"-{2**63}"',
        f'"{10**40}"',
        '"3"',
        '"x"',
        '"red"',
    ]


@pytest.mark.parametrize("value", [1.0, True, None, [1], {"a": 1}])
def test_a_wide_source_gives_nothing_but_integers_and_text(value):
    with pytest.raises(ValueRefused, match="declares wide"):
        wide_encoder()(value)


def test_a_wide_integer_has_the_limit_of_bytes_and_of_digits():
    with pytest.raises(ValueRefused, match="12 bytes; the limit is 11"):
        wide_encoder(11)(10**9)
    with pytest.raises(ValueRefused, match="of 16610 bits"):
        wide_encoder()(10**5000)


def test_arguments_may_have_integers_of_any_size():
    assert find_fault([2**63], budget=100, wide=True) is None
    assert find_fault([2**63], budget=100)
