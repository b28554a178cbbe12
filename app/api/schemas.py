"""The shapes of requests and answers, as the OpenAPI document shows them.

Requests are checked by these. Answers are written by hand on the hot path (``handout``) and the tests
hold both against each other. Answers only grow: clients ignore fields that they don't know.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from app.sources import BUILTINS, MAX_SAFE

State = Literal["open", "starting", "paused", "exhausted", "failed", "closed"]
Seq = Annotated[int, Field(ge=1, le=MAX_SAFE)]
Counter = Annotated[int, Field(ge=0, le=MAX_SAFE)]
Number = int | Annotated[str, Field(pattern="^-?[0-9]+$")]
"""An integer; as text where it is beyond 2^53-1."""

_IDS: dict[str, Any] = {"queue": "ids", "state": "open"}


def _example(**fields: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [fields]})


class Item(BaseModel):
    """One item, handed out for good."""

    seq: Seq
    value: Any


class TakenOne(BaseModel):
    """The answer without ``count``: one item, on disk before it was sent."""

    model_config = _example(queue="default", seq=1, value=1)

    queue: str
    seq: Seq
    value: Any


class TakenMany(BaseModel):
    """The answer with ``count``: up to so many consecutive items, on disk before they were sent."""

    model_config = _example(**_IDS, items=[{"seq": 1, "value": 100}, {"seq": 2, "value": 101}])

    queue: str
    state: State
    items: list[Item]


class TakenBlock(BaseModel):
    """Consecutive numbers, for clients that number by themselves; ``seq`` is the seq of ``first``."""

    model_config = _example(**_IDS, seq=1, first=100, last=1099, step=1, count=1000)

    queue: str
    state: State
    seq: Seq
    first: Number
    last: Number
    step: Number
    count: Counter


class Failed(BaseModel):
    """Why a source failed, and the seq that it did not give."""

    type: str
    message: str
    seq: Seq


class QueueState(BaseModel):
    """A queue as the ledger has it. Integers beyond 2^53-1 in ``args`` are text."""

    model_config = _example(
        queue="ids",
        source="count",
        args={"start": 100},
        state="open",
        paused=False,
        generation=1,
        cursor=42,
        taken=42,
        jumped=0,
        created_at="2026-01-31T12:00:00.000Z",
        failure=None,
    )

    queue: str
    source: str
    args: dict[str, Any]
    state: State
    paused: bool
    generation: Counter
    cursor: Counter
    taken: Counter
    jumped: Counter
    created_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    failure: Failed | None


class QueueList(BaseModel):
    """Queues by name; ``next`` is the ``after`` of the next page, null on the last one."""

    queues: list[QueueState]
    next: str | None


class QueueAudit(BaseModel):
    """Independent counters of one moment. ``balanced``: taken + jumped = cursor, so nothing is missing."""

    model_config = _example(queue="ids", generation=1, cursor=42, taken=40, jumped=2, balanced=True)

    queue: str
    generation: Counter
    cursor: Counter
    taken: Counter
    jumped: Counter
    balanced: bool


class BackupDone(BaseModel):
    """A consistent copy of the ledger, made while the server went on; ``path`` is on the server's machine."""

    model_config = _example(path="dibs-data/backups/dibs-20260131T120000.000000Z.db", bytes=57344)

    path: str
    bytes: Counter


class Health(BaseModel):
    """Alive, or ready."""

    status: Literal["ok"]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DefineQueue(_Request):
    """A queue's definition: a built-in source and its arguments."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"source": "count", "args": {"start": 100}}]},
    )

    source: str = Field(description="A built-in source.", json_schema_extra={"enum": list(BUILTINS)})
    args: dict[str, Any] = Field(default_factory=dict, description="Its arguments, by name.")
    reset: bool = Field(
        False,
        description="Begin again at seq 1, in a new generation, where a queue of this name was deleted.",
    )


def _whole(number: object) -> object:
    """1000.0 is the integer 1000: JSON knows one kind of number (JSON Schema section 6.1.1)."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


class Advance(_Request):
    """Where to jump to."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [{"to_seq": 1000}]})

    to_seq: Annotated[Seq, BeforeValidator(_whole)] = Field(
        description="The cursor afterwards: the next item has the seq behind it. Only forward."
    )


class Cause(BaseModel):
    """The exception that the source raised."""

    type: str
    message: str


class ProblemDetails(BaseModel):
    """RFC 9457. ``handed_out`` says whether something may have been spent all the same."""

    model_config = ConfigDict(title="Problem")

    type: Annotated[str, Field(pattern="^urn:dibs:problem:[a-z-]+$")]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    handed_out: Literal["no", "maybe"]
    retryable: bool
    field: str | None = Field(None, description="The parameter, field or header that is meant.")
    limit: int | float | str | None = Field(None, description="The limit that it missed.")
    retry_after: Annotated[int, Field(ge=1)] | None = Field(None, description="Seconds, as in Retry-After.")
    cause: Cause | None = Field(None, description="Of a failed source.")
    seq: Seq | None = Field(None, description="The seq that the failed source did not give.")
