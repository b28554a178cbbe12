"""What was sent, in words: the texts whose digests tell requests with one key apart.

A digest is filed with the answer, and a request can be under way over an upgrade. So the words for a request
stay what they were when it could first be sent: a field that has come later is told only where it is set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..ledger.work import Ack, Extend, Nack, Parcel, Release, Result

FIRST: Final[Mapping[type, int]] = {Parcel: 4, Result: 5, Ack: 3, Nack: 4, Extend: 3, Release: 2}
"""How many fields of each are always told: those of release 0.3. Later ones come behind them."""


def words(sent: Any) -> str:
    """The words for parcels or entries: those of ``repr``, but for later fields that have their default."""
    kind = type(sent)
    if kind in FIRST:
        names, usual = kind._fields, kind._field_defaults
        told = [
            f"{name}={words(value)}"
            for at, (name, value) in enumerate(zip(names, sent, strict=True))
            if at < FIRST[kind] or value != usual[name]
        ]
        return f"{kind.__name__}({', '.join(told)})"
    if kind is tuple and sent and type(sent[0]) in FIRST:
        return f"({', '.join(map(words, sent))}{',' if len(sent) == 1 else ''})"
    return repr(sent)
