"""Any outcome of work that is filed under a key is read back equal, in kind and in value."""

from __future__ import annotations

import json

from dibs.ledger.state import codec
from dibs.ledger.work import Claimed, Moved, Pushed, Settled, Settlement, Span, Woken
from hypothesis import given, settings
from hypothesis import strategies as st

seqs = st.integers(1, 2**53)
dues = st.integers(0, 2**53)
maybe = st.none() | dues
several = {"max_size": 4}
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=9).map(json.dumps)

spans = st.lists(st.builds(Span, seqs, seqs, st.integers(1, 99)), **several).map(tuple)
claims = st.builds(Claimed, spans, st.none() | st.lists(texts, **several).map(tuple), maybe, maybe)
settled = st.builds(
    Settled,
    st.sampled_from(["acked", "nacked", "extended", "released", "dead", "stale", "refused"]),
    st.none() | seqs,
    st.none() | seqs,
    maybe,
    st.sampled_from([None, "unknown", "closed", "source"]),
    st.none() | st.sampled_from(["jobs", "a-b.c"]),
).filter(lambda part: part.target is None or part.reason is not None)
entries = st.lists(st.lists(settled, **several).map(tuple), **several).map(tuple)
woken = st.lists(st.builds(Woken, seqs, dues, seqs), **several).map(tuple)
pushed = st.builds(
    Pushed,
    st.builds(range, seqs, seqs) | st.lists(seqs, **several).map(tuple),
    st.lists(st.integers(0, 9), **several).map(tuple),
    maybe,
    st.sampled_from([None, "unknown", "closed", "source", "full"]),
    st.integers(0, 99),
)


outcomes = st.one_of(
    claims,
    pushed,
    st.builds(Settlement, entries, st.none() | claims, woken),
    st.builds(Moved, seqs, maybe),
)


@given(outcomes)
@settings(database=None, max_examples=300)
def test_what_is_read_back_is_what_was_filed(outcome):
    filed = json.dumps([codec.to_json(outcome), codec.values_of(outcome)])
    kept, values = json.loads(filed)
    read = codec.from_json(kept, None if values is None else tuple(values))
    assert read == outcome
    assert type(read) is type(outcome)
    assert repr(read) == repr(outcome)  # tuples as tuples, spans as spans
