"""The bodies of requests but settles (see ``verbs``), as models: what may stand in them, and what they mean.

A model is compiled by the limits of the settings (see ``validation``); OpenAPI shows it as it is compiled.
Durations are seconds in a request, and milliseconds in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Required, TypeVar

from pydantic import AfterValidator, ConfigDict, with_config
from typing_extensions import TypedDict

from ..ledger.work import LAST_PRIORITY, Result
from ..queue.answers import LeaseAsk
from .fields import Json, Many, Number, QueueName, Text, Value, Whole

T = TypeVar("T")


def milliseconds(seconds: float) -> int:
    """Seconds as milliseconds of ledger time; a duration above 0 stays above 0."""
    return max(1, round(seconds * 1000)) if seconds > 0 else 0


def strict(*examples: Json) -> Callable[[type[T]], type[T]]:
    """Refuse unknown fields, and convert nothing."""
    extra: Any = {"examples": list(examples)} if examples else {}
    return with_config(ConfigDict(extra="forbid", strict=True, json_schema_extra=extra))


ItemKey = Annotated[
    str, Text(1, "key_bytes", "The item's key: an item whose key the queue knows is not pushed again.")
]
Delay = Annotated[float, Number(0, "delay", "Seconds before the item can be handed out.", 0.0)]
Priority = Annotated[int, Whole(0, LAST_PRIORITY, "Items of priority 0 are handed out first.", 0)]


# -- lease

_LEASE: Final = LeaseAsk()
"""What is asked where a body says nothing."""


@strict({"max": 50, "ttl": 30, "wait": 10, "worker": "w1"})
class AskLease(TypedDict, total=False):
    """How many items to lease, and for how long."""

    max: Annotated[int, Whole(1, "count", "The most items to lease.", _LEASE.most)]
    ttl: Annotated[float, Number(0.001, "ttl", "Seconds until the lease ends.", _LEASE.ttl)]
    wait: Annotated[float, Number(0, "wait", "Seconds to wait for the first item.", _LEASE.wait)]
    worker: Annotated[
        str, Text(0, "worker_bytes", "The worker's name, shown with items.", _LEASE.worker, inert=True)
    ]


def _lease(asked: AskLease) -> LeaseAsk:
    most, ttl = asked.get("max", _LEASE.most), asked.get("ttl", _LEASE.ttl)
    return LeaseAsk(most, ttl, asked.get("wait", _LEASE.wait), asked.get("worker", _LEASE.worker))


Lease = Annotated[AskLease, AfterValidator(_lease)]


# -- push


@strict()
class PushItem(TypedDict, total=False):
    """One item to push."""

    value: Required[Annotated[Any, Value()]]
    key: ItemKey
    delay: Delay
    priority: Priority


@strict()
class PushResult(TypedDict, total=False):
    """A result: an item that an ack pushes into another queue."""

    queue: Required[Annotated[str, QueueName()]]
    value: Required[Annotated[Any, Value()]]
    key: ItemKey
    delay: Delay
    priority: Priority


class PushedHow(TypedDict):
    """How an item is pushed, but for its key: those fields of a ``Parcel`` and of a ``Result``."""

    delay: int
    priority: int


def pushed_how(item: PushItem | PushResult) -> PushedHow:
    """How an item is pushed, as the ledger takes it."""
    return {"delay": milliseconds(item.get("delay", 0)), "priority": item.get("priority", 0)}


def _result(item: PushResult) -> Result:
    return Result(item["queue"], item["value"], key=item.get("key"), **pushed_how(item))


ResultItem = Annotated[PushResult, AfterValidator(_result)]


@strict({"items": [{"value": "a.png"}, {"value": {"n": 2}, "key": "b", "delay": 5, "priority": 1}]})
class PushItems(TypedDict):
    """Items to push, all of them or none."""

    items: Annotated[list[PushItem], Many("count", least=1)]
