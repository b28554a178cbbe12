"""What HTTP says of the verbs of a settle comes from their table, which has each word of the ledger."""

from typing import get_args

import pytest
from dibs.api.operations.consume import consume
from dibs.api.requests import Reader
from dibs.api.schemas_work import Outcome, Settled
from dibs.api.settling import KINDS
from dibs.api.verbs import VERBS, SettleItems
from dibs.ledger.state.settling import _VERBS as APPLIED
from dibs.ledger.work import UNCHANGED, Entry, Verdict
from dibs.queue.limits import Limits

WORDS = [verb.word for verb in VERBS]


def test_the_table_has_each_word_that_the_ledger_applies():
    assert set(WORDS) == set(get_args(Entry)) == set(APPLIED)
    assert len(WORDS) == len(set(WORDS))


def test_requests_and_answers_have_a_list_for_each_in_one_order():
    lists = [verb.kind for verb in VERBS]
    assert list(KINDS.values()) == lists
    assert list(SettleItems.__annotations__) == [*lists, "lease"]
    assert list(Settled.model_fields) == ["queue", "state", *lists, "lease", "lease_problem"]


@pytest.mark.parametrize("verb", VERBS, ids=[verb.name for verb in VERBS])
def test_each_has_its_path_and_is_read(verb):
    paths = {path: (endpoint.__name__, endpoint.__doc__) for _, path, _, endpoint in consume._all}
    assert paths[f"/queues/{{queue}}/{verb.name}"] == (verb.name, verb.text)
    body = b'{"token":"a","ttl":2}' if verb.name == "extend" else b'{"token":"a"}'
    request = Reader(Limits(), lambda: "next").settling(body, None, verb.name)
    assert [type(entry) for entry in request.ask.entries] == [verb.word]


def test_an_outcome_is_any_verdict_of_the_ledger():
    verdicts = Outcome.model_json_schema()["properties"]["outcome"]["enum"]
    assert tuple(verdicts) == get_args(Verdict)
    assert set(verdicts) > UNCHANGED
