"""The bodies of requests, as models: what may stand in them, and the words of the ledger that they mean.

A model is compiled by the limits of the settings (see ``validation``); OpenAPI shows it as it is compiled.
Durations are seconds in a request, and milliseconds in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Required, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, with_config
from typing_extensions import TypedDict

from ..ledger.work import Ack, Extend, Nack, Release, Result
from ..queue.answers import LeaseAsk
from ..queue.tokens import TOKEN_BYTES
from .fields import Flag, Json, Many, Number, QueueName, Ranges, Seqs, Text, Value, Whole

T = TypeVar("T")
TOKEN: Final = "x3hVb2Zf0Q9yqk7pC1mW8g"  # noqa: S105  # an example
_HOLDING: Final[Json] = {"token": TOKEN, "seqs": [[1, 40], [42, 42]]}


def milliseconds(seconds: float) -> int:
    """Seconds as milliseconds of ledger time; a duration above 0 stays above 0."""
    return max(1, round(seconds * 1000)) if seconds > 0 else 0


def strict(*examples: Json) -> Callable[[type[T]], type[T]]:
    """Refuse unknown fields, and convert nothing."""
    extra: Any = {"examples": list(examples)} if examples else {}
    return with_config(ConfigDict(extra="forbid", strict=True, json_schema_extra=extra))


Token = Annotated[str, Text(1, TOKEN_BYTES, "The token in the answer that leased the items.")]
Holds = Annotated[Seqs, Ranges("Only the items of these ranges. Default: all.")]
ItemKey = Annotated[
    str, Text(1, "key_bytes", "The item's key: an item whose key the queue knows is not pushed again.")
]
Delay = Annotated[float, Number(0, "delay", "Seconds before the item can be handed out.", 0.0)]
Priority = Annotated[int, Whole(0, 9, "Items of priority 0 are handed out first.", 0)]


# -- lease and settle


@strict({"max": 50, "ttl": 30, "wait": 10, "worker": "w1"})
class AskLease(TypedDict, total=False):
    """How many items to lease, and for how long."""

    max: Annotated[int, Whole(1, "count", "The most items to lease.", 1)]
    ttl: Annotated[float, Number(0.001, "ttl", "Seconds until the lease ends.", 30.0)]
    wait: Annotated[float, Number(0, "wait", "Seconds to wait for the first item.", 0.0)]
    worker: Annotated[str, Text(0, "worker_bytes", "The worker's name, shown with items.", "", inert=True)]


def _lease(asked: AskLease) -> LeaseAsk:
    wait, worker = asked.get("wait", 0.0), asked.get("worker", "")
    return LeaseAsk(asked.get("max", 1), asked.get("ttl", 30.0), wait, worker)


@strict()
class PushResult(TypedDict, total=False):
    """A result: an item that an ack pushes into another queue."""

    queue: Required[Annotated[str, QueueName()]]
    value: Required[Annotated[Any, Value()]]
    key: ItemKey
    delay: Delay
    priority: Priority


def _result(pushed: PushResult) -> Result:
    delay, priority = milliseconds(pushed.get("delay", 0)), pushed.get("priority", 0)
    return Result(pushed["queue"], pushed["value"], delay, priority, pushed.get("key"))


@strict({**_HOLDING, "push": [{"queue": "done", "value": {"size": 7}}]})
class AckItems(TypedDict, total=False):
    """The items are done; ``push`` puts results into other queues in the same transaction."""

    token: Required[Token]
    seqs: Holds
    push: Annotated[
        list[Annotated[PushResult, AfterValidator(_result)]],
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


Lease = Annotated[AskLease, AfterValidator(_lease)]
AckEntry = Annotated[AckItems, AfterValidator(_ack)]
NackEntry = Annotated[NackItems, AfterValidator(_nack)]
ExtendEntry = Annotated[ExtendItems, AfterValidator(_extend)]
ReleaseEntry = Annotated[ReleaseItems, AfterValidator(_release)]
_NACK: Final[Json] = {"token": TOKEN, "seqs": [[41, 41]], "error": "no"}


@strict({"acks": [_HOLDING], "nacks": [_NACK], "lease": {"max": 50}})
class SettleItems(TypedDict, total=False):
    """Leased items to settle, and the next lease."""

    acks: Annotated[list[AckEntry], Many("entries"), Field(description="Done.")]
    nacks: Annotated[list[NackEntry], Many("entries"), Field(description="Failed.")]
    extends: Annotated[list[ExtendEntry], Many("entries"), Field(description="Still worked on.")]
    releases: Annotated[list[ReleaseEntry], Many("entries"), Field(description="Not begun.")]
    lease: Annotated[Lease, Field(description="The next lease.")]


# -- push


@strict()
class PushItem(TypedDict, total=False):
    """One item to push."""

    value: Required[Annotated[Any, Value()]]
    key: ItemKey
    delay: Delay
    priority: Priority


@strict({"items": [{"value": "a.png"}, {"value": {"n": 2}, "key": "b", "delay": 5, "priority": 1}]})
class PushItems(TypedDict):
    """Items to push, all of them or none."""

    items: Annotated[list[PushItem], Many("count", least=1)]
