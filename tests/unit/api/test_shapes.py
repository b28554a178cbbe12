"""Usual bodies are known by their bytes around the token, and mean what the models say they mean."""

import json

import pytest
from dibs.api.requests import Reader
from dibs.api.shapes import Shapes
from dibs.errors import LimitExceeded
from dibs.ledger.serve import Key
from dibs.ledger.work import Ack, Extend, Nack, Release
from dibs.queue.answers import LeaseAsk
from dibs.queue.asking import settle_digest
from dibs.queue.limits import Limits
from dibs.queue.tokens import TOKEN_BYTES

KEY = Key("k", "", 7)
LEASE = {"max": 5, "ttl": 30.5, "wait": 2, "worker": "any"}


@pytest.fixture
def reader():
    return Reader(Limits(), lambda: "next")


def body(verb, token, **more):
    entry = {"token": token, **more}
    return json.dumps({"acks": [entry], "lease": LEASE} if verb == "settle" else entry).encode()


USUAL = [
    ("settle", {}, Ack("a-1")),
    ("ack", {}, Ack("a-1")),
    ("nack", {"delay": 1, "error": "'any'"}, Nack("a-1", None, 1000, "'any'")),
    ("extend", {"ttl": 2}, Extend("a-1", 2000)),
    ("release", {}, Release("a-1")),
]


@pytest.mark.parametrize(("verb", "more", "entry"), USUAL)
def test_usual_bodies_are_read_once(reader, monkeypatch, verb, more, entry):
    reader.settling(body(verb, "first", **more), None, verb)
    monkeypatch.setattr("dibs.api.validation.Model.parse", None)
    request = reader.settling(body(verb, "a-1", **more), KEY, verb)
    assert request.ask.entries == (entry,)
    assert type(request.ask.entries[0]) is type(entry)
    lease = LeaseAsk(5, 30.5, 2, "any") if verb == "settle" else None
    assert request.ask.key == Key("k", settle_digest((entry,), lease), 7)
    assert (request.wait, request.how) == ((2, "settled") if lease else (0, "outcome"))
    if lease:
        assert request.ask.handout.holder == ("next", 30500, "any")


UNUSUAL = [
    {"acks": [{"token": "a", "seqs": [[1, 2]]}]},
    {"acks": [{"token": "a"}, {"token": "b"}]},
    {"acks": [{"push": [{"queue": "q", "value": {"token": "b"}}], "token": "any"}]},
    {"acks": [{"token": ""}]},
    {"acks": [{"token": "ü"}]},
    {"acks": [{"token": "a"}], "lease": {"worker": "w" * 1100}},
    {"lease": {}},
    {"acks": []},
]


@pytest.mark.parametrize("unusual", UNUSUAL, ids=str)
def test_others_are_read_one_by_one(reader, unusual):
    shapes = Shapes(reader._settles["settle"].parse)
    text = json.dumps(unusual, ensure_ascii=False).encode()
    assert shapes.find(text) is None
    assert shapes.find(text) is None


def test_what_lies_between_known_bytes_is_a_token_or_no_shape(reader):
    shapes = Shapes(reader._settles["settle"].parse)
    before, after = b'{"acks":[{"token":"', b'"}]}'
    assert shapes.find(before + b"a" + after)[1] == "a"
    assert shapes.find(before + b'a"},{"token":"b' + after) is None
    assert shapes.find(before + after) is None


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("verb", [verb for verb, _, _ in USUAL])
def test_a_token_over_its_bound_is_refused_in_a_body_of_a_known_shape_too(reader, verb, known):
    more = {"ttl": 2} if verb == "extend" else {}
    if known:
        reader.settling(body(verb, "a", **more), None, verb)
    longest = "a" * TOKEN_BYTES
    assert reader.settling(body(verb, longest, **more), None, verb).ask.entries[0].token == longest
    with pytest.raises(LimitExceeded) as refused:
        reader.settling(body(verb, f"{longest}a", **more), None, verb)
    assert refused.value.limit == TOKEN_BYTES


def test_they_are_bounded(reader, monkeypatch):
    monkeypatch.setattr("dibs.api.shapes.MOST_SHAPES", 10)
    monkeypatch.setattr("dibs.api.requests.MOST_SHAPES", 10)
    for number in range(100):
        reader.settling(body("extend", "a", ttl=number + 1), None, "extend")
        reader.leasing(b'{"max":%d}' % (number + 1), None)
    assert len(reader._shapes["extend"]._known) <= 10
    assert len(reader._leases) <= 10


@pytest.mark.parametrize("said", [b"", b"{}", b' {"max": 1}'])
def test_a_body_that_says_nothing_of_a_lease_means_what_the_ask_for_one_means(reader, said):
    plain = LeaseAsk()
    request = reader.leasing(said, KEY)
    assert request.ask.handout.most == plain.most
    assert request.ask.handout.holder == ("next", plain.ttl * 1000, plain.worker)
    assert (request.wait, request.digest) == (plain.wait, "lease 1 30 ")


def test_a_lease_has_a_token_of_its_own_each_time():
    tokens = iter(["a", "b"])
    reader = Reader(Limits(), lambda: next(tokens))
    first, second = [reader.leasing(b'{"max":2}', KEY) for _ in range(2)]
    assert (first.ask.handout.holder.token, second.ask.handout.holder.token) == ("a", "b")
    assert first.ask.key == second.ask.key == Key("k", "lease 2 30 ", 7)
