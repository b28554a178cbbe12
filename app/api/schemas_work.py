"""The shapes of work's requests and answers, as the OpenAPI document shows them.

Requests are read by hand (``entries``, ``parcels``), because that is quicker and names each field by its
place, and answers are written by hand; the tests hold both against these. Where a bound is the name of a
setting, the document shows the setting's value.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from ..inert import PATTERN
from .schemas import Counter, Moment, ProblemDetails, Seq, State, example

Value = Annotated[Any, Field(description="Any JSON value, up to the setting `value_bytes`.")]
ItemState = Literal["waiting", "leased", "dead"]
_TOKEN = "x3hVb2Zf0Q9yqk7pC1mW8g"  # noqa: S105  # an example
_HOLDING: dict[str, Any] = {"token": _TOKEN, "seqs": [[1, 40], [42, 42]]}


def _bounds(**bounds: Any) -> Any:
    """Bounds of a field, as JSON Schema writes them; text is the name of a setting."""
    return Field(json_schema_extra=bounds)


def optional(description: str, default: Any = None, **bounds: Any) -> Any:
    """A field that may be left out, but is never null."""

    def written(schema: dict[str, Any]) -> None:
        if default is None:
            schema.pop("default", None)
        schema.update(bounds)

    return Field(default, description=description, json_schema_extra=written)


Range = Annotated[list[Seq], Field(min_length=2, max_length=2)]
Ttl = Annotated[float, _bounds(minimum=0.001, maximum="ttl")]
Token = Annotated[
    str, Field(min_length=1, max_length=255, description="The token in the answer that leased the items.")
]


class Request(BaseModel):
    """Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def request_example(**fields: Any) -> ConfigDict:
    """Of a request, with an example."""
    return ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [fields]})


# -- push


class PushItem(Request):
    """One item to push."""

    value: Value
    key: str = optional(
        "The item's key: an item whose key the queue knows is not pushed again.",
        minLength=1,
        maxLength="key_bytes",
    )
    delay: float = optional("Seconds before the item can be handed out.", 0.0, minimum=0, maximum="delay")
    priority: int = optional("Items of priority 0 are handed out first.", 0, minimum=0, maximum=9)


class PushItems(Request):
    """Items to push, all of them or none."""

    model_config = request_example(
        items=[{"value": "a.png"}, {"value": {"n": 2}, "key": "b", "delay": 5, "priority": 1}]
    )

    items: Annotated[list[PushItem], _bounds(minItems=1, maxItems="count")]


class PushedItem(BaseModel):
    """The seq of one item that was pushed, now or (``duplicate``) before."""

    seq: Seq
    duplicate: StrictBool = False


class Pushed(BaseModel):
    """The pushed items, in the order of the request; they are on disk before this is sent."""

    model_config = example(queue="jobs", items=[{"seq": 1}, {"seq": 7, "duplicate": True}])

    queue: str
    items: list[PushedItem]


class Streamed(BaseModel):
    """What of a stream was pushed. ``ranges`` have the seqs of its new items, the first 1,000 of them."""

    model_config = example(queue="jobs", lines=3, bytes=57, accepted=2, duplicates=1, ranges=[[1, 2]])

    queue: str
    lines: Counter
    bytes: Counter
    accepted: Counter
    duplicates: Counter
    ranges: list[Range]


class ItemKey(BaseModel):
    """The key of an item that was pushed, and its seq."""

    key: str
    seq: Seq


class ItemKeys(BaseModel):
    """Keys of items, in their order; ``next`` is the ``after`` of the next page, null on the last one."""

    model_config = example(queue="jobs", keys=[{"key": "order-4711", "seq": 7}], next=None)

    queue: str
    keys: list[ItemKey]
    next: str | None


# -- lease and settle


class AskLease(Request):
    """How many items to lease, and for how long."""

    model_config = request_example(max=50, ttl=30, wait=10, worker="w1")

    max: int = optional("The most items to lease.", 1, minimum=1, maximum="count")
    ttl: Ttl = Field(30.0, description="Seconds until the lease ends.")
    wait: float = optional("Seconds to wait for the first item.", 0.0, minimum=0, maximum="wait")
    worker: str = optional(
        "The worker's name, shown with its items.", "", maxLength="worker_bytes", pattern=PATTERN
    )


class LeasedItem(BaseModel):
    """One item under a lease, for the ``attempt``-th time."""

    seq: Seq
    value: Any
    attempt: Annotated[int, Field(ge=1)]


class Lease(BaseModel):
    """Items that belong to their holder until ``expires_at``; the holder shows ``token`` to settle them."""

    model_config = example(
        queue="jobs",
        state="open",
        token=_TOKEN,
        expires_at="2026-01-31T12:00:30.000Z",
        expires_in=29.998,
        items=[{"seq": 1, "value": "a.png", "attempt": 1}],
    )

    queue: str
    state: State
    token: str
    expires_at: Moment
    expires_in: Annotated[float, Field(ge=0)]
    items: list[LeasedItem]


class Holding(Request):
    """Leased items: all that the token holds, or ranges of seqs, both ends included."""

    token: Token
    seqs: list[Range] = optional(
        "Only the items of these ranges. Default: all.", minItems=1, maxItems="ranges"
    )


class Result(PushItem):
    """A result: an item that an ack pushes into another queue."""

    queue: Annotated[str, Field(pattern=r"^[a-z0-9._-]{1,64}$")]


class AckItems(Holding):
    """The items are done; ``push`` puts results into other queues in the same transaction."""

    model_config = request_example(**_HOLDING, push=[{"queue": "done", "value": {"size": 7}}])

    push: list[Result] = optional(
        "Results for other queues; if one is refused, nothing happens.", maxItems="count"
    )


class NackItems(Holding):
    """The items failed."""

    model_config = request_example(**_HOLDING, delay=5, error="TimeoutError: 30 s")

    delay: float = optional(
        "Seconds until the next attempt. Default: the queue's back-off.", minimum=0, maximum="delay"
    )
    error: str = optional("Why the attempt failed; kept in the item's history.", "", maxLength="error_bytes")
    dead: bool = optional("Make the item dead at once, as no further attempt would help.", False)


class ExtendItems(Holding):
    """The items take longer: their lease ends ``ttl`` seconds from now."""

    model_config = request_example(**_HOLDING, ttl=30)

    ttl: Ttl


class ReleaseItems(Holding):
    """The items were not begun: they wait again at once."""

    model_config = request_example(**_HOLDING)


class SettleItems(Request):
    """Leased items to settle, and the next lease."""

    model_config = request_example(
        acks=[_HOLDING], nacks=[{"token": _TOKEN, "seqs": [[41, 41]], "error": "no"}], lease={"max": 50}
    )

    acks: list[AckItems] = optional("Done.", maxItems="entries")
    nacks: list[NackItems] = optional("Failed.", maxItems="entries")
    extends: list[ExtendItems] = optional("Still worked on.", maxItems="entries")
    releases: list[ReleaseItems] = optional("Not begun.", maxItems="entries")
    lease: AskLease = optional("The next lease.")


class Outcome(BaseModel):
    """The outcome of consecutive items; ``seqs`` is null if the token holds nothing at all."""

    seqs: Range | None
    outcome: Literal["acked", "nacked", "extended", "released", "dead", "stale", "refused"]
    due_at: Moment | None = Field(None, description="When nacked items can be handed out again.")
    expires_at: Moment | None = Field(None, description="When the extended lease ends.")
    expires_in: float | None = Field(None, description="Seconds from now until the extended lease ends.")
    reason: Literal["unknown", "closed", "source-fed", "stale"] | None = Field(
        None, description="Why the result was refused."
    )
    queue: str | None = Field(None, description="The queue that refused the result.")


class Outcomes(BaseModel):
    """The outcomes of one entry, by ranges."""

    model_config = example(queue="jobs", outcomes=[{"seqs": [1, 40], "outcome": "acked"}])

    queue: str
    outcomes: list[Outcome]


class Settled(BaseModel):
    """The outcomes of each entry, in the order of the request; and the next lease, if one was wanted."""

    model_config = example(
        queue="jobs",
        state="open",
        acks=[[{"seqs": [1, 40], "outcome": "acked"}]],
        nacks=[[{"seqs": [41, 41], "outcome": "nacked", "due_at": "2026-01-31T12:00:01.000Z"}]],
        extends=[],
        releases=[],
        lease=None,
        lease_problem=None,
    )

    queue: str
    state: State
    acks: list[list[Outcome]]
    nacks: list[list[Outcome]]
    extends: list[list[Outcome]]
    releases: list[list[Outcome]]
    lease: Lease | None = None
    lease_problem: ProblemDetails | None = Field(
        None, description="Why there is no lease; null if the queue is only empty now."
    )


REQUESTS: Final[tuple[type[BaseModel], ...]] = (
    PushItems,
    AskLease,
    SettleItems,
    AckItems,
    NackItems,
    ExtendItems,
    ReleaseItems,
)
"""The bodies of requests; answers come into the document by themselves."""
