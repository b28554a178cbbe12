"""The file: what is written is read, and what can't be read says where."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from dibs.proof import Audited, End, Header, HistoryError, HistoryWriter, check, read_history
from dibs.proof.history import HistoryReader
from dibs.proof.records import Ask, Outcome, Piece

HEADER = '{"dibs_history": 1, "queue": "q"}'
REQUEST = {
    "client": "1",
    "key": "k",
    "queue": "q",
    "count": 2,
    "invoked": 1,
    "completed": 2,
    "outcome": "ok",
    "seqs": [[1, 2]],
    "values": [1, 2],
    "replay": False,
}


def read(*lines):
    reader = HistoryReader(lines)
    return reader, list(reader.records)


def test_what_is_written_is_read(tmp_path):
    header = Header("q", url="http://h", source="count()", cursor=4, taken=4, jumped=0, start=1, step=1)
    audits = (Audited(8, 8, 0, True),)
    with HistoryWriter(tmp_path / "h.jsonl", header) as writer:
        writer.answered(Ask("1", "k-ü", 4, 10, 20), [[5, 7], [8, 8]], [5, 6, 7, {"ä": "\ud800"}], replay=True)
        writer.unanswered(Ask("2", None, 1, 11, 12), Outcome.UNKNOWN, 'said "no"')
        writer.end(audits)
    with read_history(tmp_path / "h.jsonl") as reader:
        first, second = reader.records
    assert reader.header == header
    assert (first.client, first.key, first.count, first.invoked, first.completed) == ("1", "k-ü", 4, 10, 20)
    assert first.pieces[0] == Piece(5, 3, 5)
    assert (first.replay, first.line) == (True, 2)
    assert (second.key, second.outcome, second.error, second.pieces) == (None, "unknown", 'said "no"', ())
    assert reader.end == End(2, audits)


def test_many_threads_write_whole_lines(tmp_path):
    with HistoryWriter(tmp_path / "h.jsonl", Header("q")) as writer:

        def write(client):
            for at in range(200):
                seq = client * 200 + at + 1
                writer.answered(
                    Ask(str(client), f"{client}-{at}", 1, 0, 1), [[seq, seq]], [seq], replay=False
                )

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(8)))
        writer.end()
    with read_history(tmp_path / "h.jsonl") as reader:
        assert check(reader).totals.items == 1600


def test_a_history_that_was_cut_off_is_read_and_says_so(tmp_path):
    with HistoryWriter(tmp_path / "h.jsonl", Header("q")) as writer:
        writer.answered(Ask("1", "k", 1, 0, 1), [[1, 1]], [1], replay=False)
    with read_history(tmp_path / "h.jsonl") as reader:
        verdict = check(reader)
    assert verdict.exit_code == 0
    assert "no end line" in verdict.notes[0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "line 1: the history is empty"),
        (["[]"], "line 1: not a JSON object"),
        (["{}"], "line 1: not a history of dibs"),
        (['{"dibs_history": 2}'], "line 1: version 2 is not known; this dibs reads 1"),
        (['{"dibs_history": 1}'], 'line 1: "queue" is missing'),
        (['{"dibs_history": 1, "queue": "q", "cursor": -1}'], 'line 1: "cursor" must be at least 0'),
        (
            ['{"dibs_history": 1, "queue": "q", "url": "", "instance": 3}'],
            'line 1: "instance" must be a text',
        ),
        ([HEADER, "{"], "line 2: not JSON"),
        ([HEADER, "", "[" * 100_000], "line 3: not JSON"),
        ([HEADER, '{"end": true}'], 'line 2: "requests" is missing'),
        ([HEADER, '{"end": true, "requests": 1}'], "line 2: 1 requests were written, 0 are here"),
        (
            [HEADER, '{"end": true, "requests": 0, "audits": [1]}'],
            'line 2: "audits" must be a list of objects',
        ),
        ([HEADER, '{"end": true, "requests": 0}', HEADER], "line 3: stands after the end line"),
    ],
)
def test_an_unreadable_line_is_named(lines, message):
    with pytest.raises(HistoryError) as caught:
        read(*lines)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("name", REQUEST)
def test_a_missing_field_is_named(name):
    body = {field: value for field, value in REQUEST.items() if field != name}
    with pytest.raises(HistoryError, match=f'^line 2: "{name}" is missing$'):
        read(HEADER, json.dumps(body))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queue": "other"}, 'is of queue "other", but the header says "q"'),
        ({"key": 7}, '"key" must be a text or null'),
        ({"count": 0}, '"count" must be at least 1'),
        ({"count": True}, '"count" must be a whole number'),
        ({"invoked": 1.5}, '"invoked" must be a whole number'),
        ({"completed": 0}, '"completed" is before "invoked"'),
        ({"outcome": "maybe"}, "\"outcome\" must be ok, failed or unknown, not 'maybe'"),
        ({"replay": 1}, '"replay" must be true or false'),
        ({"seqs": [[2, 1]]}, '"seqs" must be a list of [first, last], with 1 <= first <= last'),
        ({"seqs": [[0, 1]]}, '"seqs" must be a list of [first, last], with 1 <= first <= last'),
        ({"seqs": [1, 2]}, '"seqs" must be a list of [first, last], with 1 <= first <= last'),
        ({"values": 1}, '"values" must be a list'),
        ({"values": [1]}, "2 seqs, but 1 values"),
        ({"seqs": [[1, 10**15]]}, f"{10**15} seqs, but 2 values"),
    ],
)
def test_a_wrong_field_is_named(change, message):
    with pytest.raises(HistoryError) as caught:
        read(HEADER, json.dumps(REQUEST | change))
    assert str(caught.value) == f"line 2: {message}"


def test_unknown_fields_are_ignored():
    _, [record] = read('{"dibs_history": 1, "queue": "q", "new": 1}', json.dumps(REQUEST | {"new": 1}))
    assert record.pieces == (Piece(1, 2, 1),)


def test_an_answer_without_items_is_an_answer():
    _, [record] = read(HEADER, json.dumps(REQUEST | {"seqs": [], "values": []}))
    assert record.pieces == ()
