"""Lines that are refused or known already."""

import httpx
import pytest

from .conftest import LINES, problem


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
