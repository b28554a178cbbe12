"""Ops on access tokens."""

from __future__ import annotations

from dataclasses import replace

from ..access import KEPT, AccessToken, AddToken, RevokeToken
from .transaction import Transaction


def add(tx: Transaction, op: AddToken) -> AccessToken:
    """Add a token, and remove those that nobody looks for any more."""
    expires = None if op.ttl is None else tx.now + op.ttl
    token = replace(op.token, created=tx.now, expires=expires)
    tx.store.access.prune(tx.now - KEPT)
    tx.store.access.put(token)
    return token


def revoke(tx: Transaction, op: RevokeToken) -> AccessToken | None:
    """Revoke a token."""
    token = tx.store.access.find(op.id)
    if token is None or token.revoked is not None:
        return token
    revoked = replace(token, revoked=tx.now)
    tx.store.access.put(revoked)
    return revoked
