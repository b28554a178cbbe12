"""The bodies of requests, as models: what may stand in them, and the words of the ledger that they mean.

A model is compiled by the limits of the settings (see ``validation``); OpenAPI shows it as it is compiled.
Durations are seconds in a request, and milliseconds in the ledger.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, NotRequired

from pydantic import AfterValidator, ConfigDict, Field, with_config
from typing_extensions import TypedDict

from ..ledger.work import Ack, Extend, Nack, Release, Result
from ..queue.answers import LeaseAsk
from .fields import Json, Many, Number, QueueName, Ranges, Seqs, Text, Value, Whole

MIN_TTL: Final = 0.001
LOWEST_PRIORITY: Final = 9
TOKEN_BYTES: Final = 255
_TOKEN: Final = "x3hVb2Zf0Q9yqk7pC1mW8g"  # noqa: S105  # an example
_HOLDING: Final[Json] = {"token": _TOKEN, "seqs": [[1, 40], [42, 42]]}


def milliseconds(seconds: float) -> int:
    """Seconds as milliseconds of ledger time; a duration above 0 stays above 0."""
    return max(1, round(seconds * 1000)) if seconds > 0 else 0


def about(description: str, default: Any = None) -> Any:
    """The description of a field, and the default of one that may be left out, but is never null."""
    return Field(description=description, json_schema_extra=None if default is None else {"default": default})


def examples(*examples: Json) -> ConfigDict:
    """Unknown fields are refused, and nothing is converted."""
    return ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": list(examples)})


STRICT: Final = ConfigDict(extra="forbid", strict=True)

Token = Annotated[str, Text(TOKEN_BYTES, least=1), about("The token in the answer that leased the items.")]
Holds = Annotated[Seqs, Ranges(), about("Only the items of these ranges. Default: all.")]
Ttl = Annotated[float, Number(MIN_TTL, "ttl"), about("Seconds until the lease ends.", 30.0)]
ItemKey = Annotated[
    str,
    Text("key_bytes", least=1),
    about("The item's key: an item whose key the queue knows is not pushed again."),
]
Delay = Annotated[float, Number(0, "delay"), about("Seconds before the item can be handed out.", 0.0)]
Priority = Annotated[int, Whole(0, LOWEST_PRIORITY), about("Items of priority 0 are handed out first.", 0)]


# -- lease and settle


@with_config(examples({"max": 50, "ttl": 30, "wait": 10, "worker": "w1"}))
class AskLease(TypedDict):
    """How many items to lease, and for how long."""

    max: NotRequired[Annotated[int, Whole(1, "count"), about("The most items to lease.", 1)]]
    ttl: NotRequired[Ttl]
    wait: NotRequired[Annotated[float, Number(0, "wait"), about("Seconds to wait for the first item.", 0.0)]]
    worker: NotRequired[
        Annotated[
            str, Text("worker_bytes", inert=True), about("The worker's name, shown with its items.", "")
        ]
    ]


def _lease(asked: AskLease) -> LeaseAsk:
    return LeaseAsk(
        asked.get("max", 1), asked.get("ttl", 30.0), asked.get("wait", 0.0), asked.get("worker", "")
    )


@with_config(STRICT)
class PushResult(TypedDict):
    """A result: an item that an ack pushes into another queue."""

    queue: Annotated[str, QueueName()]
    value: Annotated[Any, Value()]
    key: NotRequired[ItemKey]
    delay: NotRequired[Delay]
    priority: NotRequired[Priority]


def _result(pushed: PushResult) -> Result:
    delay, priority = milliseconds(pushed.get("delay", 0)), pushed.get("priority", 0)
    return Result(pushed["queue"], pushed["value"], delay, priority, pushed.get("key"))


@with_config(examples({**_HOLDING, "push": [{"queue": "done", "value": {"size": 7}}]}))
class AckItems(TypedDict):
    """The items are done; ``push`` puts results into other queues in the same transaction."""

    token: Token
    seqs: NotRequired[Holds]
    push: NotRequired[
        Annotated[
            list[Annotated[PushResult, AfterValidator(_result)]],
            Many("count"),
            about("Results for other queues; if one is refused, nothing happens."),
        ]
    ]


def _ack(entry: AckItems) -> Ack:
    push: Any = entry.get("push", ())
    return Ack(entry["token"], entry.get("seqs"), tuple(push))


@with_config(examples({**_HOLDING, "delay": 5, "error": "TimeoutError: 30 s"}))
class NackItems(TypedDict):
    """The items failed."""

    token: Token
    seqs: NotRequired[Holds]
    delay: NotRequired[
        Annotated[
            float,
            Number(0, "delay"),
            about("Seconds until the next attempt. Default: the queue's back-off."),
        ]
    ]
    error: NotRequired[
        Annotated[str, Text("error_bytes"), about("Why the attempt failed; kept in the item's history.", "")]
    ]
    dead: NotRequired[
        Annotated[bool, about("Make the item dead at once, as no further attempt would help.", False)]
    ]


def _nack(entry: NackItems) -> Nack:
    delay = milliseconds(entry["delay"]) if "delay" in entry else None
    error, dead = entry.get("error", ""), entry.get("dead", False)
    return Nack(entry["token"], entry.get("seqs"), delay, error, dead)


@with_config(examples({**_HOLDING, "ttl": 30}))
class ExtendItems(TypedDict):
    """The items take longer: their lease ends ``ttl`` seconds from now."""

    token: Token
    seqs: NotRequired[Holds]
    ttl: Annotated[float, Number(MIN_TTL, "ttl"), about("Seconds until the lease ends.")]


def _extend(entry: ExtendItems) -> Extend:
    return Extend(entry["token"], milliseconds(entry["ttl"]), entry.get("seqs"))


@with_config(examples(_HOLDING))
class ReleaseItems(TypedDict):
    """The items were not begun: they wait again at once."""

    token: Token
    seqs: NotRequired[Holds]


def _release(entry: ReleaseItems) -> Release:
    return Release(entry["token"], entry.get("seqs"))


Lease = Annotated[AskLease, AfterValidator(_lease)]
AckEntry = Annotated[AckItems, AfterValidator(_ack)]
NackEntry = Annotated[NackItems, AfterValidator(_nack)]
ExtendEntry = Annotated[ExtendItems, AfterValidator(_extend)]
ReleaseEntry = Annotated[ReleaseItems, AfterValidator(_release)]


@with_config(
    examples(
        {
            "acks": [_HOLDING],
            "nacks": [{"token": _TOKEN, "seqs": [[41, 41]], "error": "no"}],
            "lease": {"max": 50},
        }
    )
)
class SettleItems(TypedDict):
    """Leased items to settle, and the next lease."""

    acks: NotRequired[Annotated[list[AckEntry], Many("entries"), about("Done.")]]
    nacks: NotRequired[Annotated[list[NackEntry], Many("entries"), about("Failed.")]]
    extends: NotRequired[Annotated[list[ExtendEntry], Many("entries"), about("Still worked on.")]]
    releases: NotRequired[Annotated[list[ReleaseEntry], Many("entries"), about("Not begun.")]]
    lease: NotRequired[Annotated[Lease, about("The next lease.")]]


# -- push


@with_config(STRICT)
class PushItem(TypedDict):
    """One item to push."""

    value: Annotated[Any, Value()]
    key: NotRequired[ItemKey]
    delay: NotRequired[Delay]
    priority: NotRequired[Priority]


@with_config(
    examples({"items": [{"value": "a.png"}, {"value": {"n": 2}, "key": "b", "delay": 5, "priority": 1}]})
)
class PushItems(TypedDict):
    """Items to push, all of them or none."""

    items: Annotated[list[PushItem], Many("count", least=1)]
