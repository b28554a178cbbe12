"""Answers with many items: their texts, whatever the values say, and which seq and attempt each has."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dibs.api.answers import encode
from dibs.api.requests import How, Request
from dibs.ledger.serve import Ask, Handed, HandOut, Served
from dibs.ledger.work import Span, Traced
from dibs.queue.answers import Answer, Values

TRICKY = ('"100 %s"', '{"%d":"%(a)s"}', "7", '"{seq} \\u0025"', "[]")
SPANS = (Span(3, 5, 1), Span(9, 10, 4))
SEQS = [3, 4, 5, 9, 10]


def encoded(how: How, handed: Handed, values: Values) -> Any:
    """The answer as its reader has it."""
    request = Request(Ask(HandOut(len(values), 1 << 20)), 0.0, how, "")
    body = encode(request, Answer("jobs", Served(handed=handed), values, now=1_000))
    assert body is not None
    return json.loads(body)


@pytest.mark.parametrize("values", [TRICKY, range(2**53, 2**53 + 10, 2)], ids=["texts", "numbers"])
def test_items_of_a_lease_have_the_attempt_of_their_span(values: Values) -> None:
    lease = encoded("lease", Handed(SPANS, tuple(map(str, values)), "t", 61_000), values)
    assert lease["items"] == [
        {"seq": seq, "value": json.loads(str(value)), "attempt": attempt}
        for seq, value, attempt in zip(SEQS, values, (1, 1, 1, 4, 4), strict=True)
    ]
    assert (lease["expires_at"], lease["expires_in"]) == ("1970-01-01T00:01:01.000Z", 60)


def test_only_those_items_tell_a_traceparent_that_were_pushed_with_one() -> None:
    handed = Handed(SPANS, TRICKY, "t", 61_000, traces=(Traced(4, 5, "00-a"), Traced(10, 10, "00-b")))
    items = encoded("lease", handed, TRICKY)["items"]
    assert [item.get("traceparent") for item in items] == [None, "00-a", "00-a", None, "00-b"]
    assert [(item["seq"], item["value"]) for item in items] == list(
        zip(SEQS, map(json.loads, TRICKY), strict=True)
    )


def test_a_list_of_taken_items_has_each_value_at_its_seq() -> None:
    items = encoded("list", Handed(SPANS, TRICKY), TRICKY)["items"]
    assert [(item["seq"], item["value"]) for item in items] == list(
        zip(SEQS, map(json.loads, TRICKY), strict=True)
    )


def test_an_answer_without_a_value_for_each_seq_is_none() -> None:
    with pytest.raises(ValueError, match="extended slice"):
        encoded("list", Handed(SPANS, TRICKY[1:]), TRICKY[1:])
