"""The one reader of requests: what a body, a query and a key mean, for both doors and all operations."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from itertools import pairwise
from typing import Annotated, Final, NamedTuple, NoReturn

from ..errors import LimitExceeded
from ..ledger.serve import Key
from ..ledger.work import Ack, Entry, Extend, Nack, Parcel, Release
from ..queue.answers import LeaseAsk
from ..queue.limits import Limits
from ..sources.encode import MAX_SAFE
from . import queries
from .fields import Json, Whole
from .models import (
    AckEntry,
    ExtendEntry,
    Lease,
    NackEntry,
    PushItem,
    PushItems,
    ReleaseEntry,
    SettleItems,
    milliseconds,
)
from .models_manage import Advance, DefineQueue, Purge, Redrive
from .problems import RequestRefused
from .queries import Query, refusal
from .validation import Model

KINDS: Final[dict[str, type]] = {"acks": Ack, "nacks": Nack, "extends": Extend, "releases": Release}
"""The lists of a settle, in the order in which they are applied, and the words in them."""

_QUOTED_KEY: Final = re.compile(rb'"((?:[^"\\]|\\["\\])*)"')
_PRINTABLE: Final = re.compile(rb"[\x20-\x7e]+")


class Settling(NamedTuple):
    """The entries of a settle in their order, and the lease that it asks for."""

    entries: tuple[Entry, ...]
    lease: LeaseAsk | None

    @property
    def waits(self) -> bool:
        """Whether its answer may take as long as somebody waits for it."""
        return self.lease is not None and self.lease.wait > 0


class Reader:
    """Reads requests, by the limits of the settings."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        model = partial(Model, limits=limits)
        query = partial(Query, limits=limits)
        self.lease: Model[LeaseAsk] = model(Lease)
        self.settle: Model[Settling] = model(SettleItems, then=self._settling)
        self.ack: Model[Entry] = model(AckEntry, then=self._one)
        self.nack: Model[Entry] = model(NackEntry, then=self._one)
        self.extend: Model[Entry] = model(ExtendEntry, then=self._one)
        self.release: Model[Entry] = model(ReleaseEntry, then=self._one)
        self.push: Model[tuple[Parcel, ...]] = model(PushItems, then=_parcels)
        self.item: Model[PushItem] = model(PushItem, root="item")
        self.redrive: Model[Redrive] = model(Redrive, then=self._redrive)
        self.purge: Model[Purge] = model(Purge)
        self.define: Model[DefineQueue] = model(DefineQueue)
        self.advance: Model[Advance] = model(Advance)
        self._seq: Model[int] = model(Annotated[int, Whole(1, MAX_SAFE)], root="seq")
        self.no_query: Query[queries.Nothing] = query(queries.Nothing)
        self.take_query: Query[queries.Take] = query(queries.Take)
        self.block_query: Query[queries.Block] = query(queries.Block)
        self.confirmation: Query[queries.Confirmation] = query(queries.Confirmation)
        self.queues_page: Query[queries.QueuesPage] = query(queries.QueuesPage)
        self.items_page: Query[queries.ItemsPage] = query(queries.ItemsPage)
        self.history_page: Query[queries.HistoryPage] = query(queries.HistoryPage)
        self.keys_page: Query[queries.KeysPage] = query(queries.KeysPage)

    def key(self, raw: bytes | None, sequence: bytes | None = None) -> Key | None:
        """The Idempotency-Key of a request, and its number in the session of that key, where it has one."""
        if raw is None:
            if sequence is not None:
                why = "it goes with an Idempotency-Key, and the request has none"
                raise refusal("Idempotency-Sequence", why)
            return None
        return Key(self._key_text(raw), "", 0 if sequence is None else _sequence(sequence))

    def _key_text(self, raw: bytes) -> str:
        """The text of a key: bare or quoted (RFC 8941 section 3.3.3), one and the same key."""
        key, limit = raw.strip(b" \t"), self.limits.key_bytes
        if key.startswith(b'"'):
            quoted = _QUOTED_KEY.fullmatch(key)
            if quoted is None:
                raise refusal("Idempotency-Key", "the quoted text has no end, or something follows it")
            key = re.sub(rb"\\(.)", rb"\1", quoted[1])
        if not key:
            why = "Idempotency-Key: it is empty"
            raise RequestRefused("invalid", why, field="Idempotency-Key", limit=limit)
        if len(key) > limit:
            over("Idempotency-Key", f"{len(key)} bytes; the limit is {limit}", limit)
        if not _PRINTABLE.fullmatch(key):
            raise refusal("Idempotency-Key", "only printable ASCII characters can be in it")
        return key.decode("ascii")

    def seq(self, text: str) -> int:
        """The seq of an item in a path."""
        return self._seq.read(queries.literal(text, int))

    # -- what models can't say: sums, and what stands in two places

    def _settling(self, body: Json) -> Settling:
        entries: list[Entry] = []
        most = self.limits.entries
        for kind in KINDS:
            entries += body.get(kind, ())
            if len(entries) > most:
                over(kind, f"a settle has at most {most} entries", most)
        self._check_sizes(entries)
        if len(entries) > 1:
            _check_once(entries)
        return Settling(tuple(entries), body.get("lease"))

    def _one(self, entry: Entry) -> Entry:
        self._check_sizes((entry,))
        return entry

    def _check_sizes(self, entries: Iterable[Entry]) -> None:
        limits = self.limits
        ranges = results = 0
        for entry in entries:
            ranges += len(entry.seqs or ())
            results += len(entry.push) if type(entry) is Ack else 0
        if ranges > limits.ranges:
            over("seqs", f"a request names at most {limits.ranges} ranges", limits.ranges)
        if results > limits.count:
            over("push", f"a request pushes at most {limits.count} results", limits.count)

    def _redrive(self, body: Redrive) -> Redrive:
        most = self.limits.ranges
        if len(body.get("seqs", ())) > most:
            over("seqs", f"a request names at most {most} ranges", most)
        return body


def _sequence(raw: bytes) -> int:
    """The number of a request in its session."""
    text = raw.strip(b" \t")
    if not text.isdigit() or len(text) > len(str(MAX_SAFE)) or not 1 <= int(text) <= MAX_SAFE:
        why = f"Idempotency-Sequence: it must be a whole number from 1 to {MAX_SAFE}"
        raise RequestRefused("invalid", why, field="Idempotency-Sequence", limit=MAX_SAFE)
    return int(text)


def _check_once(entries: list[Entry]) -> None:
    """Refuse what is said twice of one item under one token: which of both would hold?

    The same seq under two tokens is none of that: at most one of them is live, and a late worker that settles
    both does right.
    """
    named: dict[str, list[tuple[int, int, int]]] = {}
    whole_leases: set[str] = set()
    for at, entry in enumerate(entries):
        if entry.token in whole_leases or (entry.seqs is None and entry.token in named):
            why = "an entry before it names this lease already, and one of them all of it"
            raise refusal(f"{_place(entries, at)}.token", why)
        if entry.seqs is None:
            whole_leases.add(entry.token)
        else:
            named.setdefault(entry.token, []).extend([(*span, at) for span in entry.seqs])
    for found in named.values():
        found.sort()
        for (_, last, one), (first, _, other) in pairwise(found):
            if first <= last:
                raise refusal(f"{_place(entries, max(one, other))}.seqs", f"seq {first} is named twice")


def _place(entries: list[Entry], at: int) -> str:
    """The entry's place in the body: ``acks.1``."""
    word = type(entries[at])
    kind = next(kind for kind, each in KINDS.items() if each is word)
    return f"{kind}.{sum(type(entry) is word for entry in entries[:at])}"


def _parcels(body: PushItems) -> tuple[Parcel, ...]:
    bundle = Bundle()
    for item in body["items"]:
        bundle.add(item)
    return bundle.parcels()


class Bundle:
    """Pushed items in their order; neighbours with the same delay and priority make a parcel."""

    def __init__(self) -> None:
        self.count = 0
        self._done: list[Parcel] = []
        self._texts: list[str] = []
        self._keys: list[str | None] = []
        self._keyed = False
        self._terms = (0, 0)

    def add(self, item: PushItem) -> None:
        """Add one item, as its model gives it: its value is a text."""
        terms, key = (0, 0), None
        if len(item) > 1:
            terms = milliseconds(item.get("delay", 0)), item.get("priority", 0)
            key = item.get("key")
        if terms != self._terms:
            self._close()
            self._terms = terms
        self._texts.append(item["value"])
        self._keys.append(key)
        self._keyed = self._keyed or key is not None
        self.count += 1

    def parcels(self) -> tuple[Parcel, ...]:
        """All that was added."""
        self._close()
        return tuple(self._done)

    def _close(self) -> None:
        if self._texts:
            keys = tuple(self._keys) if self._keyed else None
            self._done.append(Parcel(tuple(self._texts), *self._terms, keys))
            self._texts, self._keys, self._keyed = [], [], False


def over(field: str, why: str, limit: int | str) -> NoReturn:
    """422 limit-exceeded; nothing was spent."""
    raise LimitExceeded(f"{field}: {why}", field=field, limit=limit)
