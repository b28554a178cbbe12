"""The verbs of a settle, in one table: what each takes, its word of the ledger, how it is told.

Paths, lists, models and the schemas of answers come from it; what a verb does is said in
``ledger/state/settling.py``.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, NamedTuple, Required

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from ..ledger.work import Ack, Entry, Extend, Nack, Release
from ..queue.tokens import TOKEN_BYTES
from .fields import Flag, Json, Many, Number, Ranges, Seqs, Text
from .models import Lease, ResultItem, milliseconds, strict

TOKEN: Final = "x3hVb2Zf0Q9yqk7pC1mW8g"  # noqa: S105  # an example
_HOLDING: Final[Json] = {"token": TOKEN, "seqs": [[1, 40], [42, 42]]}

Token = Annotated[str, Text(1, TOKEN_BYTES, "The token in the answer that leased the items.")]
Holds = Annotated[Seqs, Ranges("Only the items of these ranges. Default: all.")]


@strict({**_HOLDING, "push": [{"queue": "done", "value": {"size": 7}}]})
class AckItems(TypedDict, total=False):
    """The items are done; ``push`` puts results into other queues in the same transaction."""

    token: Required[Token]
    seqs: Holds
    push: Annotated[
        list[ResultItem],
        Many("count"),
        Field(description="Results for other queues; if one is refused, nothing happens."),
    ]


def _ack(entry: AckItems) -> Ack:
    push: Any = entry.get("push", ())
    return Ack(entry["token"], entry.get("seqs"), tuple(push))


@strict({**_HOLDING, "delay": 5, "error": "TimeoutError: 30 s"})
class NackItems(TypedDict, total=False):
    """The items failed."""

    token: Required[Token]
    seqs: Holds
    delay: Annotated[
        float, Number(0, "delay", "Seconds until the next attempt. Default: the queue's back-off.")
    ]
    error: Annotated[str, Text(0, "error_bytes", "Why the attempt failed; kept in the item's history.", "")]
    dead: Annotated[bool, Flag("Make the item dead at once, as no further attempt would help.")]


def _nack(entry: NackItems) -> Nack:
    delay = milliseconds(entry["delay"]) if "delay" in entry else None
    error, dead = entry.get("error", ""), entry.get("dead", False)
    return Nack(entry["token"], entry.get("seqs"), delay, error, dead)


@strict({**_HOLDING, "ttl": 30})
class ExtendItems(TypedDict, total=False):
    """The items take longer: their lease ends ``ttl`` seconds from now."""

    token: Required[Token]
    seqs: Holds
    ttl: Required[Annotated[float, Number(0.001, "ttl", "Seconds until the lease ends.")]]


def _extend(entry: ExtendItems) -> Extend:
    return Extend(entry["token"], milliseconds(entry["ttl"]), entry.get("seqs"))


@strict(_HOLDING)
class ReleaseItems(TypedDict, total=False):
    """The items were not begun: they wait again at once."""

    token: Required[Token]
    seqs: Holds


def _release(entry: ReleaseItems) -> Release:
    return Release(entry["token"], entry.get("seqs"))


class Verb(NamedTuple):
    """A verb: its last part of the path, its list in a settle, its word of the ledger, its entry.

    ``about`` describes the list, ``text`` the operation of the verb alone. ``problems``: what that answers,
    beside those of all verbs.
    """

    name: str
    kind: str
    word: type[Entry]
    entry: Any
    about: str
    text: str
    problems: tuple[str, ...] = ()


VERBS: Final = (
    Verb(
        "ack",
        "acks",
        Ack,
        Annotated[AckItems, AfterValidator(_ack)],
        "Done.",
        """Ack leased items.

        The items are done and leave the queue. With `push`, results go into other queues in the same
        transaction, even if those are full: all of it happens, or (409 `result-refused`) nothing.
        """,
        problems=("result-refused",),
    ),
    Verb(
        "nack",
        "nacks",
        Nack,
        Annotated[NackItems, AfterValidator(_nack)],
        "Failed.",
        """Nack leased items.

        The items failed, and wait for the queue's back-off or for `delay` seconds. After the queue's
        `max_attempts`, or at once with `dead`, they are dead. The server keeps `error` in their history.
        """,
    ),
    Verb(
        "extend",
        "extends",
        Extend,
        Annotated[ExtendItems, AfterValidator(_extend)],
        "Still worked on.",
        """Extend a lease.

        The lease then ends `ttl` seconds from now, under the same token.
        """,
    ),
    Verb(
        "release",
        "releases",
        Release,
        Annotated[ReleaseItems, AfterValidator(_release)],
        "Not begun.",
        """Release leased items.

        The worker has not begun the items: they wait again at once, and the hand-out is not counted as an
        attempt.
        """,
    ),
)
"""In the order in which the lists of a settle are applied."""

_NACK: Final[Json] = {"token": TOKEN, "seqs": [[41, 41]], "error": "no"}
_LISTS: Final[dict[str, Any]] = {
    verb.kind: Annotated[list[verb.entry], Many("entries"), Field(description=verb.about)]  # type: ignore[name-defined]
    for verb in VERBS
}
SettleItems: Final[Any] = TypedDict(
    "SettleItems",
    {
        **_LISTS,  # type: ignore[misc]  # its fields are those of the table
        "lease": Annotated[Lease, Field(description="The next lease.")],
    },
    total=False,
)
SettleItems.__doc__ = "Leased items to settle, and the next lease."
strict({"acks": [_HOLDING], "nacks": [_NACK], "lease": {"max": 50}})(SettleItems)
