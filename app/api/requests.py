"""The one reader of requests: what bodies, queries and headers mean, for both doors and all operations.

A hot call (take, block, lease, settle and its four verbs) becomes a ``Request``: the ask for its queue, how
long it may wait, and how its answer is encoded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

from ..ledger.serve import Ask, Key
from ..ledger.work import Parcel
from ..queue import Queue, asking
from ..queue.answers import LeaseAsk
from ..queue.limits import Limits
from ..sources.encode import MAX_SAFE
from . import bodies, items, keys, queries
from .accept import JSON, TEXT, Type
from .fields import Whole
from .models import Lease, PushItem, PushItems
from .settling import Settling, alone, settling
from .shapes import MOST_SHAPES, SHAPE_BYTES, Shapes
from .validation import Model
from .verbs import VERBS, SettleItems

How = Literal["one", "list", "lines", "block", "wide block", "lease", "settled", "outcome"]
"""How an answer is encoded (see ``answers``)."""


class Request(NamedTuple):
    """One hot call: its ask, how long (seconds) it may wait, and how its answer is encoded.

    ``digest`` tells it from another request under the same key; how long it may wait is no part of that.
    """

    ask: Ask
    wait: float
    how: How
    digest: str

    def of(self, queue: Queue) -> Request:
        """The same request of this queue; for a block it has to count."""
        if self.how != "block":
            return self
        queue.check_arithmetic()
        return self._replace(how="wide block") if queue.line.computing.wide else self


# As its own constructor does, in a third of the time.
_request: Callable[[Any], Request] = partial(tuple.__new__, Request)


class Reader:
    """Reads hot calls and pushes, by the limits of the settings. ``token`` gives a new token of a lease."""

    def __init__(self, limits: Limits, token: Callable[[], str]) -> None:
        self._limits = limits
        self._token = token
        self._lease: Model[LeaseAsk] = Model(Lease, limits)
        self._push: Model[PushItems] = Model(PushItems, limits)
        self._settles: dict[str, Model[Settling]] = {
            verb.name: Model(verb.entry, limits, then=partial(alone, limits)) for verb in VERBS
        }
        self._settles["settle"] = Model(SettleItems, limits, then=partial(settling, limits))
        self.item: Model[PushItem] = Model(PushItem, limits, root="item")
        self._seq: Model[int] = Model(Annotated[int, Whole(1, MAX_SAFE)], limits, root="seq")
        self._shapes = {verb: Shapes(model.parse) for verb, model in self._settles.items()}
        self._leases: dict[bytes, tuple[LeaseAsk, str]] = {}
        limits.follow(self._forget)

    def _forget(self) -> None:
        """Forget bodies that were read by the limits before."""
        self._leases.clear()
        for shapes in self._shapes.values():
            shapes.forget()

    def key(self, raw: bytes | None, sequence: bytes | None) -> Key | None:
        """The Idempotency-Key of a request, and its number (Idempotency-Sequence)."""
        return keys.read_key(raw, sequence, self._limits.key_bytes)

    def seq(self, text: str) -> int:
        """The seq of an item in a path."""
        return self._seq.read(queries.literal(text, int))

    # -- hot calls

    def take(self, query: queries.Take, kind: Type) -> Request:
        """A take."""
        asked = query.get("count")
        count = asked or 1
        how: How = "lines" if kind is TEXT else "one" if asked is None else "list"
        ask = asking.take(count, self._limits)
        return Request(ask, query.get("wait", 0.0), how, asking.take_digest(count))

    def block(self, query: queries.Block, _: Type = JSON) -> Request:
        """A block of numbers."""
        size = query["size"]
        return Request(asking.block(size, self._limits), 0.0, "block", asking.block_digest(size))

    def leasing(self, body: bytes, key: Key | None) -> Request:
        """A lease. The bodies of one worker are the same, so they are remembered."""
        known = self._leases.get(body)
        if known is None:
            asked = self._lease.read({}) if body.strip() in bodies.BLANK else self._lease.parse(body)
            known = asked, asking.lease_digest(asked)
            if len(self._leases) >= MOST_SHAPES:
                self._leases.clear()
            if len(body) <= SHAPE_BYTES:
                self._leases[body] = known
        asked, digest = known
        ask = asking.work((), asked, self._limits, self._token, key=key, digest=digest)
        return _request((ask, asked.wait, "lease", digest))

    def settling(self, body: bytes, key: Key | None, verb: str) -> Request:
        """A settle, or one of its verbs alone."""
        usual = self._shapes[verb].find(body)
        if usual is None:
            entries, lease = self._settles[verb].parse(body)
            digest = "" if key is None else asking.settle_digest(entries, lease)
        else:
            shape, token = usual
            entries, lease = (shape.settle(token),), shape.lease
            digest = "" if key is None else shape.digest(token)
        ask = asking.work(entries, lease, self._limits, self._token, key=key, digest=digest)
        how: How = "settled" if verb == "settle" else "outcome"
        return _request((ask, 0.0 if lease is None else lease.wait, how, digest))

    def pushing(self, body: bytes, _: Key | None) -> tuple[Parcel, ...]:
        """A push."""
        return items.parcels(self._push.parse(body))
