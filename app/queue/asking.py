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
from .wording import words

# As their own constructors do, in a third of the time.
_holder: Callable[[Any], Holder] = partial(tuple.__new__, Holder)
_handout: Callable[[Any], HandOut] = partial(tuple.__new__, HandOut)
_ask: Callable[[Any], Ask] = partial(tuple.__new__, Ask)
_key: Callable[[Any], Key] = partial(tuple.__new__, Key)


def take(count: int, limits: Limits, key: Key | None = None) -> Ask:
    """Take up to ``count`` items for good."""
    return keyed(Ask(HandOut(count, limits.handout_bytes)), key, take_digest(count))


def block(size: int, limits: Limits, key: Key | None = None) -> Ask:
    """Take up to ``size`` consecutive numbers of a source that counts."""
    return keyed(Ask(HandOut(size, limits.handout_bytes, block=True)), key, block_digest(size))


def keyed(ask: Ask, key: Key | None, digest: str) -> Ask:
    """An ask, under a key if there is one and it has none yet; the key gets the digest of the request."""
    handout, entries, own, chance, settled, caller = ask
    if key is None or own is not None:
        return ask
    text, _, n, whose = key
    return _ask((handout, entries, _key((text, digest, n, whose)), chance, settled, caller))


def work(
    entries: tuple[Entry, ...],
    asked: LeaseAsk | None,
    limits: Limits,
    token: Callable[[], str],
    *,
    key: Key | None = None,
    digest: str = "",
) -> Ask:
    """Settle entries, if there are any, and lease items if that is ``asked``, under a new ``token``.

    The ``key`` gets the ``digest``, which whoever asks for work may have at hand.
    """
    handout = None
    if asked is not None:
        holder = _holder((token(), round(asked.ttl * 1000), asked.worker))
        handout = _handout((asked.most, limits.handout_bytes, holder, False))
    chance = random.random() if entries else 0.0  # noqa: S311  # the jitter of nacks
    if key is not None:
        text, _, n, caller = key
        key = _key((text, digest, n, caller))
    return _ask((handout, entries, key, chance, None, ""))


# -- digests: what tells one request from another under its key


def take_digest(count: int) -> str:
    """The digest of a take."""
    return f"take {count}"


def block_digest(size: int) -> str:
    """The digest of a block."""
    return f"block {size}"


def lease_digest(asked: LeaseAsk) -> str:
    """The digest of a lease; how long it may wait is no part of it."""
    return f"lease {asked.most} {asked.ttl:g} {asked.worker}"


def settle_digest(entries: tuple[Entry, ...], asked: LeaseAsk | None) -> str:
    """The digest of a settle, whose text can be long."""
    return "settle " + digest_of(settling_text(entries, asked))


def settling_text(entries: tuple[Entry, ...], asked: LeaseAsk | None) -> str:
    """A settle in the words of release 0.3, which filed digests of the same texts.

    So a request that was under way over an upgrade has its answer.
    """
    return f"{words(entries)} {lease_digest(asked) if asked else ''}"


def digest_of(text: str) -> str:
    """128 bits of BLAKE2b of a text, in hex."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()
