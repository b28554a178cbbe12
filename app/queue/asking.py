"""The asks of requests: what a take, a block, a lease or a settling means to the ledger, and its digest."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from itertools import pairwise

from ..errors import LimitExceeded
from ..ledger.serve import Ask, HandOut, Holder, Key
from ..ledger.work import Ack, Entry, Extend, Nack
from .answers import LeaseAsk
from .limits import Limits

_NOT_DEAD = ", dead=False)"


def take(count: int, limits: Limits, key: Key | None = None) -> Ask:
    """Take up to ``count`` items for good."""
    limits.check_count("count", count, limits.count)
    return Ask(HandOut(count, limits.handout_bytes), key=keyed(key, f"take {count}", limits))


def block(size: int, limits: Limits, key: Key | None = None) -> Ask:
    """Take up to ``size`` consecutive numbers of a source that counts."""
    limits.check_count("size", size, limits.block)
    return Ask(HandOut(size, limits.handout_bytes, block=True), key=keyed(key, f"block {size}", limits))


def lease(asked: LeaseAsk, limits: Limits, token: Callable[[], str], key: Key | None = None) -> Ask:
    """Lease items; ``token`` gives a new token."""
    limits.check_lease(asked)
    return Ask(_leasing(asked, limits, token), key=keyed(key, request_of(asked), limits))


def settle(
    entries: tuple[Entry, ...],
    asked: LeaseAsk | None,
    limits: Limits,
    token: Callable[[], str],
    key: Key | None = None,
) -> Ask:
    """Settle entries, and lease the next items if that is ``asked``.

    Raises:
        LimitExceeded: an item is named twice, or a field is over its limit.
    """
    check_settling(entries, asked, limits)
    ordered = tuple(map(in_order, entries))
    return Ask(
        None if asked is None else _leasing(asked, limits, token),
        ordered,
        None if key is None else keyed(key, settling_digest(ordered, asked), limits),
        random.random(),  # noqa: S311  # the jitter of nacks
    )


def _leasing(asked: LeaseAsk, limits: Limits, token: Callable[[], str]) -> HandOut:
    return HandOut(asked.most, limits.handout_bytes, Holder(token(), round(asked.ttl * 1000), asked.worker))


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


# -- before anything is spent


def check_settling(entries: tuple[Entry, ...], asked: LeaseAsk | None, limits: Limits) -> None:
    """Raise where a settling names something twice, or a field of it is over its limit."""
    limits.check_entries(entries)
    if asked is not None:
        limits.check_lease(asked)
    for entry in entries:
        if isinstance(entry, Nack):
            limits.check_text("error", entry.error, limits.error_bytes)
            limits.check_seconds("delay", (entry.delay or 0) / 1000, limits.delay)
        elif isinstance(entry, Extend):
            limits.check_seconds("ttl", entry.ttl / 1000, limits.ttl, least=0.001)
        elif isinstance(entry, Ack):
            for result in entry.push:
                limits.check_seconds("push.delay", result.delay / 1000, limits.delay)
                limits.check_count("push.priority", result.priority + 1, 10)
    check_named_once(entries)


def check_named_once(entries: tuple[Entry, ...]) -> None:
    """Raise if an item is named twice under one token: by two ranges, or by the whole lease and a range.

    Under two tokens it may be: one of them at most is live.
    """
    whole = {entry.token for entry in entries if entry.seqs is None}
    if len(whole) < sum(entry.seqs is None for entry in entries):
        raise LimitExceeded("a lease is named twice in one request", field="token", limit="once")
    if any(entry.token in whole for entry in entries if entry.seqs is not None):
        raise LimitExceeded("a lease is named whole and by seqs in one request", field="token", limit="once")
    ranges = sorted((entry.token, *span) for entry in entries for span in entry.seqs or ())
    for _, first, last in ranges:
        if not 1 <= first <= last:
            raise LimitExceeded(f"seqs [{first}, {last}] is no range", field="seqs", limit="1 ≤ first ≤ last")
    for (token, _, last), (other, first, _) in pairwise(ranges):
        if token == other and first <= last:
            raise LimitExceeded(f"item {first} is named twice in one request", field="seqs", limit="once")


def in_order(entry: Entry) -> Entry:
    """The entry with its ranges in ascending order, as the ledger needs them."""
    if entry.seqs is None or len(entry.seqs) < 2:  # noqa: PLR2004  # one is in order
        return entry
    return entry._replace(seqs=tuple(sorted(entry.seqs)))
