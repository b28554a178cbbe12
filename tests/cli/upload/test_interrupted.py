"""A push that is interrupted, held up, answered by nobody: each line goes in once."""

import httpx
import pytest

from .conftest import LINES, problem

TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


def test_all_of_it(push, file, server):
    code, out, err = push(file(*LINES))
    assert (code, err) == (0, "")
    assert out.startswith("files.txt: 100 lines pushed to jobs in ")
    assert server.values == LINES


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("told", "sent"), [(TRACE, TRACE), (None, None), ("", None), (f"{TRACE}\r\nX: 1", None), ("x" * 55, None)]
)
def test_the_items_keep_the_trace_of_whoever_runs_the_command(push, file, server, monkeypatch, told, sent):
    """As `dibs work` gives it to its command: what is pushed there is of the same trace."""
    if told is None:
        monkeypatch.delenv("TRACEPARENT", raising=False)
    else:
        monkeypatch.setenv("TRACEPARENT", told)
    push(file(*LINES))
    assert set(server.traces) == {sent}
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


@pytest.mark.parametrize(
    ("status", "name", "most"),
    [(429, "queue-full", 4), (422, "limit-exceeded", 9), (413, "body-too-large", 9)],
)
def test_a_queue_that_never_has_room_for_many_gets_few_at_a_time(
    push, file, server, monkeypatch, status, name, most
):
    few = server.push

    def small(items):
        return few(items) if len(items) <= most else problem(status, name, limit=9, field="items")

    monkeypatch.setattr(server, "push", small)
    assert push(file(*LINES))[0] == 0
    assert (server.values, server.slept) == (LINES, [])
    assert push(file(*LINES))[1] == "files.txt: 100 lines known, 0 new\n"
