"""A push that is interrupted, refused, held up, sent again: each line goes in once. No sockets, no sleep."""

import io
import json
from zlib import crc32

import httpx
import pytest
import typer
from dibs.cli import push_job
from dibs.cli.http import Api
from dibs.cli.push_job import Push, Source
from dibs.cli.push_lines import Shape
from rich.console import Console

NOTHING = {"bytes": 0, "lines": 0, "crc32": 0, "accepted": 0, "duplicates": 0}


class Server:
    """A queue and its streams, as the server keeps them. ``troubles`` come before answers, in turn."""

    def __init__(self):
        self.streams = {}
        self.values = []
        self.keys = set()
        self.troubles = []
        self.room = None
        self.bodies = []
        self.slept = []

    def __call__(self, request):
        trouble = self.troubles.pop(0) if self.troubles else None
        if isinstance(trouble, BaseException):
            raise trouble
        if request.method == "GET":
            return self.known(request.url.params["key"])
        assert request.headers["content-type"] == "application/x-ndjson"
        body = request.read()
        self.bodies.append(body)
        answer = self.stream(
            request.headers["idempotency-key"], body, int(request.url.params.get("offset", 0))
        )
        if trouble == "lost":
            raise httpx.ReadError("the connection was reset")
        if trouble == "Ctrl-C":
            raise KeyboardInterrupt
        return answer

    def known(self, prefix):
        """The streams whose keys begin so; two pages of them where there are several."""
        found = [{"key": key, **sums} for key, sums in sorted(self.streams.items()) if key.startswith(prefix)]
        assert all(len(each["key"]) <= 255 for each in found)
        return httpx.Response(200, json={"queue": "jobs", "streams": found, "next": None})

    def stream(self, key, body, offset):
        sums = self.streams.setdefault(key, dict(NOTHING))
        if offset > sums["bytes"]:
            return problem(409, "conflict", **sums)
        for line in body[sums["bytes"] - offset :].splitlines(keepends=True):
            item = json.loads(line) if line.strip() else None
            if item is not None and item["value"] == "refuse me":
                return problem(422, "value-refused", line=sums["lines"] + 1, **sums)
            if item is not None and self.room == 0:
                self.room = None
                return problem(429, "queue-full", retry_after=3, line=sums["lines"] + 1, **sums)
            sums.update(
                bytes=sums["bytes"] + len(line), lines=sums["lines"] + 1, crc32=crc32(line, sums["crc32"])
            )
            if item is not None:
                self.push(item, sums)
        return httpx.Response(201, json=sums | {"queue": "jobs", "ranges": []})

    def push(self, item, sums):
        known = item.get("key") in self.keys
        sums["duplicates" if known else "accepted"] += 1
        if not known:
            self.values.append(item["value"])
            self.room = None if self.room is None else self.room - 1
        if "key" in item:
            self.keys.add(item["key"])

    def sleep(self, seconds):
        self.slept.append(seconds)


def problem(status, name, *, retry_after=None, **members):
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    body = {"type": f"urn:dibs:problem:{name}", "detail": "why", "retryable": status == 429, **members}
    return httpx.Response(status, json=body, headers=headers)


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def push(server, capsys):
    """Push a file: (exit code, stdout, stderr)."""

    def push(path, *, again=False, last_line=False, **shape):
        transport = httpx.MockTransport(server)
        with path.open("rb") as file, Api("http://x", transport=transport, sleep=server.sleep) as api:
            source = Source(path.name, file, pipe=False, size=path.stat().st_size)
            code = 0
            try:
                push = Push(
                    api, "jobs", source, Shape(**shape), Console(file=io.StringIO()), last_line=last_line
                )
                push.run(again=again)
            except typer.Exit as ended:
                code = ended.exit_code
        return code, *capsys.readouterr()

    return push


@pytest.fixture
def small(monkeypatch):
    """Parts of two lines or so."""
    monkeypatch.setattr(push_job, "PART", 30)


@pytest.fixture
def file(tmp_path):
    def file(*lines):
        path = tmp_path / "files.txt"
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    return file


LINES = [f"line {number}" for number in range(100)]


def test_all_of_it(push, file, server):
    code, out, err = push(file(*LINES))
    assert (code, err) == (0, "")
    assert out.startswith("files.txt: 100 lines pushed to jobs in ")
    assert server.values == LINES


def test_again_by_the_same_command_nothing(push, file, server):
    push(file(*LINES))
    assert push(file(*LINES)) == (0, "files.txt: 100 lines known, 0 new\n", "")
    assert server.values == LINES


def test_only_what_a_file_has_grown_by(push, file, server):
    push(file(*LINES))
    assert push(file(*LINES, "more"))[1] == "files.txt: 100 lines known, 1 new\n"
    assert server.values == [*LINES, "more"]


@pytest.mark.usefixtures("small")
def test_an_interruption_at_every_request_and_the_rest_afterwards(push, file, server):
    some = LINES[:30]
    for stop in range(1, 18):
        server.streams, server.values, server.troubles = {}, [], [None] * stop + [KeyboardInterrupt()]
        code, _, err = push(file(*some))
        before = list(server.values)
        assert (code, before) == (130, some[: len(before)])
        if before:
            assert err == (
                f"dibs: files.txt: interrupted; {len(before):,} lines are in;"
                " the same command goes on from there\n"
            )
        assert push(file(*some))[0] == 0
        assert server.values == some
        if len(before) >= 28:
            return
    pytest.fail("never came to the end")


def test_an_interruption_before_anything_is_in(push, file, server):
    server.troubles = [None, KeyboardInterrupt()]
    _, _, err = push(file(*LINES))
    assert err == "dibs: files.txt: interrupted; nothing was pushed; the same command goes on from there\n"


def test_what_is_in_though_its_answer_never_came_is_asked_for(push, file, server):
    server.troubles = [None, "Ctrl-C"]
    code, _, err = push(file(*LINES))
    assert (code, server.bodies[-1]) == (130, b"")
    assert err == "dibs: files.txt: interrupted; 100 lines are in; the same command goes on from there\n"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("trouble", ["lost", httpx.ReadTimeout("timed out"), KeyboardInterrupt()])
def test_what_nobody_can_tell_is_called_at_least(push, file, server, trouble):
    server.troubles = [None, None, "Ctrl-C", trouble]
    _, _, err = push(file(*LINES))
    assert err.startswith("dibs: files.txt: interrupted; at least 2 lines are in; ")
    assert len(server.values) > 2


def test_an_interruption_before_it_is_begun_asks_nothing(push, file, server):
    server.troubles = [KeyboardInterrupt()]
    _, _, err = push(file(*LINES))
    assert "interrupted; nothing was pushed" in err
    assert server.bodies == []


@pytest.mark.usefixtures("small")
def test_lost_answers_are_asked_for_again(push, file, server):
    server.troubles = ["lost", None] * 40
    assert push(file(*LINES))[0] == 0
    assert server.values == LINES


@pytest.mark.usefixtures("small")
def test_a_server_that_is_restarted_is_waited_for(push, file, server):
    server.troubles = [None] * 20 + [httpx.ConnectError("[Errno 111] Connection refused")] * 3
    assert push(file(*LINES))[0] == 0
    assert server.values == LINES
    assert len(server.slept) == 3


def test_a_full_queue_is_waited_for_as_long_as_it_says(push, file, server):
    server.room = 40
    assert push(file(*LINES))[0] == 0
    assert (server.values, server.slept) == (LINES, [3])


def test_a_queue_that_never_has_room_for_many_gets_few_at_a_time(push, file, server, monkeypatch):
    stream = server.stream

    def small(key, body, offset):
        return stream(key, body, offset) if body.count(b"\n") <= 4 else problem(429, "queue-full", limit=9)

    monkeypatch.setattr(server, "stream", small)
    assert push(file(*LINES))[0] == 0
    assert (server.values, len(server.slept)) == (LINES, 1)


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


def test_the_same_new_file_on_two_hosts_at_once_has_one_key(push, file, server, monkeypatch):
    nothing = httpx.Response(200, json={"streams": [], "next": None})
    monkeypatch.setattr(server, "known", lambda prefix: nothing)
    push(file("a", "b"))
    push(file("a", "b"))
    assert (server.values, len(server.streams)) == (["a", "b"], 1)


def test_streams_are_listed_page_by_page(push, file, server, monkeypatch):
    push(file("a", "b"))
    known, asked = server.known, []

    def pages(prefix):
        asked.append(prefix)
        if len(asked) == 1:
            return httpx.Response(200, json={"streams": [], "next": "somewhere"})
        return known(prefix)

    monkeypatch.setattr(server, "known", pages)
    assert push(file("a", "b"))[1] == "files.txt: 2 lines known, 0 new\n"


def test_keys_of_others_that_begin_alike_are_left_alone(push, file, server):
    push(file("a"))
    prefix = next(iter(server.streams)).rpartition("|")[0].rpartition("|")[0].rpartition("|")[0]
    server.streams |= {f"{prefix}|{rest}": NOTHING | {"lines": 1} for rest in ("", "x", "x|y", "x|y|z|1")}
    assert push(file("a"))[1] == "files.txt: 1 line known, 0 new\n"


def test_a_file_that_was_pushed_with_other_options_is_not_pushed_again_unasked(push, file, server):
    push(file("1", "2"), priority=3, delay=1.5)
    code, out, err = push(file("1", "2", "3"))
    assert (code, out) == (1, "")
    assert err == (
        "dibs: files.txt: it was pushed before with other options (delay=1.5&priority=3), so nothing was"
        " pushed now; --again pushes all of it with these\n"
    )
    assert push(file("1", "2"), again=True)[0] == 0
    assert push(file("1", "2", "3"))[1] == "files.txt: 2 lines known, 1 new\n"
    assert server.values == ["1", "2", "1", "2", "3"]


def test_options_too_long_for_a_key_make_another_file(push, file, server):
    field = "x" * 200
    line = json.dumps({field: "k"})
    push(file(line), json=True, key_field=field)
    assert push(file(line), json=True, key_field=field)[1] == "files.txt: 1 line known, 0 new\n"
    assert push(file(line), json=True)[0] == 0
    assert len(server.values) == 2


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
        assert server.streams == {}


def test_lines_that_end_with_nul_are_names_of_files(push, file, server):
    path = file()
    path.write_bytes(b"a\nb\0 c\r\0\xef\xbb\xbfd\0e")
    push(path, null=True)
    path.write_bytes(b"a\nb\0 c\r\0\xef\xbb\xbfd\0e\0")
    assert push(path, null=True)[1] == "files.txt: 3 lines known, 1 new\n"
    assert server.values == ["a\nb", " c\r", "\ufeffd", "e"]


def test_as_json_it_is_another_stream(push, file, server):
    push(file("1", "2"))
    push(file("1", "2"), json=True)
    assert server.values == ["1", "2", 1, 2]


def test_again_pushes_all_of_it_and_is_what_counts_from_then_on(push, file, server):
    push(file("a"))
    assert push(file("b", "c"), again=True)[0] == 0
    assert push(file("b", "c"))[1] == "files.txt: 2 lines known, 0 new\n"
    assert push(file("b", "c", "d"))[1] == "files.txt: 2 lines known, 1 new\n"
    assert server.values == ["a", "b", "c", "d"]


def test_an_interrupted_again_goes_on_without_it(push, file, server, monkeypatch):
    push(file(*LINES))
    monkeypatch.setattr(push_job, "PART", 30)
    server.troubles = [None] * 6 + [KeyboardInterrupt()]
    assert push(file(*LINES), again=True)[0] == 130
    assert push(file(*LINES))[0] == 0
    assert server.values == LINES * 2


def test_again_and_again(push, file, server):
    for _ in range(12):
        assert push(file("a"), again=True)[0] == 0
    assert push(file("a", "b"))[1] == "files.txt: 1 line known, 1 new\n"
    assert server.values == ["a"] * 12 + ["b"]


@pytest.mark.usefixtures("small")
def test_a_line_that_the_server_refuses_is_named_and_all_before_it_is_in(push, file, server):
    code, out, err = push(file(*LINES[:41], "refuse me", *LINES[42:]))
    assert (code, out) == (1, "")
    assert err == "dibs: files.txt: line 42: value-refused: why; 41 lines before that are in\n"
    assert server.values == LINES[:41]


def test_a_line_that_is_refused_here_too(push, file, server):
    code, _, err = push(file("1", "2", "x"), json=True)
    assert (code, server.values) == (1, [1, 2])
    assert err.startswith("dibs: files.txt: line 3 is not JSON: ")
    assert err.endswith("; 2 lines before that are in\n")


def test_and_mended_it_goes_on(push, file, server):
    push(file("1", "2", "x"), json=True)
    assert push(file("1", "2", "3"), json=True)[1] == "files.txt: 2 lines known, 1 new\n"
    assert server.values == [1, 2, 3]


def test_lines_that_are_known_by_their_keys_are_told(push, file, tmp_path, server):
    push(file("a", "b"), unique=True)
    other = tmp_path / "other.txt"
    other.write_text("b\nc\nd\n")
    assert push(other, unique=True)[1].startswith(
        "other.txt: 2 lines pushed to jobs, 1 known by their keys in "
    )
    assert server.values == ["a", "b", "c", "d"]


def test_a_queue_that_is_not_there(push, file, server, monkeypatch):
    monkeypatch.setattr(server, "known", lambda *_: problem(404, "queue-unknown"))
    assert push(file("a")) == (1, "", "dibs: files.txt: queue-unknown: why; --create makes it\n")


def test_a_server_that_takes_nothing_and_calls_it_a_success_is_not_asked_for_ever(
    push, file, server, monkeypatch
):
    sums = dict(NOTHING)
    monkeypatch.setattr(server, "stream", lambda *_: httpx.Response(201, json=sums))
    assert push(file("a"))[0] == 1


def test_an_empty_file(push, file, server):
    assert push(file())[:2] == (0, "files.txt: 0 lines pushed to jobs\n")
