"""The asks of requests: what a take, a block, a lease or a settling means to the ledger, and its digest.

What is asked was checked where it was read: it is within the limits, and nothing is named twice.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from functools import partial
from typing import Any

from ..ledger.serve import Ask, HandOut, Holder, Key
from ..ledger.work import Entry
from .answers import LeaseAsk
from .limits import Limits

_NOT_DEAD = ", dead=False)"

# As their own constructors do, in a third of the time.
_holder: Callable[[Any], Holder] = partial(tuple.__new__, Holder)
_handout: Callable[[Any], HandOut] = partial(tuple.__new__, HandOut)


def take(count: int, limits: Limits, key: Key | None = None) -> Ask:
    """Take up to ``count`` items for good."""
    return Ask(HandOut(count, limits.handout_bytes), key=keyed(key, f"take {count}", limits))


def block(size: int, limits: Limits, key: Key | None = None) -> Ask:
    """Take up to ``size`` consecutive numbers of a source that counts."""
    return Ask(HandOut(size, limits.handout_bytes, block=True), key=keyed(key, f"block {size}", limits))


def lease(asked: LeaseAsk, limits: Limits, token: Callable[[], str], key: Key | None = None) -> Ask:
    """Lease items; ``token`` gives a new token."""
    return Ask(leasing(asked, limits, token), key=keyed(key, request_of(asked), limits))


def settle(
    entries: tuple[Entry, ...],
    asked: LeaseAsk | None,
    limits: Limits,
    token: Callable[[], str],
    key: Key | None = None,
) -> Ask:
    """Settle entries, and lease the next items if that is ``asked``."""
    return Ask(
        None if asked is None else leasing(asked, limits, token),
        entries,
        None if key is None else keyed(key, settling_digest(entries, asked), limits),
        random.random(),  # noqa: S311  # the jitter of nacks
    )


def leasing(asked: LeaseAsk, limits: Limits, token: Callable[[], str]) -> HandOut:
    """The hand-out of a lease, under a new ``token``."""
    holder = _holder((token(), round(asked.ttl * 1000), asked.worker))
    return _handout((asked.most, limits.handout_bytes, holder, False))


# -- what tells one request from another under its key; ``wait`` is no part of it


def keyed(key: Key | None, digest: str, limits: Limits) -> Key | None:
    """The key of a request, checked, with the request's digest."""
    if key is None:
        return None
    limits.check_key(key.text)
    return key._replace(digest=digest)


def request_of(asked: LeaseAsk) -> str:
    """The text by which two lease requests under the same key are told apart."""
    return f"lease {asked.most} {asked.ttl:g} {asked.worker}"


def settling_digest(entries: tuple[Entry, ...], asked: LeaseAsk | None) -> str:
    """The digest by which two settles under the same key are told apart; their texts can be long."""
    return "settle " + digest_of(settling_text(entries, asked))


def settling_text(entries: tuple[Entry, ...], asked: LeaseAsk | None) -> str:
    """A settle in the words of release 0.3, which filed digests of the same texts.

    So a request that was under way over an upgrade has its answer.
    """
    texts = ", ".join(map(_text, entries)) + ("," if len(entries) == 1 else "")
    return f"({texts}) {request_of(asked) if asked else ''}"


def digest_of(text: str) -> str:
    """128 bits of BLAKE2b of a text, in hex."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


def _text(entry: Entry) -> str:
    """An entry in the words of release 0.3: a field that it did not have is left out where it is not set."""
    text = repr(entry)
    return text.removesuffix(_NOT_DEAD) + ")" if text.endswith(_NOT_DEAD) else text
