"""The file of a history of work: what is written is read, and what can't be read says where."""

from __future__ import annotations

import json

import pytest
from dibs.proof import HistoryError
from dibs.proof.histories import judge, open_history
from dibs.proof.records import Outcome, identity
from dibs.proof.work.history import WorkWriter, ranges
from dibs.proof.work.records import (
    Came,
    Do,
    Entry,
    Inside,
    Lease,
    Note,
    PushRequest,
    WorkAudit,
    WorkEnd,
    WorkHeader,
    WorkRequest,
)

HEADER = WorkHeader("q", url="http://h", max_attempts=5, cursor=3, acked=2)
HEAD = {"dibs_history": 2, "kind": "work", "queue": "q", "cursor": 0, "acked": 0}
TIMES = {"client": "c", "key": "k", "invoked": 1, "completed": 2, "outcome": "ok", "replay": False}
PUSH = {"op": "push", **TIMES, "values": [1, {"a": 2}], "names": ["n", None], "seqs": [[1, 2]], "known": [0]}
LEASE = {"token": "t", "expires_in": 1.5, "seqs": [[1, 1]], "values": [1], "attempts": [1]}
WORK = {
    "op": "work",
    **TIMES,
    "entries": [{"do": "ack", "token": "t", "seqs": [[1, 2]]}, {"do": "extend", "token": "t", "ttl": 2}],
    "outcomes": [[[1, 1, "acked"], [2, 2, "stale"]], [[None, None, "stale"]]],
    "max": 5,
    "ttl": 1.5,
    "lease": LEASE,
}
NOTE = {"op": "note", "what": "crash", "client": "c", "at": 5, "until": 6, "token": "t"}
AUDIT = WorkAudit(9, 0, 5, 0, 0, 2, 1, 1, 0, True)


def read(tmp_path, *bodies):
    path = tmp_path / "h.jsonl"
    path.write_text("\n".join(body if isinstance(body, str) else json.dumps(body) for body in bodies))
    with open_history(path) as reader:
        return reader.header, list(reader.lines), reader.end


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "h.jsonl"
    with WorkWriter(path, HEADER) as writer:
        pushed = {name: PUSH[name] for name in ("seqs", "known", "replay")}
        asked = {name: PUSH[name] for name in ("op", "client", "key", "values", "names")}
        writer.request(asked, (1, 2), Outcome.OK, pushed)
        writer.request(asked, (3, 4), Outcome.UNKNOWN, {"error": "ReadError"})
        writer.note(Note("restart", 5, 9))
        writer.end(WorkEnd(0, (Inside(1, "dead", 5),), (AUDIT,), steady=True))
    with open_history(path) as reader:
        header, [first, second, note] = reader.header, list(reader.lines)
    assert header == HEADER
    shared = {"client": "c", "key": "k", "values": (1, identity({"a": 2})), "names": ("n", None)}
    assert first == PushRequest(
        **shared, invoked=1, completed=2, outcome=Outcome.OK, seqs=(1, 2), known=frozenset({0}), line=2
    )
    assert second == PushRequest(
        **shared, invoked=3, completed=4, outcome=Outcome.UNKNOWN, error="ReadError", line=3
    )
    assert note == Note("restart", 5, 9)
    assert reader.end == WorkEnd(3, (Inside(1, "dead", 5),), (AUDIT,), steady=True)


def test_a_settle_with_the_next_lease_is_read(tmp_path):
    _, [record, note], _ = read(tmp_path, HEAD, WORK, NOTE)
    assert record == WorkRequest(
        client="c",
        key="k",
        invoked=1,
        completed=2,
        outcome=Outcome.OK,
        line=2,
        entries=(Entry(Do.ACK, "t", ((1, 2),)), Entry(Do.EXTEND, "t", None, 2_000_000_000)),
        outcomes=((Came(1, 1, "acked"), Came(2, 2, "stale")), (Came(None, None, "stale"),)),
        most=5,
        ttl=1_500_000_000,
        lease=Lease("t", 1_500_000_000, (1,), (1,), (1,)),
    )
    assert note == Note("crash", 5, 6, "c", "t")


def test_a_history_without_an_end_is_judged(tmp_path):
    path = tmp_path / "h.jsonl"
    WorkWriter(path, HEADER).close()
    with open_history(path) as reader:
        assert "no end line" in judge(reader).notes[0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEAD | {"cursor": -1}], 'line 1: "cursor" must be at least 0'),
        ([HEAD | {"max_attempts": 0}], 'line 1: "max_attempts" must be at least 1'),
        ([HEAD, "{"], "line 2: not JSON"),
        ([HEAD, {"op": "pull"}], "line 2: \"op\" must be push, work or note, not 'pull'"),
        (
            [HEAD, {"end": True, "lines": 1, "audits": [], "steady": True}],
            "line 2: 1 lines were written, 0 are",
        ),
        ([HEAD, {"end": True, "lines": 0, "audits": []}], 'line 2: "steady" is missing'),
        (
            [HEAD, {"end": True, "lines": 0, "audits": [], "steady": True}, NOTE],
            "line 3: stands after the end",
        ),
        ([HEAD, NOTE | {"what": "nap"}], 'line 2: "what" must be one of crash, late, restart'),
        ([{"dibs_history": 3}], "line 1: version 3 is not known; this dibs reads 1 and 2"),
    ],
)
def test_an_unreadable_line_is_named(tmp_path, lines, message):
    with pytest.raises(HistoryError) as caught:
        read(tmp_path, *lines)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("body", "change", "message"),
    [
        (PUSH, {"names": ["n"]}, '"names" must be a list of texts and nulls, one a value'),
        (PUSH, {"seqs": [[1, 1]]}, "2 values, but 1 seqs"),
        (PUSH, {"seqs": [[2, 1]]}, '"seqs" must be a list of [first, last], with 1 <= first <= last'),
        (PUSH, {"seqs": [[1, 10**15]]}, '"seqs" has a range of over 1000000 items'),
        (PUSH, {"known": [2]}, '"known" must be a list of positions'),
        (PUSH, {"completed": 0}, '"completed" is before "invoked"'),
        (PUSH, {"key": 7}, '"key" must be a text or null'),
        (WORK, {"max": -1}, '"max" must be at least 0'),
        (WORK, {"ttl": "1"}, "a duration must be a number of seconds"),
        (WORK, {"ttl": float("nan")}, "a duration must be a number of seconds"),
        (WORK, {"entries": [{"do": "eat"}]}, '"entries" must be a list of objects with "do"'),
        (WORK, {"outcomes": []}, "2 entries, but 0 outcomes"),
        (WORK, {"outcomes": [1, 2]}, '"outcomes" must be a list of lists'),
        (WORK, {"outcomes": [[[1]], []]}, "an outcome must be [first, last, verdict]"),
        (WORK, {"outcomes": [[[2, 1, "acked"]], []]}, "an outcome must be [first, last, verdict]"),
        (WORK, {"lease": 1}, '"lease" must be an object or null'),
        (WORK, {"lease": LEASE | {"values": []}}, "1 seqs, 0 values and 1 attempts"),
        (WORK, {"lease": LEASE | {"attempts": [1.0]}}, '"attempts" must be a list of whole numbers'),
    ],
)
def test_a_wrong_field_is_named(tmp_path, body, change, message):
    with pytest.raises(HistoryError) as caught:
        read(tmp_path, HEAD, body | change)
    assert str(caught.value).startswith(f"line 2: {message}")


@pytest.mark.parametrize("body", [PUSH, WORK, NOTE])
def test_a_missing_field_is_named(tmp_path, body):
    for name in body.keys() - {"client", "token", "lease"} if body is NOTE else body.keys() - {"lease"}:
        with pytest.raises(HistoryError, match=r"^line 2: "):
            read(tmp_path, HEAD, {field: value for field, value in body.items() if field != name})


def test_ranges():
    assert ranges([]) == []
    assert ranges([5, 6, 7, 2, 9, 10, 10]) == [(5, 7), (2, 2), (9, 10), (10, 10)]
