"""Access tokens in the ledger: durable, found again as they were, and never none again."""

from __future__ import annotations

from dataclasses import replace

from dibs.ledger.access import KEPT, AccessToken, AddToken, RevokeToken
from words import apply

TOKEN = AccessToken("one", "ann", bytes(range(32)), "consume:jobs* read:*", "root")


def add(ledger, name, ttl=None):
    return ledger.do(AddToken(replace(TOKEN, id=name), ttl))


def tokens(ledger):
    ledger.restart()
    return ledger.engine.access_tokens()


def test_a_token_is_there_as_it_was_after_a_restart(ledger):
    made = add(ledger, "one", ttl=5_000)
    assert made == replace(TOKEN, created=ledger.engine.now(), expires=ledger.engine.now() + 5_000)
    ledger.time.pass_(1)
    other = add(ledger, "a")
    assert other.expires is None
    assert tokens(ledger) == [made, other]


def test_it_counts_until_it_expires(ledger):
    made, forever = add(ledger, "one", ttl=5_000), add(ledger, "two")
    assert made.good(made.created + 4_999)
    assert not made.good(made.created + 5_000)
    assert forever.good(made.created + 10**15)


def test_a_revoked_one_counts_no_more_and_stays_revoked_at_its_instant(ledger):
    made = add(ledger, "one")
    ledger.time.pass_(1_000)
    revoked = ledger.do(RevokeToken("one"))
    assert revoked == replace(made, revoked=made.created + 1_000)
    assert not revoked.good(made.created)
    ledger.time.pass_(1_000)
    assert ledger.do(RevokeToken("one")) == revoked
    assert tokens(ledger) == [revoked]


def test_there_is_nothing_to_revoke_under_an_unknown_id(ledger):
    assert ledger.do(RevokeToken("none")) is None


def test_in_one_batch_a_token_is_added_and_revoked(ledger):
    added, revoked = apply(ledger.engine, AddToken(TOKEN), RevokeToken("one"))
    assert (added.revoked, revoked.revoked) == (None, ledger.engine.now())
    assert tokens(ledger) == [revoked]


def test_what_counts_no_more_goes_when_another_comes_and_never_the_last(ledger):
    add(ledger, "revoked")
    ledger.do(RevokeToken("revoked"))
    add(ledger, "expired", ttl=1_000)
    kept = add(ledger, "kept")
    ledger.time.pass_(KEPT + 1_000)
    made = add(ledger, "made")  # one has expired for exactly as long as it is kept
    assert [token.id for token in tokens(ledger)] == ["expired", "kept", "made"]
    ledger.time.pass_(1)
    ledger.do(RevokeToken("kept"))
    assert [token.id for token in tokens(ledger)] == ["expired", "kept", "made"]
    again = add(ledger, "again")
    revoked = replace(kept, revoked=made.created + 1)
    assert tokens(ledger) == [revoked, made, again]
