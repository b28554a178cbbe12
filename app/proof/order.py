"""Promise 3: if reply A arrived before request B was sent, every seq of A is below every seq of B."""

from __future__ import annotations

from collections.abc import Iterable

from .fold import Answer
from .verdict import Findings, Rule


def find_reordered(answers: Iterable[Answer], findings: Findings) -> None:
    """Find every request that got a seq below one that had arrived before it was sent. O(n log n), exact.

    One sweep in the order of sending: whatever had arrived by then is summed up by its highest seq, and
    the request breaks the promise if its lowest seq is below that. Replies that arrived in the very
    nanosecond of sending count as concurrent.
    """
    by_sending = sorted(answers, key=lambda answer: answer.since)
    by_arrival = sorted(by_sending, key=lambda answer: answer.until)
    arrived, top = 0, None
    for answer in by_sending:
        while by_arrival[arrived].until < answer.since:
            if top is None or by_arrival[arrived].highest > top.highest:
                top = by_arrival[arrived]
            arrived += 1
        if top is not None and answer.lowest < top.highest:
            told = f"got {answer.lowest} after {top.highest} had arrived"
            spans = ((answer.lowest, answer.lowest), (top.highest, top.highest))
            findings.add(Rule.REORDERED, 1, told, spans, top.seen(), answer.seen())
