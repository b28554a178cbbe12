from __future__ import annotations

import sys

import pytest
from dibs.errors import SourceChanged, SourceInvalid, SourceUnknown, ValueRefused
from dibs.marks import digest
from dibs.sources import Registry, SourceSpec, parse_source

CODE = '''
import functools
from dibs.iterators import threadsafe_generator, threadsafe_iter

closed = []

@threadsafe_generator
def shared(n=3):
    try:
        for i in range(n):
            yield {"i": i}
    finally:
        closed.append(n)

def plain(first, *, last=5):
    """A doc."""
    yield from range(first, last + 1)

def resumed(resume_at, by=1):
    while True:
        yield resume_at * by
        resume_at += 1

def raising(at):
    for i in range(1, at):
        yield i
    raise KeyError("source is broken")

def bad(at):
    for i in range(1, at):
        yield i
    yield float("nan")
    yield at

@threadsafe_generator
def big(n=2):
    for i in range(n):
        yield 2**63 + i

big.wide = True

def kept(**options):
    yield options

runs = []

@threadsafe_generator(resume="anew")
def search(n=5):
    runs.append(n)
    for i in range(n):
        yield f"run {len(runs)}, value {i}"

@threadsafe_generator(fair=True, resume="anew")
def wide_search():
    yield 2**63

wide_search.wide = True

@functools.wraps(search)
def wrapped(n):
    return search(n)

@threadsafe_generator(resume="anew")
def both(resume_at):
    yield resume_at

class Maker:
    def __init__(self, n):
        self.n = n
    def __iter__(self):
        return iter(range(self.n))
    @staticmethod
    def generate(n):
        return iter("ab" * n)

def listed():
    return [1, 2, 3]

def connects():
    raise ConnectionError("no database")

def number():
    return 5

def text():
    return "abc"

def mapping():
    return {"a": 1}

def unordered():
    return {1, 2}

async def agen():
    yield 1

async def coroutine():
    return [1]

def gives_agen():
    return agen()

def gives_coroutine():
    return coroutine()

def spread(*values):
    yield from values

def positional(a, /):
    yield a

class Stateful:
    def __init__(self, base):
        self.base = base
    @threadsafe_generator
    def generate(self, n=1):
        yield from range(self.base, self.base + n)

stateful = Stateful(5)

def doubled(function):
    @functools.wraps(function)
    def twice(*args, **kwargs):
        for value in function(*args, **kwargs):
            yield 2 * value
    return twice

@doubled
@threadsafe_generator
def under_another(n):
    yield from range(n)

def already_shared():
    return threadsafe_iter(iter([1, 2]))

instance = plain(1)
constant = 5
'''


@pytest.fixture
def own(module):
    module(CODE)


@pytest.fixture
def values(start, own):
    return lambda text, **position: list(start(text, **position).iterator)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("users_own:shared", ['{"i":0}', '{"i":1}', '{"i":2}']),
        ("users_own:shared(n=1)", ['{"i":0}']),
        ("users_own:plain(4)", ["4", "5"]),
        ("users_own:plain(first=4, last=4)", ["4"]),
        ("users_own:big", ['"9223372036854775808"', '"9223372036854775809"']),
        ("users_own:kept(b=1, a=[2])", ['{"b":1,"a":[2]}']),
        ("users_own:Maker(n=2)", ["0", "1"]),
        ("users_own:Maker.generate(1)", ['"a"', '"b"']),
        ("users_own:listed", ["1", "2", "3"]),
        ("users_own:stateful.generate(2)", ["5", "6"]),
        ("users_own:under_another(n=3)", ["0", "2", "4"]),
        ("users_own:already_shared", ["1", "2"]),
    ],
)
def test_what_a_function_may_give(values, text, expected):
    assert values(text) == expected


def test_a_decorated_generator_is_finalized_once(start, own):
    source = start("users_own:shared")
    next(source.iterator)
    source.close()
    assert sys.modules["users_own"].closed == [3]


def test_a_function_with_resume_at_is_called_with_the_seq_to_yield_next(start, own):
    source = start("users_own:resumed(by=10)", cursor=1_000_000)
    assert source.resume == "at"
    assert next(source.iterator) == "10000010"
    assert next(start("users_own:resumed").iterator) == "1"


@pytest.mark.parametrize("text", ["users_own:search", "users_own:wrapped(5)"])
def test_one_whose_values_need_not_repeat_is_run_anew(start, own, text):
    source = start(text)
    assert (source.resume, source.counted) == ("anew", False)
    assert source.iterator.take(2) == ['"run 1, value 0"', '"run 1, value 1"']
    again = start(text, cursor=2, mark="whatever stood there before")
    assert list(again.iterator) == [f'"run 2, value {i}"' for i in range(5)]
    assert start("users_own:wide_search", cursor=7).iterator.take(2) == [f'"{2**63}"']


def test_another_is_run_again_up_to_the_cursor(start, own):
    source = start("users_own:plain(1)")
    mark = digest(source.iterator.take(3)[-1])
    assert source.resume == "replay"
    assert list(start("users_own:plain(1)", cursor=3, mark=mark).iterator) == ["4", "5"]
    assert list(start("users_own:plain(1)", cursor=3).iterator) == ["4", "5"]


@pytest.mark.parametrize("position", [{}, {"cursor": 1}, {"cursor": 2}])
def test_a_source_that_raises_gives_what_came_before_then_fails(start, own, position):
    source = start("users_own:raising(at=3)", **position)
    for expected in ["1", "2"][position.get("cursor", 0) :]:
        assert next(source.iterator) == expected
    with pytest.raises(KeyError, match="source is broken"):
        next(source.iterator)
    assert source.iterator.state == "failed"
    assert isinstance(source.iterator.cause, KeyError)


def test_a_bad_value_is_a_failure_exactly_at_its_seq(start, own):
    source = start("users_own:bad(at=3)")
    assert source.iterator.take(10) == ["1", "2"]
    assert source.iterator.state == "failed"
    assert isinstance(source.iterator.cause, ValueRefused)
    again = start("users_own:bad(at=3)", cursor=2, mark=digest("2"))
    with pytest.raises(ValueRefused, match="nan, which JSON has not"):
        next(again.iterator)


def test_what_the_call_itself_raises_is_a_failure_at_the_first_value(start, own):
    source = start("users_own:connects")
    with pytest.raises(ConnectionError, match="no database"):
        next(source.iterator)
    assert source.iterator.state == "failed"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("users_own:number", "gave a value of type int, which can't be iterated"),
        ("users_own:text", "gave a value of type str; its parts"),
        ("users_own:mapping", "gave a value of type dict; its parts"),
        ("users_own:unordered", "gave a value of type set, whose order changes"),
        ("users_own:gives_agen", "asynchronous"),
        ("users_own:gives_coroutine", "asynchronous"),
    ],
)
def test_what_a_function_may_not_give(start, own, text, why):
    with pytest.raises(SourceInvalid, match=why):
        start(text)


@pytest.mark.parametrize(
    ("text", "error", "why"),
    [
        ("users_own:agen", SourceInvalid, "belongs to one event loop"),
        ("users_own:coroutine", SourceInvalid, "asynchronous"),
        (
            "users_own:instance",
            SourceInvalid,
            "is of type generator, not a function: name the function that makes it",
        ),
        ("users_own:constant", SourceInvalid, "is of type int, not a function"),
        ("users_own:missing", SourceUnknown, "the module 'users_own' has no 'missing'"),
        ("users_own:Maker.missing", SourceUnknown, "has no 'Maker.missing'"),
        ("not_there:f", SourceUnknown, "there is no module 'not_there' in /"),
        ("users_own.inner:f", SourceUnknown, "there is no module 'users_own.inner'"),
        ("users_own:plain", SourceInvalid, "users_own:plain.first: missing; it takes first, last"),
        ("users_own:plain(1, 2)", SourceInvalid, "at most 1 arguments by position"),
        ("users_own:plain(1, first=2)", SourceInvalid, "plain.first: given twice"),
        ("users_own:plain(1, end=2)", SourceInvalid, "plain.end: no such argument; it takes first, last"),
        ("users_own:resumed(resume_at=5)", SourceInvalid, "resume_at: is given by the queue"),
        ("users_own:resumed(5, by=1)", SourceInvalid, "by: given twice"),
        ("users_own:both", SourceInvalid, 'takes resume_at and says resume="anew"; keep one of them'),
        ("users_own:spread(1, 2)", SourceInvalid, "no arguments by position"),
        ("users_own:positional(1)", SourceInvalid, "positional.a: has no name to be given by"),
    ],
)
def test_what_is_refused(check, own, text, error, why):
    with pytest.raises(error) as refused:
        check(text)
    assert why in str(refused.value)


def test_the_canonical_spec_has_names_in_order_and_leaves_defaults_alone(check, own):
    assert check("users_own:plain(last=5, first=1)").text == "users_own:plain(first=1, last=5)"
    assert check("users_own:plain(1)").text == "users_own:plain(first=1)"
    assert check("users_own:kept(z=1, a=2)").text == "users_own:kept(z=1, a=2)"


def test_a_function_in_c_without_a_signature(start):
    assert next(start("itertools:count(start=5)").iterator) == "5"
    assert list(start("builtins:zip(strict=true)").iterator) == []
    with pytest.raises(SourceInvalid, match="builtins:zip"):
        start("builtins:zip(1)")


@pytest.mark.parametrize("name", ["users_own:shared", "not_there:f", "os:getcwd"])
def test_over_http_no_function_is_named_nor_imported(registry, module, name):
    module("raise SystemExit('imported')")
    with pytest.raises(
        SourceUnknown, match=r"there are count, range, lines, jsonl, csv, grid, snowflake, uuid7"
    ):
        registry.check(parse_source(name), trusted=False)
    assert "users_own" not in sys.modules


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("1/0", "raised ZeroDivisionError"),
        ("def", "raised SyntaxError"),
        ("raise SystemExit(3)", "raised SystemExit"),
        ("class E(Exception):\n    def __str__(self): 1/0\nraise E", "raised E: "),
        ("import not_there_either", "can't be imported: No module named 'not_there_either'"),
    ],
)
def test_a_module_that_can_not_be_imported(check, module, code, why):
    module(code)
    with pytest.raises(SourceInvalid, match=why):
        check("users_own:generate")


@pytest.mark.parametrize(
    "code", ["", "def plain(start): yield 1", "1/0", "plain = 5", "async def plain(first): yield 1"]
)
def test_a_function_that_has_vanished_is_a_changed_source(registry, check, module, code):
    module(CODE)
    spec = check("users_own:plain(first=1)")
    module(code)
    with pytest.raises(SourceChanged, match="as it was defined"):
        registry.open(spec, cursor=1, mark="0" * 32)


def test_arguments_must_be_json_of_a_bounded_size(registry, own):
    for bad in (float("nan"), {1, 2}, "\ud800", {1: 2}, 10**5000, "x" * 70_000):
        with pytest.raises(SourceInvalid):
            registry.check(SourceSpec("users_own:kept", {"a": bad}), trusted=True)
    big = registry.check(SourceSpec("users_own:kept", {"a": 2**70}), trusted=True)
    with pytest.raises(ValueRefused, match="beyond"):
        next(Registry().open(big).iterator)
