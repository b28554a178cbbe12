from __future__ import annotations

import pytest
from dibs.errors import SourceInvalid
from dibs.sources import SourceSpec, parse_source
from hypothesis import example, given, settings
from hypothesis import strategies as st

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
NAMES = st.from_regex(r"\A[a-z_][a-z0-9_]*(\.[a-z]+)?(:[a-z]+(\.[a-z]+)?)?\Z")


@settings(max_examples=50, deadline=None)
@example("grid", {"A\r": [1], "A ": [1], "A": [1]}, [])
@given(NAMES, st.dictionaries(st.text(), VALUES, max_size=4), st.lists(VALUES, max_size=2))
def test_text_is_read_back_as_the_same_spec(name, args, positional):
    spec = SourceSpec(name, args, tuple(positional))
    read = parse_source(spec.text)
    assert read == spec
    assert (read.name, dict(read.args), read.positional) == (name, args, tuple(positional))
    assert list(read.args) == list(args)


@pytest.mark.parametrize(
    ("text", "name", "args", "positional"),
    [
        ("count", "count", {}, ()),
        ("count()", "count", {}, ()),
        ("  count ( start = 100 , step=-5 ) ", "count", {"start": 100, "step": -5}, ()),
        ("count(max=2**63-1)", "count", {"max": 2**63 - 1}, ()),
        ("count(min=-2**63)", "count", {"min": -(2**63)}, ()),
        ("count(max=2 ** 10 + 1,)", "count", {"max": 1025}, ()),
        ("range(1_000, 2_000)", "range", {}, (1000, 2000)),
        ("lines(files.txt)", "lines", {}, ("files.txt",)),
        ("lines(/tmp/a b.txt)", "lines", {}, ("/tmp/a b.txt",)),
        (r"lines(C:\jobs\new.txt)", "lines", {}, (r"C:\jobs\new.txt",)),
        ("lines('a (1), b=2.txt')", "lines", {}, ("a (1), b=2.txt",)),
        (
            r"csv(path=t.tsv, delimiter='\t', header=false)",
            "csv",
            {"path": "t.tsv", "delimiter": "\t", "header": False},
            (),
        ),
        (
            "grid(lr=[0.1, 1e-3, .5], on=(True, false, None, null))",
            "grid",
            {"lr": [0.1, 0.001, 0.5], "on": [True, False, None, None]},
            (),
        ),
        (
            "grid(model=[small, large], day=[2024-01-01, 007])",
            "grid",
            {"model": ["small", "large"], "day": ["2024-01-01", "007"]},
            (),
        ),
        (
            'grid("learning rate"=[1], o=[{"a": b, \'c\': [1, {}]}])',
            "grid",
            {"learning rate": [1], "o": [{"a": "b", "c": [1, {}]}]},
            (),
        ),
        (
            'jobs.sweep:Maker.generate(3, x="\\u00e9 \\ud83d\\ude00 \\x41 \\"")',
            "jobs.sweep:Maker.generate",
            {"x": 'é 😀 A "'},
            (3,),
        ),
    ],
)
def test_what_is_read(text, name, args, positional):
    spec = parse_source(text)
    assert (spec.name, dict(spec.args), spec.positional) == (name, args, positional)
    assert list(map(type, spec.args.values())) == list(map(type, args.values()))


@pytest.mark.parametrize(
    ("text", "position", "why"),
    [
        ("", 1, "begins with its name"),
        ("1count", 1, "begins with its name"),
        ("count(", 7, "expected a value"),
        ("count(,)", 7, "expected a value"),
        ("count(start=)", 13, "expected a value"),
        ("count(start=1", 14, "expected ',' or ')'"),
        ("count(start=1))", 15, "unexpected ')'"),
        ("count start", 7, "unexpected 's'"),
        ("count(start=1, start=2)", 16, "'start' is given twice"),
        ("count(start=1, 2)", 16, "without a name comes after"),
        ("lines(a (1).txt)", 9, "quote text"),
        ("lines('a.txt)", 7, "no end"),
        ("lines('a' b)", 11, "expected ',' or ')'"),
        (r"lines('a\qb')", 9, "unknown escape"),
        ("grid(x=[NaN])", 9, "not JSON"),
        ("grid(x=[-Infinity])", 9, "not JSON"),
        ("grid(x=[1e999])", 9, "too large"),
        ("grid(x=9**9999)", 8, "too large"),
        ("grid(x={1: 2})", 9, "quoted text"),
        ('grid(x={"a" 2})', 13, "expected ':'"),
        ('grid(x={"a": 1, "a": 2})', 17, "given twice"),
        ("grid(x=" + "[" * 200 + ")", 108, "levels deep"),
        ("grid(x=" + "9" * 5000 + ")", 8, "digits"),
        ("a:b:c", 4, "unexpected ':'"),
        ("count(start=__import__('os'))", 23, "quote text"),
    ],
)
def test_what_is_refused_names_the_position(text, position, why):
    with pytest.raises(SourceInvalid, match=f"position {position}: .*") as refused:
        parse_source(text)
    assert why in str(refused.value)


def test_nothing_is_evaluated():
    spec = parse_source("x:y(a=1+1, b=open, c=print)")
    assert dict(spec.args) == {"a": "1+1", "b": "open", "c": "print"}


def test_a_text_has_a_limit():
    with pytest.raises(SourceInvalid, match="65537 characters; the limit is 65536"):
        parse_source("x" * 65_537)


def test_specs_are_equal_as_written_and_not_as_python_counts():
    one = SourceSpec("grid", {"a": [1], "b": [2]})
    assert one == SourceSpec("grid", {"a": [1], "b": [2]})
    assert hash(one) == hash(SourceSpec("grid", {"a": [1], "b": [2]}))
    assert one != SourceSpec("grid", {"b": [2], "a": [1]})
    assert one != SourceSpec("grid", {"a": [True], "b": [2]})
    assert one != SourceSpec("grid", {"a": [1.0], "b": [2]})
    assert one != "grid(a=[1], b=[2])"
    assert str(one) == "grid(a=[1], b=[2])"


def test_a_spec_keeps_its_own_copy_of_the_arguments():
    args = {"start": 1}
    spec = SourceSpec("count", args)
    args["start"] = 2
    assert spec.text == "count(start=1)"
