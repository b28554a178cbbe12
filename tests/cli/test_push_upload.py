"""A push that is interrupted, refused, held up, sent again: each line goes in once. No sockets, no sleep."""

import io
import json

import httpx
import pytest
import typer
from dibs.cli import push_lines
from dibs.cli.http import Api
from dibs.cli.push_lines import Input, Shape
from dibs.cli.push_source import Push
from rich.console import Console


class Server:
    """A queue with its items' keys, as the server keeps them. ``troubles`` come before answers, in turn."""

    def __init__(self):
        self.answers = {}
        self.values = []
        self.keys = {}
        self.troubles = []
        self.room = None
        self.bodies = []
        self.slept = []
        self.info = {"queue": "jobs", "created_at": "2026-11-29T01:02:03.004Z", "purged": 0}

    def __call__(self, request):
        trouble = self.troubles.pop(0) if self.troubles else None
        if isinstance(trouble, BaseException):
            raise trouble
        if request.method == "GET":
            return self.look(request.url.path.rpartition("/")[2], request.url.params)
        key, body = request.headers["idempotency-key"], request.read()
        self.bodies.append(body)
        answer = self.answers.get(key)
        if answer is None:
            answer = self.push(json.loads(body)["items"])
            if answer.status_code == 201:
                headers = {"Idempotent-Replayed": "true"}
                self.answers[key] = httpx.Response(201, headers=headers, content=answer.content)
        if trouble == "lost":
            raise httpx.ReadError("the connection was reset")
        if trouble == "Ctrl-C":
            raise KeyboardInterrupt
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def look(self, what, params):
        """The queue, or the keys that begin so; several pages of them where there are many."""
        if what != "keys":
            return httpx.Response(200, json={})
        found = [key for key in sorted(self.keys) if key.startswith(params["prefix"])]
        found = [key for key in found if key > params.get("after", "")]
        page = [{"key": key, "seq": self.keys[key]} for key in found[:3]]
        return httpx.Response(200, json={"keys": page, "next": found[2] if len(found) > 3 else None})

    def push(self, items):
        for at, item in enumerate(items):
            if item["value"] == "refuse me":
                return problem(
                    422, "value-refused", field=f"items.{at}.value", detail=f"items.{at}.value: why"
                )
        fresh = [item for item in items if item.get("key") not in self.keys]
        if self.room is not None and len(fresh) > self.room:
            self.room = None
            return problem(429, "queue-full", retry_after=3, field="items")
        self.values += [item["value"] for item in fresh]
        seqs = [{"seq": 1, "duplicate": item not in fresh} for item in items]
        for item in fresh:
            if "key" in item:
                assert 0 < len(item["key"].encode()) <= 255
                self.keys[item["key"]] = len(self.values)
        return httpx.Response(201, json={"items": seqs})

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
        with (
            path.open("rb") as file,
            Api("http://x", patience=60, transport=transport, sleep=server.sleep) as api,
        ):
            source = Input(path.name, file, path.stat().st_size, last_line=last_line)
            code = 0
            try:
                push = Push(api, server.info, source, Shape(**shape), Console(file=io.StringIO()))
                push.run(again=again)
            except typer.Exit as ended:
                code = ended.exit_code
        return code, *capsys.readouterr()

    return push


@pytest.fixture
def small(monkeypatch):
    """Chunks of two lines."""
    monkeypatch.setattr(push_lines, "CHUNK_ITEMS", 2)


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
    for stop in range(1, 16):
        server.keys, server.values, server.answers = {}, [], {}
        server.troubles = [None] * stop + [KeyboardInterrupt()]
        code, _, err = push(file(*some))
        before = list(server.values)
        assert (code, before) == (130, some[: 2 * stop])  # what was in hand is sent to its end
        assert err == (
            f"dibs: files.txt: interrupted; {len(before):,} lines are in;"
            " the same command goes on from there\n"
        )
        rest = len(some) - len(before)
        assert push(file(*some))[:2] == (0, f"files.txt: {len(before)} lines known, {rest} new\n")
        assert server.values == some


@pytest.mark.usefixtures("small")
def test_what_is_in_though_its_answer_never_came_is_counted(push, file, server):
    server.troubles = [None] * 2 + ["Ctrl-C"]
    code, _, err = push(file(*LINES))
    assert (code, len(server.values), server.bodies[-1]) == (130, 4, server.bodies[-2])
    assert err == "dibs: files.txt: interrupted; 4 lines are in; the same command goes on from there\n"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("trouble", ["lost", httpx.ReadTimeout("timed out"), KeyboardInterrupt()])
def test_what_nobody_can_tell_is_called_at_least(push, file, server, trouble):
    server.troubles = [None] * 2 + ["Ctrl-C", trouble]
    _, _, err = push(file(*LINES))
    assert err.startswith("dibs: files.txt: interrupted; at least 2 lines are in; ")
    assert len(server.values) > 2


def test_an_interruption_before_it_is_begun_asks_nothing(push, file, server):
    server.troubles = [KeyboardInterrupt()]
    _, _, err = push(file(*LINES))
    assert "interrupted; nothing new is known to be in; the same" in err
    assert server.values == []


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
    assert (server.values, len(server.slept)) == (LINES, 1)
    assert server.slept[0] >= 3


@pytest.mark.parametrize(("status", "name"), [(429, "queue-full"), (422, "limit-exceeded")])
def test_a_queue_that_never_has_room_for_many_gets_few_at_a_time(
    push, file, server, monkeypatch, status, name
):
    few = server.push

    def small(items):
        return few(items) if len(items) <= 4 else problem(status, name, limit=9, field="items")

    monkeypatch.setattr(server, "push", small)
    assert push(file(*LINES))[0] == 0
    assert (server.values, server.slept) == (LINES, [])
    assert push(file(*LINES))[1] == "files.txt: 100 lines known, 0 new\n"


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


@pytest.mark.usefixtures("small")
def test_a_line_that_the_server_refuses_is_named_and_all_before_it_is_in(push, file, server):
    code, out, err = push(file(*LINES[:41], "refuse me", *LINES[42:]))
    assert (code, out) == (1, "")
    assert err == "dibs: files.txt: line 42: value-refused: value: why; 41 lines before that are in\n"
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
    assert push(other, unique=True)[1] == "other.txt: 1 line known, 2 new\n"
    assert server.values == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "answer", [httpx.Response(401), httpx.Response(400, json=[]), problem(422, "invalid", field="items")]
)
def test_a_refusal_that_names_no_item(push, file, server, monkeypatch, answer):
    monkeypatch.setattr(server, "push", lambda items: answer)
    code, _, err = push(file("a"))
    assert (code, err.startswith("dibs: files.txt: ")) == (1, True)


def test_an_empty_file(push, file, server):
    assert push(file())[:2] == (0, "files.txt: 0 lines pushed to jobs\n")
