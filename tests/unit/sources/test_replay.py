from __future__ import annotations

import threading
from itertools import count as counting
from itertools import repeat

import pytest
from dibs.errors import SourceChanged, SourceClosed
from dibs.sources import SourceSpec
from dibs.sources.encode import encoder
from dibs.sources.replay import digest, replay
from hypothesis import given, settings
from hypothesis import strategies as st

encode = encoder()


def numbers(end: int, *, closed: list[bool] | None = None):
    try:
        yield from range(1, end + 1)
    finally:
        if closed is not None:
            closed.append(True)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 300), st.integers(0, 20), st.booleans())
def test_the_next_value_is_the_one_behind_the_cursor(cursor, more, marked):
    values = numbers(cursor + more)
    replay(values, encode, cursor, digest(str(cursor)) if marked and cursor else None)
    assert list(values) == list(range(cursor + 1, cursor + more + 1))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(0, 299), st.booleans())
def test_a_replay_that_ends_early_tells_where(cursor, short, marked):
    end = min(short, cursor - 1)
    with pytest.raises(SourceChanged, match=f"ended after {end} values, but {cursor} were handed out"):
        replay(numbers(end), encode, cursor, digest("1") if marked else None)


@pytest.mark.parametrize("at", [1, 2, 63, 99, 100])
@pytest.mark.parametrize("mark", [None, digest("100")])
def test_a_replay_that_raises_tells_where_and_why(at, mark):
    def raising():
        yield from range(1, at)
        raise OSError("disk on fire")

    with pytest.raises(SourceChanged, match=f"raised OSError at value {at}, .*disk on fire") as changed:
        replay(raising(), encode, 100, mark)
    assert isinstance(changed.value.__cause__, OSError)


def test_a_replay_that_raises_what_has_no_message_is_a_changed_source():
    class Speechless(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    def raising():
        yield 1
        raise Speechless

    with pytest.raises(SourceChanged, match="raised Speechless at value 2"):
        replay(raising(), encode, 5, None)


def test_a_replay_that_raises_behind_the_cursor_is_not_the_replays_affair():
    def raising():
        yield from range(1, 101)
        raise OSError("disk on fire")

    values = raising()
    replay(values, encode, 100, digest("100"))
    with pytest.raises(OSError, match="fire"):
        next(values)


def test_a_last_value_that_differs_is_told_with_the_cure():
    with pytest.raises(SourceChanged) as changed:
        replay(numbers(9), encode, 5, digest("55"))
    assert str(changed.value) == "value 5 is now '5', but another one was handed out"


def test_a_changed_source_is_told_with_the_ways_out_and_without_digests(module, registry, check, write):
    module("def numbers():\n    yield from range(9)\n")
    with pytest.raises(SourceChanged) as changed:
        registry.open(check("users_own:numbers"), cursor=5, mark=digest("55"))
    message = str(changed.value)
    assert message.startswith("value 5 is now '4', but another one was handed out. It is not the source")
    for way in ("retry the queue", '@threadsafe_generator(resume="anew")', "resume_at"):
        assert way in message
    assert digest("4") not in message
    assert digest("55") not in message
    spec = registry.check(SourceSpec("lines", {"path": str(write("a.txt", "a\nb\n"))}), trusted=True)
    with pytest.raises(SourceChanged, match="retry the queue") as changed:
        registry.open(spec, cursor=1, mark=digest("55"))
    assert 'anew"' not in str(changed.value)  # a file has no such way


def test_a_last_value_that_json_can_not_carry_differs_too():
    with pytest.raises(SourceChanged, match="raised ValueRefused at value 3"):
        replay(iter([1, 2, float("nan")]), encode, 3, digest("3"))


def test_values_before_the_last_are_not_compared():
    replay(iter([None, object(), 3]), encode, 3, digest("3"))


def test_nothing_is_drawn_where_nothing_was_handed_out():
    def never():
        raise AssertionError
        yield

    replay(never(), encode, 0, None)


def test_a_replay_ends_soon_after_it_is_told_to(module, registry, check):
    """It is told to by the source itself, in mid-replay: the next chunk is not begun."""
    module(
        "import threading\n"
        "stop, drawn, closed = threading.Event(), [], []\n"
        "def endless():\n"
        "    try:\n"
        "        for i in range(10**12):\n"
        "            drawn.append(i)\n"
        "            if i == 100: stop.set()\n"
        "            yield i\n"
        "    finally: closed.append(True)\n"
    )
    spec = check("users_own:endless")
    import users_own

    with pytest.raises(SourceClosed, match="stopped while 1000000000 values were replayed"):
        registry.open(spec, cursor=10**9, stop=users_own.stop)
    assert len(users_own.drawn) < 300
    assert users_own.closed == [True]


def test_a_replay_is_stopped_by_another_thread():
    stop, began = threading.Event(), threading.Event()
    stopped = []

    def endless():
        for value in counting():
            began.set()
            yield value

    def run():
        with pytest.raises(SourceClosed):
            replay(endless(), encode, 10**15, None, stop)
        stopped.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    began.wait()
    stop.set()
    thread.join()
    assert stopped == [True]


def test_nothing_is_drawn_once_it_is_stopped():
    stop = threading.Event()
    stop.set()
    values = numbers(5)
    with pytest.raises(SourceClosed):
        replay(values, encode, 5, None, stop)
    assert next(values) == 1


def test_a_failed_replay_finalizes_the_generator(module, registry, check):
    module(
        "closed = []\n"
        "def short():\n"
        "    try:\n"
        "        yield 1\n"
        "        yield 2\n"
        "    finally: closed.append(True)\n"
    )
    spec = check("users_own:short")
    import users_own

    with pytest.raises(SourceChanged, match="value 1 is now '1'"):
        registry.open(spec, cursor=1, mark=digest("2"))
    assert users_own.closed == [True]


def test_a_million_values_are_skipped_without_a_step_of_python_each():
    values = repeat("x", 1_000_000)
    replay(values, encode, 999_999, digest('"x"'))
    assert list(values) == ["x"]


def test_digests_are_short_and_of_the_text():
    assert digest('"é"') == digest('"é"') != digest('"e"')
    assert len(digest("1")) == 32
