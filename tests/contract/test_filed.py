"""Any outcome that is filed under a key is read back equal, in kind and in value."""

from __future__ import annotations

import json

from dibs.ledger.serve import Handed, Served
from dibs.ledger.state import filed
from dibs.ledger.state.rows import Answer
from dibs.ledger.work import Moved, Pushed, Settled, Span, Traced
from hypothesis import given, settings
from hypothesis import strategies as st

seqs = st.integers(1, 2**53)
dues = st.integers(0, 2**53)
maybe = st.none() | dues
several = {"max_size": 4}
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
values = st.lists(texts.map(json.dumps), min_size=1, **several).map(tuple)
spans = st.lists(st.builds(Span, seqs, seqs, st.integers(1, 99)), min_size=1, **several).map(tuple)
leases = st.just((None, None)) | st.tuples(texts, dues)
kept = st.tuples(values, st.none()) | st.tuples(st.none(), st.tuples(texts, texts))
traces = st.none() | st.lists(st.builds(Traced, seqs, seqs, texts), min_size=1, **several).map(tuple)
handed = st.builds(
    lambda of, lease, kept, traced: Handed(of, kept[0], *lease, kept[1], traces=kept[0] and traced),
    spans,
    leases,
    kept,
    traces,
)
settled = st.tuples(seqs, seqs).map(lambda ends: Settled("acked", *ends)) | st.builds(
    Settled,
    st.sampled_from(["nacked", "extended", "released", "dead", "stale", "refused"]),
    st.none() | seqs,
    st.none() | seqs,
    maybe,
    st.sampled_from([None, "unknown", "closed", "source"]),
    st.none() | st.sampled_from(["jobs", "a-b.c"]),
)
entries = st.lists(st.lists(settled, **several).map(tuple), **several).map(tuple)
states = st.sampled_from(["open", "exhausted", "failed", "closed", "paused"])
replayed, known = st.just(value=True), st.just(value=False)
served = st.builds(Served, entries, st.none() | handed, st.none(), states, replayed, known)
pushed = st.builds(
    Pushed,
    st.builds(range, seqs, seqs) | st.lists(seqs, **several).map(tuple),
    st.lists(st.integers(0, 9), **several).map(tuple),
    maybe,
    st.none(),  # a push that was refused is not filed
    st.just(0),
)
moved = st.builds(Moved, seqs, maybe, maybe, seqs)


def read(outcome: str, texts: str | None) -> object:
    return filed.read(Answer(1, "d", outcome, texts, 0, sound=True))


@given(served)
@settings(database=None, max_examples=300)
def test_what_came_of_an_ask_is_read_back_as_it_was(outcome):
    source = None if outcome.handed is None else outcome.handed.source
    again = read(*filed.of_served(outcome, filed.computed_by(*(source or ("count", "{}")))))
    assert again == outcome
    assert repr(again) == repr(outcome)  # tuples as tuples, spans as spans


@given(pushed | moved)
@settings(database=None, max_examples=100)
def test_what_was_pushed_or_moved_is_read_back_as_it_was(outcome):
    again = read(filed.of_other(outcome), None)
    assert again == outcome
    assert repr(again) == repr(outcome)
