from __future__ import annotations

import json
from itertools import product

import pytest
from dibs.errors import SourceInvalid
from dibs.sources import Registry, SourceSpec
from hypothesis import given, settings
from hypothesis import strategies as st

AXES = st.dictionaries(
    st.text(max_size=5),
    st.lists(st.integers(-9, 9) | st.text(max_size=3), min_size=1, max_size=4),
    max_size=4,
).filter(bool)


@settings(max_examples=40, deadline=None)
@given(AXES, st.integers(0, 300), st.lists(st.integers(1, 9)))
def test_the_order_is_that_of_nested_loops_from_any_cursor(registry, drain, axes, cursor, sizes):
    expected = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    spec = registry.check(SourceSpec("grid", axes), trusted=False)
    source = registry.open(spec, cursor=cursor)
    drawn = [text for size in sizes for text in source.iterator.take(size)] + drain(source)
    assert [json.loads(text) for text in drawn] == expected[cursor:]
    values = registry.seekable(spec).values
    assert len(values) == len(expected)
    assert values[cursor : cursor + len(expected)] == drawn


def test_the_last_axis_changes_fastest(start, drain):
    assert drain(start("grid(lr=[0.1, 0.2], seed=[1, 2])")) == [
        '{"lr":0.1,"seed":1}',
        '{"lr":0.1,"seed":2}',
        '{"lr":0.2,"seed":1}',
        '{"lr":0.2,"seed":2}',
    ]
    assert next(start("grid(seed=[1, 2], lr=[0.1, 0.2])", cursor=1).iterator) == '{"seed":1,"lr":0.2}'


def test_any_cursor_of_a_huge_grid_is_found_at_once(start, values):
    axes = ", ".join(f"a{n}=[0,1,2,3,4,5,6,7,8,9]" for n in range(18))
    source = start(f"grid({axes})", cursor=1_234_567_890_123_456)
    assert len(values(f"grid({axes})")) == 2**53 - 1  # where every queue ends
    assert list(json.loads(next(source.iterator)).values()) == list(map(int, "001234567890123456"))
    assert (source.resume, source.arithmetic, source.wide) == ("seek", False, False)


def test_axes_may_have_any_name(registry):
    spec = registry.check(
        SourceSpec("grid", {"context": [1], "self": [2], "a b": [3], "": [4]}), trusted=False
    )
    assert list(registry.open(spec).iterator) == ['{"context":1,"self":2,"a b":3,"":4}']


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ({}, "at least one axis"),
        ({"x": []}, "grid.x: must have at least one value"),
        ({"x": 5}, "grid.x: must be a list of values, not the number 5"),
        ({"x": "abc"}, "grid.x: must be a list of values, not the text 'abc'"),
        ({"x": {"a": 1}}, "grid.x: must be a list of values, not an object"),
        ({"x": [1, 2**60]}, "grid.x: the source yielded an integer beyond"),
        ({"x": [float("nan")]}, "grid.x: "),
        ({"x": ["\ud800"]}, "lone surrogate"),
        ({f"a{n}": [0, 1] for n in range(63)}, "9223372036854775808 combinations"),
    ],
)
def test_what_is_refused(args, why, registry):
    with pytest.raises(SourceInvalid) as refused:
        registry.check(SourceSpec("grid", args), trusted=True)
    assert why in str(refused.value)


def test_the_longest_object_stays_within_the_limit_of_a_value():
    spec = SourceSpec("grid", {"a": [1, 22], "é": ["x", "yyy"]})
    longest = len('{"a":22,"é":"yyy"}'.encode())
    assert Registry(max_value_bytes=longest).check(spec, trusted=True) == spec
    with pytest.raises(SourceInvalid, match=f"{longest} bytes; the limit is {longest - 1}"):
        Registry(max_value_bytes=longest - 1).check(spec, trusted=True)


def test_axes_have_names(check):
    with pytest.raises(SourceInvalid, match="no arguments by position"):
        check("grid([1, 2])")
