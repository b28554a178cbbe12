"""The shapes of the answers to producers and workers, as the OpenAPI document shows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StrictBool, create_model

from ..ledger.work import Verdict
from .schemas import Counter, Moment, ProblemDetails, Seq, State, example
from .verbs import TOKEN, VERBS

ItemState = Literal["waiting", "leased", "dead"]

Range = Annotated[list[Seq], Field(min_length=2, max_length=2)]

# -- push


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


class LeasedItem(BaseModel):
    """One item under a lease, for the ``attempt``-th time."""

    seq: Seq
    value: Any
    attempt: Annotated[int, Field(ge=1)]
    traceparent: str = Field("", description="The trace of the request that pushed it, if that had one.")


class Lease(BaseModel):
    """Items that belong to their holder until ``expires_at``; the holder shows ``token`` to settle them."""

    model_config = example(
        queue="jobs",
        state="open",
        token=TOKEN,
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


class Outcome(BaseModel):
    """The outcome of consecutive items; ``seqs`` is null if the token holds nothing at all."""

    seqs: Range | None
    outcome: Verdict
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


_LISTS: dict[str, Any] = {verb.kind: list[list[Outcome]] for verb in VERBS}
Settled = create_model(
    "Settled",
    __doc__="The outcomes of each entry, in the order of the request; and the next lease, if one was wanted.",
    __config__=example(
        queue="jobs",
        state="open",
        **{kind: [] for kind in _LISTS}
        | {
            "acks": [[{"seqs": [1, 40], "outcome": "acked"}]],
            "nacks": [[{"seqs": [41, 41], "outcome": "nacked", "due_at": "2026-01-31T12:00:01.000Z"}]],
        },
        lease=None,
        lease_problem=None,
    ),
    queue=str,
    state=State,
    **_LISTS,
    lease=(Lease | None, None),
    lease_problem=(
        ProblemDetails | None,
        Field(None, description="Why there is no lease; null if the queue is only empty now."),
    ),
)
