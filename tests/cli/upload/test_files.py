"""Which file it is: one that has grown, was cut, was pushed elsewhere or with other options."""

import pytest

from .conftest import LINES


@pytest.mark.parametrize("other", [["other", *LINES[1:]], LINES[:50], [*LINES[:99], "other"], LINES[1:]])
def test_a_file_that_was_rewritten_or_cut_is_a_new_one(push, file, server, other):
    push(file(*LINES))
    assert push(file(*other))[1].startswith(f"files.txt: {len(other)} lines pushed to jobs in ")
    assert push(file(*other))[1] == f"files.txt: {len(other)} lines known, 0 new\n"
    assert push(file(*LINES))[1] == "files.txt: 100 lines known, 0 new\n"
    assert server.values == [*LINES, *other]


def test_a_file_is_known_by_its_content_and_not_by_its_name(push, file, tmp_path, server):
    push(file("a", "b"))
    moved = (tmp_path / "files.txt").rename(tmp_path / "moved.txt")
    assert push(moved)[1] == "moved.txt: 2 lines known, 0 new\n"
    assert push(file("a", "x"))[1].startswith("files.txt: 2 lines pushed")  # of another host, say
    assert push(file("a", "x", "y"))[1] == "files.txt: 2 lines known, 1 new\n"
    with moved.open("a") as grown:
        grown.write("c\n")
    assert push(moved)[1] == "moved.txt: 2 lines known, 1 new\n"
    assert server.values == ["a", "b", "a", "x", "y", "c"]


def test_line_ends_and_a_byte_order_mark_make_no_other_file(push, file, server):
    path = file("a", "b")
    push(path)
    path.write_bytes(b"\xef\xbb\xbfa\r\nb\r\nc\r\n")
    assert push(path)[1] == "files.txt: 2 lines known, 1 new\n"
    assert server.values == ["a", "b", "c"]


@pytest.mark.usefixtures("small")
def test_two_files_that_begin_alike_for_long_and_differ_at_the_end(push, file, server):
    for number in range(4):
        assert push(file(*LINES[:20], f"end {number}"))[1].startswith("files.txt: 21 lines pushed")
    for number in range(4):
        assert push(file(*LINES[:20], f"end {number}", "more"))[1] == "files.txt: 21 lines known, 1 new\n"
    assert len(server.values) == 4 * 22


def test_the_same_new_file_on_two_hosts_at_once_is_pushed_once(push, file, server, monkeypatch):
    looks = server.look
    monkeypatch.setattr(server, "look", lambda what, params: looks("keys", {"prefix": "nobody's"}))
    assert push(file("a", "b"))[1].startswith("files.txt: 2 lines pushed to jobs in ")
    assert push(file("a", "b"))[1] == "files.txt: 2 lines known, 0 new\n"
    assert server.values == ["a", "b"]


@pytest.mark.parametrize("changed", [{"purged": 2}, {"created_at": "2026-11-30T01:02:03.004Z"}])
def test_what_was_purged_or_deleted_is_pushed_again(push, file, server, changed):
    push(file("a", "b"))
    server.keys.clear()
    server.info |= changed
    assert push(file("a", "b"))[1].startswith("files.txt: 2 lines pushed to jobs in ")
    assert server.values == ["a", "b"] * 2


def test_keys_of_others_that_begin_alike_are_left_alone(push, file, server):
    push(file("a"))
    prefix = next(iter(server.keys)).rpartition("|")[0].rpartition("|")[0].rpartition("|")[0]
    server.keys |= {f"{prefix}|{rest}": 9 for rest in ("x", "x|y", "x|y|z", "x|1|z", "|", "x|1")}
    assert push(file("a"))[1] == "files.txt: 1 line known, 0 new\n"


def test_a_file_that_was_pushed_with_other_options_is_not_pushed_again_unasked(push, file, server):
    push(file("1", "2"), priority=3, delay=1.5)
    code, out, err = push(file("1", "2", "3"))
    assert (code, out) == (1, "")
    assert err == (
        "dibs: files.txt: it was pushed before with another --delay or --priority, so nothing was pushed now;"
        " --again pushes all of it with these\n"
    )
    assert push(file("1", "2"), again=True)[0] == 0
    assert push(file("1", "2", "3"))[1] == "files.txt: 2 lines known, 1 new\n"
    assert server.values == ["1", "2", "1", "2", "3"]


class TestLastLine:
    """One without its end may be half of a line that is being written."""

    def test_waits_for_its_end(self, push, file, server):
        path = file("one", "two")
        with path.open("a") as log:
            log.write("thr")
        code, out, _ = push(path)
        assert (code, out.startswith("files.txt: 2 lines pushed to jobs in ")) == (0, True)
        assert out.endswith("; its last line has no end yet and waits (--last-line takes it)\n")
        with path.open("a") as log:
            log.write("ee\n")
        assert push(path)[1] == "files.txt: 2 lines known, 1 new\n"
        assert server.values == ["one", "two", "three"]

    def test_is_taken_where_that_is_said(self, push, file, server):
        path = file()
        path.write_text("a\nb")
        push(path, last_line=True)
        assert push(path, last_line=True)[1] == "files.txt: 2 lines known, 0 new\n"
        path.write_text("a\nb\nc\n")
        assert push(path)[1] == "files.txt: 2 lines known, 1 new\n"
        assert server.values == ["a", "b", "c"]

    @pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
    @pytest.mark.parametrize("last_line", [False, True])
    def test_of_nothing_or_of_a_byte_order_mark_is_no_job(self, push, file, server, content, last_line):
        path = file()
        path.write_bytes(content)
        assert push(path, last_line=last_line) == (0, "files.txt: 0 lines pushed to jobs\n", "")
        assert server.values == []

    def test_alone(self, push, file, server):
        path = file()
        path.write_text("a")
        told = "its last line has no end yet and waits (--last-line takes it)"
        assert push(path)[1] == f"files.txt: 0 lines pushed to jobs; {told}\n"
        assert server.values == []


def test_lines_that_end_with_nul_are_names_of_files(push, file, server):
    path = file()
    path.write_bytes(b"a\nb\0 c\r\0\xef\xbb\xbfd\0e")
    push(path, null=True)
    path.write_bytes(b"a\nb\0 c\r\0\xef\xbb\xbfd\0e\0")
    assert push(path, null=True)[1] == "files.txt: 3 lines known, 1 new\n"
    assert server.values == ["a\nb", " c\r", "\ufeffd", "e"]


def test_as_json_it_is_another_file(push, file, server):
    push(file("1", "2"))
    push(file("1", "2"), json=True)
    assert server.values == ["1", "2", 1, 2]


def test_again_pushes_all_of_it_and_is_what_counts_from_then_on(push, file, server):
    push(file("a"))
    for _ in range(2):
        assert push(file("b", "c"), again=True)[1].startswith("files.txt: 2 lines pushed to jobs in ")
    assert push(file("b", "c", "d"))[1] == "files.txt: 2 lines known, 1 new\n"
    assert server.values == ["a", "b", "c", "b", "c", "d"]


@pytest.mark.usefixtures("small")
def test_an_interrupted_again_goes_on_without_it(push, file, server):
    some = LINES[:9]
    push(file(*some))
    server.troubles = [None] * 4 + [KeyboardInterrupt()] * 2
    assert push(file(*some), again=True)[0] == 130
    assert push(file(*some))[1] == "files.txt: 4 lines known, 5 new\n"
    assert server.values == some * 2
