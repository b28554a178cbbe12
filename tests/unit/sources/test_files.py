from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from dibs.errors import Forbidden, SourceChanged, SourceInvalid, ValueRefused
from dibs.sources import Registry, SourceSpec, parse_source
from dibs.sources.replay import digest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.powers import powerless


@pytest.fixture
def read(registry, write, drain):
    """The values of a file through a source, and why it failed."""

    def read(name, content, registry=registry, **args):
        path = write("input", content)
        source = registry.open(registry.check(SourceSpec(name, {"path": str(path), **args}), trusted=True))
        values = []
        try:
            while batch := source.iterator.take(3):
                values += batch
        except ValueRefused as error:
            return [json.loads(value) for value in values], str(error)
        finally:
            source.close()
        return [json.loads(value) for value in values], None

    return read


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", []),
        ("\n", [""]),
        ("a", ["a"]),
        ("a\n", ["a"]),
        ("a\n\nb", ["a", "", "b"]),
        ("a\r\nb\rc\r", ["a", "b\rc\r"]),
        (b"\xef\xbb\xbfa\nb", ["a", "b"]),
        (b"\xef\xbb\xbf\r\n\xef\xbb\xbfa", ["", "\ufeffa"]),
        ("a\0b\n\r\n\0", ["a\0b", "", "\0"]),
        ('tab\t"quote" \\ é😀\u2028x\x0cy\x1cz\x85 ', ['tab\t"quote" \\ é😀\u2028x\x0cy\x1cz\x85 ']),
    ],
)
def test_lines(read, content, expected):
    assert read("lines", content) == (expected, None)


@pytest.mark.parametrize(
    ("content", "expected", "why"),
    [
        (b"a\n\xff\nb", ["a"], "line 2 is not UTF-8: invalid start byte at byte 1"),
        (b"a\nb\nc\xc3\n", ["a", "b"], "line 3 is not UTF-8: unexpected end of data at byte 2"),
        (b"a\n\xed\xa0\x80\n", ["a"], "line 2 is not UTF-8: invalid continuation byte at byte 1"),
    ],
)
def test_a_line_that_is_not_utf8_is_a_failure_there(read, content, expected, why):
    assert read("lines", content) == (expected, why)


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_line_has_the_limit_of_a_value(read, end):
    small = Registry(max_value_bytes=10)
    assert read("lines", f"12345678{end}", small) == (["12345678"], None)
    assert read("lines", f"a\n123456789{end}", small) == (
        ["a"],
        "the source yielded a value of 11 bytes; the limit is 10",
    )
    assert read("lines", f"a\n12345678901{end}", small) == (["a"], "line 2 is longer than 10 bytes")


def test_a_gigabyte_without_a_line_end_is_not_read(registry, tmp_path):
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 30)  # a sparse file, one line of NULs
    source = registry.open(registry.check(SourceSpec("lines", {"path": str(path)}), trusted=True))
    with pytest.raises(ValueRefused, match="line 1 is longer than 262144 bytes"):
        next(source.iterator)


@pytest.mark.parametrize(
    ("content", "expected", "why"),
    [
        ('{"a": 1}\n\n  \n[1, "é"]\r\nnull', [{"a": 1}, [1, "é"], None], None),
        (b'\xef\xbb\xbf{"a":\r1}\r\n"\xe2\x80\xa8"', [{"a": 1}, "\u2028"], None),
        ("1\n\x0c\n", [1], "line 2 is not JSON: Expecting value"),
        ("1\n\0\n", [1], "line 2 is not JSON: Expecting value"),
        ('1\n{"a": \n2', [1], "line 2 is not JSON: Expecting value"),
        ("1\nNaN\n", [1], "line 2 is not JSON: NaN is no number of JSON"),
        ("1\n-Infinity\n", [1], "line 2 is not JSON: -Infinity is no number"),
        ("1\n1e400\n", [1], "inf, which JSON has not"),
        ("1\n9007199254740992\n", [1], "an integer beyond"),
        ("1\n" + "9" * 5000, [1], "line 2 is not JSON: Exceeds the limit"),
        ("1\n" + "[" * 100_000, [1], "line 2 is not JSON: maximum recursion depth"),
        ('1\n"\\ud800"\n', [1], "lone surrogate U+D800"),
        ("1\n2 3\n", [1], "line 2 is not JSON: Extra data"),
        (b"1\n\xff\n", [1], "line 2 is not UTF-8"),
    ],
)
def test_jsonl(read, content, expected, why):
    values, failure = read("jsonl", content)
    assert values == expected
    assert (failure or "").startswith(why or "") if why is None else why in failure


@pytest.mark.parametrize(
    ("content", "args", "expected"),
    [
        ("a,b\n1,2\n3,4\n", {}, [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
        ("a,b\r\n1,\r\n\r\n,é", {}, [{"a": "1", "b": ""}, {"a": "", "b": "é"}]),
        (b"\xef\xbb\xbfa\n1", {}, [{"a": "1"}]),
        ('a,b\n"x, ""y""\nz","1"\n2,3', {}, [{"a": 'x, "y"\nz', "b": "1"}, {"a": "2", "b": "3"}]),
        ("a\tb\n1\t2", {"delimiter": "\t"}, [{"a": "1", "b": "2"}]),
        ("a;b\n'1;2';3", {"delimiter": ";", "quote": "'"}, [{"a": "1;2", "b": "3"}]),
        ('a,b\n"1,2"', {"quote": ""}, [{"a": '"1', "b": '2"'}]),
        ("a,b\n1,2,3", {"header": False}, [["a", "b"], ["1", "2", "3"]]),
        ("a,b\n", {}, []),
        ('a,b\r\n1,"line one\r\nline two"\r\n', {}, [{"a": "1", "b": "line one\r\nline two"}]),
        ('"a\r\nb",c\n"1\rx\n","2\r"', {}, [{"a\r\nb": "1\rx\n", "c": "2\r"}]),
        ("a,b\r1,2\r3,4\r", {}, [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
        ("\n\r\n\na,b\n\n1,2\n", {}, [{"a": "1", "b": "2"}]),
        ("\n\n1,2\n", {"header": False}, [["1", "2"]]),
        ("", {}, []),
        ("\n\r\n", {}, []),
        (b"\xef\xbb\xbf", {}, []),
        (b"\xef\xbb\xbf\r\na\n1", {}, [{"a": "1"}]),
        ("a\nx\0y\x0c\x1c\u2028\x85z\n", {}, [{"a": "x\0y\x0c\x1c\u2028\x85z"}]),
        ("", {"header": False}, []),
    ],
)
def test_csv(read, content, args, expected):
    assert read("csv", content, **args) == (expected, None)


@pytest.mark.parametrize(
    ("content", "expected", "why"),
    [
        ("\n\na,b,a\n1,2,3", [], "line 3: the header has 'a' more than once"),
        ("a,b,a\n1,2,3", [], "line 1: the header has 'a' more than once"),
        (",a,\n1,2,3", [], "line 1: the header has '' more than once"),
        ("a,b\n1,2\n3\n", [{"a": "1", "b": "2"}], "line 3: the row has 1 fields, the header 2"),
        ('a,b\n"x\ny",2\n1,2,3', [{"a": "x\ny", "b": "2"}], "line 4: the row has 3 fields"),
        ('a\n"x"y\n', [], "line 2: "),
        ('a\n1\n"x\ny', [{"a": "1"}], "line 4: unexpected end of data"),
        (b"a\n1\n\xff\n", [{"a": "1"}], "line 3 is not UTF-8"),
        ('a\n"' + "x" * 140_000 + '"', [], "line 2: field larger than field limit"),
    ],
)
def test_csv_refuses(read, content, expected, why):
    values, failure = read("csv", content)
    assert values == expected
    assert failure.startswith(why)


@settings(max_examples=100, deadline=None)
@given(st.text('ab,"\r\n \u2028', max_size=30), st.sampled_from(["\n", "\r\n", ""]))
def test_csv_is_the_standard_librarys(tmp_path_factory, text, end):
    path = tmp_path_factory.getbasetemp() / "hypothesis.csv"
    path.write_text(text + end, newline="")
    registry = Registry()
    source = registry.open(
        registry.check(SourceSpec("csv", {"path": str(path), "header": False}), trusted=True)
    )
    try:
        with path.open(newline="") as file:
            expected = [row for row in csv.reader(file, strict=True) if row]
    except csv.Error:
        with pytest.raises(ValueRefused):
            list(source.iterator)
    else:
        assert [json.loads(row) for row in source.iterator] == expected


@pytest.mark.parametrize("name", ["lines", "jsonl", "csv"])
@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_a_file_with_nothing_in_it_is_exhausted(read, name, content):
    assert read(name, content) == ([], None)


@pytest.mark.parametrize("name", ["lines", "jsonl", "csv"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-32-be"])
def test_another_encoding_is_refused_by_its_name(read, name, encoding):
    mark = "" if encoding in ("utf-16", "utf-32") else "\ufeff"
    values, failure = read(name, f'{mark}"a"\n"b"\n'.encode(encoding))
    wide = encoding[:6].upper()
    assert (values, failure) == (
        [],
        f"the file is {wide}: convert it to UTF-8 first (iconv -f {wide} -t UTF-8)",
    )


class TestARowThatIsReadAnotherWayThanBefore:
    """Up to release 0.3 each CR LF between quotes was given as LF."""

    CONTENT = '"a\r\nb",c\r\n"1\r\n2",3\r\n4,5\r\n'

    @pytest.fixture
    def spec(self, registry, write):
        return registry.check(SourceSpec("csv", {"path": str(write("t.csv", self.CONTENT))}), trusted=True)

    def test_the_queue_that_stands_on_it_goes_on_with_a_warning(self, registry, spec, caplog):
        before = digest('{"a\\nb":"1\\n2","c":"3"}')
        source = registry.open(spec, cursor=1, mark=before)
        assert list(source.iterator) == ['{"a\\r\\nb":"4","c":"5"}']
        warnings = [record.getMessage() for record in caplog.records]
        assert len(warnings) == 1
        assert "value 1 was handed out as" in warnings[0]

    def test_one_that_stands_on_the_row_as_it_is_hears_nothing(self, registry, spec, caplog):
        now = digest('{"a\\r\\nb":"1\\r\\n2","c":"3"}')
        assert len(list(registry.open(spec, cursor=1, mark=now).iterator)) == 1
        assert caplog.records == []

    def test_any_other_row_is_still_a_changed_source(self, registry, spec):
        with pytest.raises(SourceChanged, match="another one was handed out"):
            registry.open(spec, cursor=1, mark=digest('{"a\\nb":"1 2","c":"3"}'))


def test_a_row_over_many_lines_has_the_limit_of_a_value(read):
    small = Registry(max_value_bytes=100)
    row = '"' + "12345678\n" * 8 + '"\n'
    assert read("csv", row * 5, small, header=False) == ([["12345678\n" * 8]] * 5, None)
    values, failure = read("csv", row + '"' + "\n,,,,,,".join(['"x"'] * 50), small, header=False)
    assert len(values) == 1
    values, failure = read("csv", row + '"' + '12345678"\n,"'.join([""] * 50), small, header=False)
    assert failure is not None
    values, failure = read("csv", row + '"' + "12345678\n" * 50, small, header=False)
    assert (len(values), failure) == (1, "line 21: the row is longer than 100 bytes")


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ({"delimiter": ""}, "csv.delimiter: must be one ASCII character"),
        ({"delimiter": ",,"}, "csv.delimiter: must be one ASCII character"),
        ({"delimiter": "\n"}, "csv.delimiter: must be one ASCII character"),
        ({"delimiter": "é"}, "csv.delimiter: must be one ASCII character"),
        ({"delimiter": 1}, "csv.delimiter: must be text, not the number 1"),
        ({"quote": ","}, "csv.quote: must not be the delimiter"),
        ({"quote": "''"}, "csv.quote: must be one ASCII character"),
        ({"header": 1}, "csv.header: must be true or false, not the number 1"),
        ({"encoding": "latin-1"}, "csv.encoding: no such argument"),
        ({"path": 1}, "csv.path: must be text"),
    ],
)
def test_what_csv_is_not_given(args, why, registry, write):
    path = str(write("t.csv", "a\n1"))
    with pytest.raises(SourceInvalid, match=why):
        registry.check(SourceSpec("csv", {"path": path, **args}), trusted=True)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r")), min_size=1),
    st.data(),
)
def test_lines_go_on_where_they_stopped(tmp_path_factory, registry, drain, texts, data):
    path = tmp_path_factory.getbasetemp() / "hypothesis.txt"
    path.write_text("\n".join(texts) + "\n", newline="\n")
    spec = registry.check(SourceSpec("lines", {"path": str(path)}), trusted=True)
    source = registry.open(spec)
    cursor = data.draw(st.integers(0, len(texts)))
    handed_out = source.iterator.take(cursor) if cursor else []
    mark = digest(handed_out[-1]) if cursor else None
    rest = drain(registry.open(spec, cursor=cursor, mark=mark))
    assert rest == drain(source)
    assert [json.loads(text) for text in [*handed_out, *rest]] == texts
    assert registry.seekable(spec) is None


class TestPaths:
    def test_relative_to_the_current_directory_where_trusted(
        self, write, check, registry, monkeypatch, tmp_path
    ):
        write("files.txt", "a\n")
        monkeypatch.chdir(tmp_path)
        assert check("lines(files.txt)").text == 'lines(path="files.txt")'
        assert next(registry.open(check("lines(files.txt)")).iterator) == '"a"'
        monkeypatch.setenv("HOME", str(tmp_path))
        assert next(registry.open(check("lines(~/files.txt)")).iterator) == '"a"'

    @pytest.mark.parametrize(
        ("path", "why"),
        [
            ("missing.txt", "there is no file 'missing.txt' in "),
            (".", "not a regular file"),
            ("a\0b", "can't be a path|there is no file"),
            ("x" * 5000, "can't be a path"),
            ("loop", "can't be a path|there is no file"),
            ("pipe", "not a regular file"),
            ("", "not a regular file"),
        ],
    )
    def test_what_is_not_a_file(self, path, why, registry, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "loop").symlink_to("loop")
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(SourceInvalid, match=why):
            registry.check(SourceSpec("lines", {"path": path}), trusted=True)

    def test_over_http_only_with_a_root(self, registry, write):
        spec = parse_source(f"lines({write('a.txt', 'a')})")
        with pytest.raises(Forbidden, match="source_root") as refused:
            registry.check(spec, trusted=False)
        assert refused.value.field == "source"

    def test_over_http_inside_the_root(self, registry, write, tmp_path):
        path = write("a.txt", "a")
        for given_path in ("a.txt", "./b/../a.txt", str(path)):
            (tmp_path / "b").mkdir(exist_ok=True)
            spec = registry.check(SourceSpec("lines", {"path": given_path}), trusted=False, root=tmp_path)
            assert spec.args == {"path": given_path, "root": str(tmp_path.resolve())}
            assert registry.check(spec, trusted=False, root=tmp_path) == spec
            assert list(registry.open(spec).iterator) == ['"a"']

    @pytest.mark.parametrize(
        "path", ["../secret", "/etc/passwd", "link", "inner/link/passwd", "../nothing-there"]
    )
    def test_never_outside_of_it(self, path, registry, tmp_path):
        root = tmp_path / "root"
        (root / "inner").mkdir(parents=True)
        (tmp_path / "secret").write_text("s")
        (root / "link").symlink_to(tmp_path / "secret")
        (root / "inner" / "link").symlink_to("/etc")
        with pytest.raises(Forbidden, match="outside of the folder"):
            registry.check(SourceSpec("lines", {"path": path}), trusted=False, root=root)

    @pytest.mark.parametrize("text", ["lines(a.txt, root='/')", "lines(a.txt, '/')", "csv(a.txt, root=null)"])
    def test_a_caller_does_not_choose_the_root(self, text, registry, write, tmp_path):
        write("a.txt", "a")
        with pytest.raises(SourceInvalid):
            registry.check(parse_source(text), trusted=False, root=tmp_path)

    def test_the_root_is_kept_to_when_the_file_is_later_made_a_link(self, registry, write, tmp_path):
        path = write("a.txt", "a")
        spec = registry.check(SourceSpec("lines", {"path": "a.txt"}), trusted=False, root=tmp_path)
        path.unlink()
        path.symlink_to("/etc/passwd")
        with pytest.raises(SourceChanged, match="outside"):
            registry.open(spec)

    def test_a_file_that_has_vanished_is_a_changed_source(self, registry, write):
        path = write("a.txt", "a\nb\n")
        spec = registry.check(parse_source(f"lines({path})"), trusted=True)
        path.unlink()
        with pytest.raises(SourceChanged, match="there is no file"):
            registry.open(spec, cursor=1, mark="0" * 32)

    def test_a_file_that_may_not_be_read(self, registry):
        with TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)
            path = Path(folder) / "a.txt"
            path.touch(0)
            with powerless(), pytest.raises(SourceInvalid, match="may not be read"):
                registry.check(parse_source(f"lines({path})"), trusted=True)
