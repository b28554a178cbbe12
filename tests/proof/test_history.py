"""The file: what is written is read, older versions too, and what can't be read says where."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest
from dibs.proof.checker import judge
from dibs.proof.errors import HistoryError
from dibs.proof.fields import Came
from dibs.proof.history import HistoryWriter, read_history, read_lines
from dibs.proof.kinds import Damage, Kind
from dibs.proof.plant import plant
from dibs.proof.records import (
    Audit,
    Do,
    End,
    Entry,
    Exchange,
    Exchanged,
    Header,
    History,
    Inside,
    Lease,
    Note,
    Outcome,
    Push,
    Pushed,
    Request,
    Take,
    Taken,
)
from dibs.proof.values import Piece, identity

TAKES = {"dibs_history": 3, "kind": "takes", "queue": "q"}
WORK = {"dibs_history": 3, "kind": "work", "queue": "q"}
TIMES = {"client": "c", "key": "k", "invoked": 1, "completed": 2, "outcome": "ok", "replay": False}
TAKE = {"op": "take", **TIMES, "count": 2, "seqs": [[1, 2]], "values": [1, 2]}
PUSH = {"op": "push", **TIMES, "values": [1, {"a": 2}], "names": ["n", None], "seqs": [[1, 2]], "known": [0]}
LEASE = {"token": "t", "expires_in": 1.5, "seqs": [[1, 1]], "values": [1], "attempts": [1]}
EXCHANGE = {
    "op": "work",
    **TIMES,
    "entries": [{"do": "ack", "token": "t", "seqs": [[1, 2]]}, {"do": "extend", "token": "t", "ttl": 2}],
    "outcomes": [[[1, 1, "acked"], [2, 2, "stale"]], [[None, None, "stale"]]],
    "max": 5,
    "ttl": 1.5,
    "lease": LEASE,
}
NOTE = {"op": "note", "what": "crash", "client": "c", "at": 5, "until": 6, "token": "t"}
END = {"end": True, "lines": 0, "audits": [], "inside": None, "steady": True}
AUDIT = Audit(9, 0, 0, True, 5, 0, 2, 1, 1, 0)
OLD = Path(__file__).with_name("histories")


def read(*bodies):
    return read_lines(body if isinstance(body, str) else json.dumps(body) for body in bodies)


def test_takes_that_are_written_are_read(tmp_path):
    header = Header("q", url="http://h", source="count()", cursor=4, taken=4, jumped=0, start=1, step=1)
    with HistoryWriter(tmp_path / "h.jsonl", header) as writer:
        asked = {"op": "take", "client": "1", "key": "k-ü", "count": 4}
        answer = {"seqs": [(5, 7), (8, 8)], "values": [5, 6, 7, {"ä": "\ud800"}], "replay": True}
        writer.request(asked, (10, 20), Outcome.OK, answer)
        writer.request(asked | {"key": None}, (11, 12), Outcome.UNKNOWN, {"error": 'said "no"'})
        writer.note(Note("restart", 5, 9))
        writer.end(End(0, (AUDIT,)))
    read = read_history(tmp_path / "h.jsonl")
    told = {"client": "1", "asked": Take(4)}
    taken = Taken((Piece(5, 3, 5), Piece(8, 1, identity({"ä": "\ud800"}))))
    times = {"invoked": 10, "completed": 20}
    first = Request(key="k-ü", outcome=Outcome.OK, answer=taken, replay=True, line=2, **times, **told)
    times = {"invoked": 11, "completed": 12}
    second = Request(key=None, outcome=Outcome.UNKNOWN, error='said "no"', line=3, **times, **told)
    assert read == History(header, [first, second, Note("restart", 5, 9)], End(3, (AUDIT,)))


def test_work_that_is_written_is_read(tmp_path):
    header = Header("q", Kind.WORK, max_attempts=5, cursor=3, acked=2)
    end = End(1, (AUDIT,), (Inside(1, "dead", 5),), steady=True)
    with HistoryWriter(tmp_path / "h.jsonl", header) as writer:
        asked = {name: PUSH[name] for name in ("op", "client", "key", "values", "names")}
        answer = {name: PUSH[name] for name in ("seqs", "known", "replay")}
        writer.request(asked, (1, 2), Outcome.OK, answer)
        writer.end(end)
    asked, answer = Push((1, identity({"a": 2})), ("n", None)), Pushed((1, 2), frozenset({0}))
    request = Request("c", "k", 1, 2, Outcome.OK, asked, answer, line=2)
    assert read_history(tmp_path / "h.jsonl") == History(header, [request], end)


def test_a_settle_with_the_next_lease_is_read():
    request, note = read(WORK, EXCHANGE, NOTE).lines
    assert request.asked == Exchange(
        (Entry(Do.ACK, "t", ((1, 2),)), Entry(Do.EXTEND, "t", None, 2_000_000_000)), 5, 1_500_000_000
    )
    assert request.answer == Exchanged(
        ((Came(1, 1, "acked"), Came(2, 2, "stale")), (Came(None, None, "stale"),)),
        Lease("t", 1_500_000_000, (1,), (1,), (1,)),
    )
    assert note == Note("crash", 5, 6, "c", "t")


@pytest.mark.parametrize(
    ("name", "totals"),
    [
        ("takes", {"requests": 15, "replays": 1, "unknown": 1, "items": 40}),
        (
            "work",
            {"pushed": 30, "items": 30, "stale": 1, "redelivered": {"released": 3, "late": 1, "nacked": 3}},
        ),
    ],
)
def test_a_history_of_release_03_is_judged_as_before(name, totals):
    history = read_history(OLD / f"{name}-0.3.jsonl")
    verdict = judge(history)
    assert verdict.exit_code == 0
    assert {name: verdict.totals[name] for name in totals} == totals
    for damage in (damage for damage in Damage if damage.kind is history.header.kind):
        damaged, told = plant(history, damage, Random(0))
        assert judge(damaged).columns[damage.column] > 0, told


def test_many_threads_write_whole_lines(tmp_path):
    with HistoryWriter(tmp_path / "h.jsonl", Header("q")) as writer:

        def write(client):
            for seq in range(client * 200 + 1, client * 200 + 201):
                asked = {"op": "take", "client": str(client), "key": str(seq), "count": 1}
                answer = {"seqs": [[seq, seq]], "values": [seq], "replay": False}
                writer.request(asked, (0, 1), Outcome.OK, answer)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(8)))
        writer.end(End(0))
    assert judge(read_history(tmp_path / "h.jsonl")).totals["items"] == 1600


@pytest.mark.parametrize("kind", Kind)
def test_a_history_that_was_cut_off_is_read_and_says_so(tmp_path, kind):
    with HistoryWriter(tmp_path / "h.jsonl", Header("q", kind)):
        pass
    verdict = judge(read_history(tmp_path / "h.jsonl"))
    assert verdict.exit_code == 0
    assert "no end line" in verdict.notes[0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "line 1: the history is empty"),
        (["[]"], "line 1: not a JSON object"),
        (["{}"], "line 1: not a history of dibs"),
        ([{"dibs_history": 4}], "line 1: version 4 is not known; this dibs reads 1 to 3"),
        ([{"dibs_history": 1}], 'line 1: "queue" is missing'),
        ([TAKES | {"kind": "other"}], "line 1: \"kind\" must be 'takes' or 'work'"),
        ([TAKES | {"cursor": -1}], 'line 1: "cursor" must be greater than or equal to 0'),
        ([TAKES | {"instance": 3}], 'line 1: "instance" must be a valid string'),
        ([WORK | {"max_attempts": 0}], 'line 1: "max_attempts" must be greater than or equal to 1'),
        ([TAKES, "{"], "line 2: not JSON"),
        ([TAKES, "", "[" * 100_000], "line 3: not JSON"),
        ([TAKES, {"end": True}], 'line 2: "lines" is missing'),
        ([TAKES, END | {"lines": 1}], "line 2: 1 lines were written, 0 are here"),
        ([TAKES, END | {"audits": [1]}], 'line 2: "audits" must be a dictionary'),
        ([TAKES, END, TAKES], "line 3: stands after the end line"),
        ([TAKES, PUSH], "line 2: \"op\" must be take or note, not 'push'"),
        ([WORK, TAKE], "line 2: \"op\" must be push, work or note, not 'take'"),
        ([WORK, NOTE | {"what": "nap"}], "line 2: \"what\" must be 'crash', 'late', 'restart' or 'takeover'"),
    ],
)
def test_an_unreadable_line_is_named(lines, message):
    with pytest.raises(HistoryError) as caught:
        read(*lines)
    assert str(caught.value).startswith(message)


SPANS = '"seqs" must be a list of [first, last], with 1 <= first <= last'
CAME = '"outcomes" must be a list of [first, last, verdict] or [null, null, verdict]'


@pytest.mark.parametrize(
    ("body", "change", "message"),
    [
        (TAKE, {"queue": "other"}, 'is of queue "other", but the header says "q"'),
        (TAKE, {"key": 7}, '"key" must be a valid string'),
        (TAKE, {"count": 0}, '"count" must be greater than or equal to 1'),
        (TAKE, {"count": True}, '"count" must be a valid integer'),
        (TAKE, {"invoked": 1.5}, '"invoked" must be a valid integer'),
        (TAKE, {"completed": 0}, '"completed" is before "invoked"'),
        (TAKE, {"outcome": "maybe"}, "\"outcome\" must be 'ok', 'failed' or 'unknown'"),
        (TAKE, {"replay": 1}, '"replay" must be a valid boolean'),
        (TAKE, {"seqs": [[2, 1]]}, SPANS),
        (TAKE, {"seqs": [[0, 1]]}, SPANS),
        (TAKE, {"seqs": [1, 2]}, SPANS),
        (TAKE, {"values": 1}, '"values" must be a list'),
        (TAKE, {"values": [1]}, "2 seqs, but 1 values"),
        (TAKE, {"seqs": [[1, 10**15]]}, f"{10**15} seqs, but 2 values"),
        (PUSH, {"names": ["n"]}, '"names" must be a list of texts and nulls, one a value'),
        (PUSH, {"seqs": [[1, 1]]}, "2 values, but 1 seqs"),
        (PUSH, {"seqs": [[2, 1]]}, SPANS),
        (PUSH, {"seqs": [[1, 10**15]]}, '"seqs" must not have a range of over 1000000 items'),
        (PUSH, {"values": 1}, '"values" must be a list'),
        (PUSH, {"known": [2]}, '"known" must be a list of positions'),
        (EXCHANGE, {"max": -1}, '"max" must be greater than or equal to 0'),
        (EXCHANGE, {"ttl": "1"}, '"ttl" must be a number of seconds'),
        (EXCHANGE, {"ttl": float("nan")}, '"ttl" must be a number of seconds'),
        (EXCHANGE, {"entries": [{"do": "eat", "token": "t"}]}, "\"do\" must be 'ack', 'nack', 'extend' or"),
        (EXCHANGE, {"outcomes": []}, "2 entries, but 0 outcomes"),
        (EXCHANGE, {"outcomes": [1, 2]}, '"outcomes" must be a valid tuple'),
        (EXCHANGE, {"outcomes": [[[1]], []]}, CAME),
        (EXCHANGE, {"outcomes": [[[2, 1, "acked"]], []]}, CAME),
        (EXCHANGE, {"lease": 1}, '"lease" must be a dictionary'),
        (EXCHANGE, {"lease": LEASE | {"values": []}}, "1 seqs, 0 values and 1 attempts"),
        (EXCHANGE, {"lease": LEASE | {"attempts": [1.0]}}, '"attempts" must be a valid integer'),
    ],
)
def test_a_wrong_field_is_named(body, change, message):
    with pytest.raises(HistoryError) as caught:
        read(TAKES if body is TAKE else WORK, body | change)
    assert str(caught.value).startswith(f"line 2: {message}")


@pytest.mark.parametrize("body", [TAKE, PUSH, EXCHANGE, NOTE])
def test_a_missing_field_is_named(body):
    optional = {"op", "client", "token"} if body is NOTE else {"op", "replay", "lease"}
    for name in body.keys() - optional:
        with pytest.raises(HistoryError, match=f'^line 2: "{name}" is missing$'):
            read(TAKES if body is TAKE else WORK, {one: it for one, it in body.items() if one != name})


@pytest.mark.parametrize("body", [TAKE, NOTE])
def test_unknown_fields_are_ignored(body):
    assert read(TAKES | {"new": 1}, body | {"new": 1}) == read(TAKES, body)


def test_an_answer_without_items_is_an_answer():
    [request] = read(TAKES, TAKE | {"seqs": [], "values": []}).lines
    assert request.answer == Taken(())
