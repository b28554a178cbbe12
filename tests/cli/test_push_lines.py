"""Lines and the items that they become, and a number for each that is bad."""

import json
import os

import pytest
from dibs.cli import push_lines
from dibs.cli.push_lines import LINE_BYTES, BadLine, Input, Shape, chunks, lines


def texts(source, shape=Shape()):  # noqa: B008
    return [line.item for line in lines(source, shape)]


def items(source, shape=Shape()):  # noqa: B008
    return [json.loads(text) for text in texts(source, shape)]


def test_text_is_the_line_without_its_end():
    assert items([b"a b\n", b"\n", b" c\r\n", b"\xc3\xa9"]) == [
        {"value": text} for text in ["a b", "", " c", "é"]
    ]


def test_a_byte_order_mark_is_no_text():
    assert items([b"\xef\xbb\xbfa\n", b"\xef\xbb\xbfb\n"]) == [{"value": "a"}, {"value": "\ufeffb"}]


def test_what_looks_like_json_is_text_too():
    assert items([b'{"a": 1}\n']) == [{"value": '{"a": 1}'}]


def test_json_is_the_value_and_numbers_stay_as_they_are_written():
    assert texts([b' {"a": 1.10} \n'], Shape(json=True)) == ['{"value":{"a": 1.10}}']


def test_blank_lines_of_json_count_and_are_no_items():
    found = [
        (line.item, line.number, line.read) for line in lines([b"1\n", b" \n", b"2\n"], Shape(json=True))
    ]
    assert found == [('{"value":1}', 1, 2), ('{"value":2}', 3, 6)]


@pytest.mark.parametrize("line", [b'1,"key":"x"', b"1}\t{", b"NaN", b"{'a': 1}", b'"\\x"', b"1 2"])
def test_a_line_that_is_not_json_is_refused_here_and_can_smuggle_nothing_in(line):
    with pytest.raises(BadLine, match="line 2 is not JSON: "):
        items([b"1\n", line], Shape(json=True))


@pytest.mark.parametrize("line", [b"[" * 5000 + b"]" * 5000, b"[" * 100_000, b'{"a":' * 100_000])
def test_a_line_that_is_too_deep_is_refused_in_words_of_ours(line):
    with pytest.raises(BadLine, match=r"^line 2 is nested more than 100 levels deep$"):
        items([b"1\n", line], Shape(json=True))


def test_a_line_that_is_not_utf_8_is_told_with_its_number_after_what_comes_before_it():
    found = chunks(lines([b"a\n", b"b\n", b"c\xff\n", b"d\n"], Shape()))
    assert [line.item for line in next(found)] == ['{"value":"a"}', '{"value":"b"}']
    with pytest.raises(BadLine, match=r"line 3 is not UTF-8 \(byte 2\)"):
        next(found)


def test_a_digest_is_of_all_content_up_to_its_line_and_of_nothing_else():
    def digests(*source, **shape):
        return [line.digest for line in lines(source, Shape(**shape))]

    first, second = digests(b"a\n", b"b\n")
    assert digests(b"\xef\xbb\xbfa\r\n", b"b", priority=3) == [first, second]
    assert digests(b"a\n", b"c\n")[0] == first
    others = [digests(b"b\n", b"a\n")[1], digests(b"\n", b"ab\n")[1], digests(b"a\0", b"b\0", null=True)[1]]
    assert len({second, *others}) == 4


def test_delay_and_priority_go_with_each():
    assert items([b"a"], Shape(delay=1.5, priority=3)) == [{"value": "a", "delay": 1.5, "priority": 3}]


class TestKeys:
    def test_the_line_itself(self):
        assert items([b"a\n"], Shape(unique=True)) == [{"value": "a", "key": "a"}]

    @pytest.mark.parametrize("line", ["", "x" * 256, "é" * 128])
    def test_one_that_is_no_key_by_its_length_has_a_digest(self, line):
        (item,) = items([line.encode()], Shape(unique=True))
        assert item["key"].startswith("sha256:")
        assert items([line.encode()], Shape(unique=True)) == [item]

    def test_the_longest_is_itself(self):
        assert items([b"x" * 255], Shape(unique=True))[0]["key"] == "x" * 255

    @pytest.mark.parametrize(("line", "key"), [(b'{"id": "a"}', "a"), (b'{"id": 7}', "7")])
    def test_a_member(self, line, key):
        assert items([line], Shape(json=True, key_field="id"))[0]["key"] == key

    @pytest.mark.parametrize(
        "line", [b'{"id": ""}', b'{"id": null}', b'{"id": true}', b"{}", b"7", b'{"id": 1.5}']
    )
    def test_one_without_it_is_refused(self, line):
        with pytest.raises(BadLine, match="line 1 has no text or whole number 'id' to be its key"):
            items([line], Shape(json=True, key_field="id"))


class TestChunks:
    @pytest.mark.parametrize("bound", ["CHUNK_ITEMS", "CHUNK_BYTES"])
    def test_are_bounded(self, monkeypatch, bound):
        monkeypatch.setattr(push_lines, bound, {"CHUNK_ITEMS": 2, "CHUNK_BYTES": 20}[bound])
        assert [len(chunk) for chunk in chunks(lines([b"a\n"] * 5, Shape()))] == [2, 2, 1]

    def test_a_pause_sends_what_there_is(self):
        assert [len(chunk) for chunk in chunks(lines([b"a\n", None, None, b"b\n"], Shape()))] == [1, 1]

    def test_nothing_of_nothing(self):
        assert list(chunks(lines([], Shape()))) == []


def test_no_more_of_a_line_than_the_limit_is_held(tmp_path):
    path = tmp_path / "long"
    with path.open("wb") as file:
        file.truncate(10 * LINE_BYTES)
    with path.open("rb") as file:
        whole = Input("x", file, 1)
        assert len(next(whole.lines(b"\n"))) <= LINE_BYTES + 1024 * 1024
        with pytest.raises(BadLine, match="line 1 is longer than"):
            list(lines(whole.lines(b"\n"), Shape()))


class TestPipe:
    @pytest.fixture
    def pipe(self):
        read, write = os.pipe()
        with os.fdopen(read, "rb", buffering=0) as reading:
            yield Input("x", reading), os.fdopen(write, "wb", buffering=0)

    def test_lines_as_they_come_and_the_last_one_without_an_end(self, pipe):
        read, write = pipe
        write.write(b"a\nb\nc")
        write.close()
        assert [line for line in read.lines(b"\n") if line is not None] == [b"a\n", b"b\n", b"c"]

    def test_a_byte_order_mark_alone_is_no_line(self, pipe):
        read, write = pipe
        write.write(b"\xef\xbb\xbf")
        write.close()
        assert [line for line in read.lines(b"\n") if line is not None] == []

    def test_a_pause_is_told_while_the_pipe_is_open(self, pipe):
        read, write = pipe
        write.write(b"a\nb")
        lines = read.lines(b"\n")
        assert [next(lines), next(lines)] == [b"a\n", None]
        write.write(b"\n")
        assert next(lines) == b"b\n"
        write.close()
