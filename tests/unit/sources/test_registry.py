from __future__ import annotations

import threading

import pytest
from dibs.errors import SourceInvalid, SourceUnknown
from dibs.sources import BUILTINS, Registry, SourceSpec, parse_source


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("name", ["counter", "Count", "", "__class__", "os", "x" * 1000])
def test_an_unknown_name_is_answered_with_the_known_ones(registry, name, trusted):
    with pytest.raises(SourceUnknown) as refused:
        registry.check(SourceSpec(name), trusted=trusted)
    assert str(refused.value).endswith("there are count, range, lines, jsonl, csv, grid, snowflake, uuid7")
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("count", "count"),
        ("range", "range(3)"),
        ("lines", "lines({path})"),
        ("jsonl", "jsonl({path})"),
        ("csv", "csv({path}, header=false)"),
        ("grid", "grid(a=[1, 2])"),
        ("snowflake", "snowflake(1)"),
        ("uuid7", "uuid7"),
    ],
)
def test_each_row_of_the_table_is_what_it_says(registry, write, name, text):
    path = write("file", "1\n2\n3\n")
    spec = registry.check(parse_source(text.format(path=path)), trusted=True)
    source = registry.open(spec)
    kind = BUILTINS[name]
    assert spec.name == name
    assert source.spec is spec
    assert source.resume == kind.resume
    assert kind.usage.startswith(name)
    assert kind.summary
    assert next(source.iterator) is not None
    source.close()
    assert source.iterator.state == "closed"


def test_every_row_is_tried_above():
    assert list(BUILTINS) == ["count", "range", "lines", "jsonl", "csv", "grid", "snowflake", "uuid7"]


@pytest.mark.parametrize("kind", BUILTINS.values(), ids=BUILTINS)
def test_the_usage_can_be_read_and_names_the_arguments(kind):
    usage = kind.usage.replace("min=-(2**53-1)", "min=0")
    assert parse_source(usage).name in BUILTINS


def test_a_checked_spec_is_checked_again_as_itself(registry, check):
    for text in ("count(start=5, format='x{}')", "range(9)", "grid(b=[1], a=[2])", "snowflake(3)", "uuid7"):
        spec = check(text)
        assert registry.check(spec, trusted=False) == spec
        assert registry.check(parse_source(spec.text), trusted=False) == spec


def test_arguments_by_name_and_by_position_are_judged_alike(registry):
    for spec in (SourceSpec("count", {"start": "x"}), SourceSpec("count", {}, ("x",))):
        with pytest.raises(SourceInvalid, match=r"count.start: must be an integer"):
            registry.check(spec, trusted=False)
    with pytest.raises(SourceInvalid, match=r"count.1: .*bytes, which is not JSON"):
        registry.check(SourceSpec("count", {}, (b"x",)), trusted=False)


def test_the_limit_of_a_value_is_that_of_the_registry(write):
    registry = Registry(max_value_bytes=5)
    spec = registry.check(parse_source(f"lines({write('file', 'abc')})"), trusted=True)
    assert next(registry.open(spec).iterator) == '"abc"'


def test_threads_share_one_source_and_get_each_value_once(start):
    source = start("count(max=20000)")
    drawn: list[list[int]] = [[] for _ in range(4)]
    gate = threading.Barrier(4)

    def draw(mine: list[int]) -> None:
        gate.wait()
        while batch := source.iterator.take(37):
            mine += batch

    threads = [threading.Thread(target=draw, args=(mine,)) for mine in drawn]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for mine in drawn for number in mine) == list(range(1, 20_001))
    assert all(mine == sorted(mine) for mine in drawn)
