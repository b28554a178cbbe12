from __future__ import annotations

import builtins
import json

import pytest
from dibs.errors import SourceChanged, SourceInvalid
from dibs.sources import MAX_SAFE, Registry, SourceSpec
from hypothesis import example, given, settings
from hypothesis import strategies as st

FAST = settings(max_examples=40, deadline=None)
SMALL = st.integers(-50, 50)
STEP = SMALL.filter(bool)


def plain(start, step, low, high):
    """What count means, in plain Python."""
    while low <= start <= high:
        yield start
        start += step


@FAST
@given(
    st.tuples(SMALL, STEP, st.integers(0, 60), st.integers(0, 60)),
    st.integers(0, 130),
    st.lists(st.integers(1, 9)),
)
def test_count_from_any_cursor_is_plain_python(start, drain, values, shape, cursor, sizes):
    begin, step, below, above = shape
    low, high = begin - below, begin + above
    expected = list(plain(begin, step, low, high))
    text = f"count(start={begin}, step={step}, min={low}, max={high})"
    source = start(text, cursor=cursor)
    drawn = [number for size in sizes for number in source.iterator.take(size)] + drain(source)
    assert drawn == expected[cursor:]
    assert len(values(text)) == len(expected)
    assert next(source.iterator, "end") == "end"
    assert list(values(text)[cursor : cursor + len(drawn)]) == drawn


@FAST
@given(st.tuples(SMALL, SMALL, STEP), st.integers(0, 110))
def test_range_is_pythons(start, drain, values, shape, cursor):
    source = start(f"range{shape}", cursor=cursor)
    assert drain(source) == list(builtins.range(*shape))[cursor:]
    assert len(values(f"range{shape}")) == len(builtins.range(*shape))


@FAST
@given(
    SMALL, STEP, st.sampled_from(["{}", "n{:03d}!", "{0:+,}", '"{:x}"é', "{{{:_>6}}}"]), st.integers(0, 40)
)
def test_formatted_numbers_are_found_again_by_their_seq(start, values, first, step, form, cursor):
    text = f"count(start={first}, step={step}, min=-5000, max=5000, format={form!r})"
    whole = start(text).iterator.take(60)
    assert start(text, cursor=cursor).iterator.take(20) == whole[cursor : cursor + 20]
    assert values(text)[cursor : cursor + 20] == whole[cursor : cursor + 20]


def test_numbers_come_as_ranges_of_any_size_from_any_cursor(start, values):
    source = start("count", cursor=1_000_000_000)
    assert source.arithmetic
    assert not source.wide
    assert source.resume == "seek"
    assert source.iterator.take(1_000_000) == builtins.range(1_000_000_001, 1_001_000_001)
    assert next(source.iterator) == 1_001_000_001
    assert values("count")[10**15 - 1 :][:3] == builtins.range(10**15, 10**15 + 3)
    source.close()


def test_count_ends_at_its_max_and_never_wraps(start, drain):
    source = start("count", cursor=MAX_SAFE - 2)
    assert drain(source) == [MAX_SAFE - 1, MAX_SAFE]
    assert source.iterator.state == "exhausted"
    assert list(start("count", cursor=MAX_SAFE).iterator) == []
    assert list(start("count", cursor=2**60).iterator) == []
    assert drain(start("count(step=2, max=10)")) == [1, 3, 5, 7, 9]
    assert drain(start("count(start=3, step=-2, min=-4)")) == [3, 1, -1, -3]


def test_the_largest_numbers_are_wide_and_stay_ranges(start, values):
    source = start("count(start=2**63-4, max=2**63-1)")
    assert source.wide
    assert source.arithmetic
    assert source.iterator.take(9) == builtins.range(2**63 - 4, 2**63)
    assert values("count(start=2**63-4, max=2**63-1)") == builtins.range(2**63 - 4, 2**63)


@pytest.mark.parametrize("text", ["count(max=2**63-1)", "range(2**62)", "count(step=1000, max=2**63-1)"])
def test_a_source_ends_where_every_queue_ends(text, start, values):
    """Its values may be strings, the seqs are numbers."""
    source = start(text, cursor=2**53 - 3)
    assert len(values(text)) == 2**53 - 1
    assert len(source.iterator.take(9)) == 2
    assert list(source.iterator.take(9)) == []
    assert source.iterator.state == "exhausted"


@pytest.mark.parametrize(
    ("text", "wide"),
    [
        ("count(max=2**53-1)", False),
        ("count(max=2**53)", True),
        ("count(min=-2**53)", True),
        ("count(start=-2**60, min=-2**60)", True),
        ("count(step=-1)", False),
        ("range(2**53)", False),
        ("range(2**53+1)", True),
        ("range(-2**53, 0)", True),
        ("range(2**60, 5)", False),
        ("range(0, 2**60, 2**59)", True),
    ],
)
def test_who_goes_beyond_what_json_readers_keep_is_wide_from_the_first_on(text, wide, start):
    assert start(text).wide is wide


def test_a_format_makes_texts(start, values):
    source = start('count(format="INV-{:06d}")', cursor=41)
    assert not source.arithmetic
    assert next(source.iterator) == '"INV-000042"'
    assert source.iterator.take(2) == ['"INV-000043"', '"INV-000044"']
    assert values('count(format="INV-{:06d}")')[0:2] == ['"INV-000001"', '"INV-000002"']
    wide = start('count(start=2**63-2, max=2**63-1, format="{:x}")', cursor=1)
    assert wide.iterator.take(9) == [f'"{2**63 - 1:x}"']


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("count(step=0)", "count.step: must not be 0"),
        ("count(start=true)", "count.start: must be an integer, not true"),
        ("count(start=1.0)", "count.start: must be an integer, not the number 1.0"),
        ("count(start='1')", "count.start: must be an integer, not the text '1'"),
        ("count(start=[1])", "not a list"),
        ("count(start=null)", "not null"),
        ("count(max=2**63)", "count.max: must be from -9223372036854775808 to 9223372036854775807"),
        ("count(min=-2**63-1)", "count.min: must be from"),
        ("count(start=5, max=4)", "count.start: 5 is beyond max=4"),
        ("count(start=2**60)", "beyond max=9007199254740991"),
        ("count(start=-2**60)", "beyond min=-9007199254740991"),
        ("count(start=-2**63, min=-2**63, max=2**63-1)", "has 18446744073709551616 numbers"),
        ("count(stop=5)", "count.stop: no such argument; it takes start, step, max, format, min"),
        ("count(1, 2, 3, '{}', 5)", "at most 4 arguments by position"),
        ("count(1, start=2)", "count.start: given twice"),
        ("count(format=5)", "count.format: must be text"),
        ("count(format='plain')", "has 0 fields"),
        ("count(format='{}{}')", "has 2 fields"),
        ("count(format='{')", "count.format: "),
        ("count(format='{0.__class__}')", "must be for an integer"),
        ("count(format='{0[0]}')", "must be for an integer"),
        ("count(format='{1}')", "must be for an integer"),
        ("count(format='{n}')", "must be for an integer"),
        ("count(format='{!r}')", "must be for an integer"),
        ("count(format='{:{}}')", "must be for an integer"),
        ("count(format='{:.3f}')", "must be for an integer"),
        ("count(format='{:c}')", "must be for an integer"),
        ("count(format='{:99999d}')", "must be for an integer"),
        ("count(format='{:1001d}')", "the width is over 1000"),
        ("count(format='{:,x}')", "count.format: "),
        (f"count(format='{'x' * 1001}')", "1001 characters"),
        ("range()", "range.stop: missing"),
        ("range(start=1)", "range.stop: missing"),
        ("range(1, 2, 0)", "range.step: must not be 0"),
        ("range(1, 2, 3, 4)", "at most 3"),
        ("range(2**63)", "range.stop: must be from"),
        ("range(false)", "range.stop: must be an integer"),
        ("range(-2**63, 2**63-1)", "numbers; the limit is 9223372036854775807"),
    ],
)
def test_what_is_refused(text, why, check):
    with pytest.raises(SourceInvalid) as refused:
        check(text)
    assert why in str(refused.value)


def test_a_format_stays_within_the_limit_of_a_value():
    from dibs.sources import Registry, parse_source

    small = Registry(max_value_bytes=20)
    assert small.check(parse_source("count(format='{:018d}')"), trusted=True)
    with pytest.raises(SourceInvalid, match="21 bytes; the limit is 20"):
        small.check(parse_source("count(format='{:019d}')"), trusted=True)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("count()", "count"),
        ("count(start=1)", "count"),
        ("count(1, 1)", "count"),
        ("count(step=2, start=5)", "count(start=5, step=2)"),
        ("range(10)", "range(stop=10)"),
        ("range(0, 10, 1)", "range(stop=10)"),
        ("range(10, step=2)", "range(stop=10, step=2)"),
        ("range(stop=10)", "range(stop=10)"),
        ("range(2, 10)", "range(start=2, stop=10)"),
    ],
)
def test_the_canonical_spec(text, canonical, check):
    assert check(text).text == canonical
    assert check(canonical).text == canonical


FILLS = [fill for fill in map(chr, range(32, 127)) if fill not in '"\\{}']
SPECIFICATIONS = st.builds(
    "".join,
    st.tuples(
        st.one_of(
            st.just(""),
            st.tuples(st.sampled_from(["", *FILLS]), st.sampled_from("<>=^")).map("".join),
        ),
        st.sampled_from(["", "-", "+", " "]),
        st.sampled_from(["", "#"]),
        st.sampled_from(["", "0"]),
        st.sampled_from(["", *map(str, range(12))]),
        st.sampled_from(["", "_", ","]),
        st.sampled_from(["", "b", "d", "o", "x", "X"]),
    ),
)
POWERS = [base**power for base in (2, 10, 16) for power in range(2, 17)]
MANY = {
    *range(-300, 301),
    *(sign * (power + by) for sign in (1, -1) for power in POWERS for by in (-1, 0, 1)),
}


@settings(max_examples=300, deadline=None)
@example("0>6")
@example("0=6")
@example(" <6")
@example(",<12,")
@given(SPECIFICATIONS)
def test_no_two_numbers_look_alike_in_a_format_that_is_accepted(specification):
    form = f"No. {{:{specification}}} of 9"
    try:
        Registry().check(SourceSpec("count", {"format": form}), trusted=False)
    except SourceInvalid:
        return
    assert len({form.format(number) for number in MANY}) == len(MANY)


TELLING = """
    {} {0} {:d} {:06d} {:06} {:0>6} {:0=6} {:0=+6} {:>6} {:<6} {:^9} {:*^9} {:.<6} {:+}
    {:,} {:012,} {:_b} {:#x} {:#010x} {:08b} {:X} 1{}0 {{{}}} {:0<1} {:0<} {:_>8}
    INV-{:06d}
"""


@pytest.mark.parametrize("form", [*TELLING.split(), "{: d}"])
def test_a_format_that_tells_the_number_is_accepted(form, check):
    assert check(f"count(format={json.dumps(form)})").args == {"format": form}
    assert len({form.format(number) for number in MANY}) == len(MANY)


ALIKE = """
    {:0<6} {:<06} {:<06d} {:^06} {:0^6} {:1>6} {:7<6} {:9=6} {:a>6x} {:F<8X} {:->6}
    {:-=6} {:+>6} {:0<+6} {:0<6,} {:0<6x}
"""


@pytest.mark.parametrize("form", [*ALIKE.split()])
def test_a_format_under_which_two_numbers_could_look_alike_is_refused(form, check):
    with pytest.raises(SourceInvalid, match=r"^count.format: two numbers could look alike"):
        check(f"count(format={json.dumps(form)})")


NO_FIELD = """
    {:.1e} {:e} {:f} {:g} {:G} {:%} {:n} {:c} {:s} {!r:.3} {!s} {!a} {.real} {0.real}
    {0[0]} {:{}} {:{}d} {1} {}{} {0}{0} {:}{} {{}} {:z} {:é>6} {:06d }
"""


@pytest.mark.parametrize("form", [*NO_FIELD.split(), "", "{:\n>6}", '{:">6}'])
def test_a_format_that_is_not_one_field_for_an_integer_is_refused(form, check):
    with pytest.raises(SourceInvalid, match=r"^count.format: "):
        check(f"count(format={json.dumps(form)})")


def test_a_queue_that_an_older_release_let_have_such_a_format():
    """It gives nothing more, as its numbers could look alike; what it gave can still be read."""
    spec = SourceSpec("count", {"format": "{:0<6}"})
    with pytest.raises(SourceChanged, match="two numbers could look alike"):
        Registry().open(spec, cursor=1)
    assert Registry().seekable(spec).values[0:2] == ['"100000"', '"200000"']
