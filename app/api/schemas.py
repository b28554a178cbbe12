"""The shapes of requests and answers, as the OpenAPI document shows them.

Requests are checked by these. Answers are written by hand on the hot path (``handout``) and the tests
hold both against each other. Answers only grow: clients ignore fields that they don't know.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ..queue.definition import CENTURY
from ..sources import BUILTINS, MAX_SAFE

State = Literal["open", "starting", "paused", "exhausted", "failed", "closed"]
Seq = Annotated[int, Field(ge=1, le=MAX_SAFE)]
Counter = Annotated[int, Field(ge=0, le=MAX_SAFE)]
Number = int | Annotated[str, Field(pattern="^-?[0-9]+$")]
"""An integer; as text where it is beyond 2^53-1."""


Attempts = Annotated[int, Field(ge=0, le=1_000_000)]
Ready = Annotated[int, Field(ge=0, le=10**15)]

_IDS: dict[str, Any] = {"queue": "ids", "state": "open"}


Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


def example(**fields: Any) -> ConfigDict:
    """Of an answer, with an example."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


def _whole(number: object) -> object:
    """1000.0 is the integer 1000: JSON knows one kind of number (JSON Schema section 6.1.1)."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


class Item(BaseModel):
    """One item, handed out for good."""

    seq: Seq
    value: Any


class TakenOne(BaseModel):
    """The answer without ``count``: one item, on disk before it was sent."""

    model_config = example(queue="default", seq=1, value=1)

    queue: str
    seq: Seq
    value: Any


class TakenMany(BaseModel):
    """The answer with ``count``: up to so many consecutive items, on disk before they were sent."""

    model_config = example(**_IDS, items=[{"seq": 1, "value": 100}, {"seq": 2, "value": 101}])

    queue: str
    state: State
    items: list[Item]


class TakenBlock(BaseModel):
    """Consecutive numbers, for clients that number by themselves; ``seq`` is the seq of ``first``."""

    model_config = example(**_IDS, seq=1, first=100, last=1099, step=1, count=1000)

    queue: str
    state: State
    seq: Seq
    first: Number
    last: Number
    step: Number
    count: Counter


class QueueSettings(BaseModel):
    """The settings of a queue: its retries, how many items may wait, and how long it remembers.

    Durations are in seconds. Settings that a request does not name stay as they are; a new queue begins with
    the defaults.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_attempts: Annotated[Attempts | None, BeforeValidator(_whole)] = Field(
        10, description="Attempts after which a failing item is dead; null or 0: any number."
    )
    backoff: Annotated[float, Field(ge=0, le=86_400)] = Field(
        1.0, description="The delay after the first nack; doubled with each further attempt."
    )
    backoff_max: Annotated[float, Field(ge=0, le=2_592_000)] = Field(
        3600.0, description="The longest delay after a nack."
    )
    jitter: Annotated[float, Field(ge=0, le=1)] = Field(
        0.1, description="The share of the delay that is random."
    )
    max_ready: Annotated[Ready | None, BeforeValidator(_whole)] = Field(
        None, description="Items that may wait before producers are refused (429); null or 0: any number."
    )
    key_ttl: Annotated[float, Field(ge=1, le=CENTURY)] | None = Field(
        86_400.0,
        description="How long the answer to an idempotency key is kept; null: for ever. The default is the"
        " server's limit `key_ttl`.",
    )
    item_key_ttl: Annotated[float, Field(ge=1, le=CENTURY)] | None = Field(
        86_400.0,
        description="How long the `key` of a pushed item is known; null: for ever. The default is the"
        " server's limit `key_ttl`.",
    )
    history: Annotated[float, Field(ge=0, le=CENTURY)] | None = Field(
        0.0,
        description="How long the server keeps who took or acked which items; null: for ever; 0: not at all.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> QueueSettings:
        named = {"backoff", "backoff_max"} <= self.model_fields_set
        if named and self.backoff > self.backoff_max:
            raise ValueError(f"backoff is over backoff_max ({self.backoff_max:g} seconds)")
        return self


class Failed(BaseModel):
    """Why a source failed, and the seq that it did not give."""

    type: str
    message: str
    seq: Seq


class QueueState(BaseModel):
    """A queue as the ledger has it.

    ``source`` is null if producers push. Integers beyond 2^53-1 in ``args`` are text. ``waiting`` items
    include delayed ones. ``state`` says how the source ended; items inside are still handed out.
    ``configured`` tells what defined the queue last: the configuration file (``file``) or a request
    (``http``); it is ``gone`` if the file had the queue once and no longer has it.
    """

    model_config = example(
        queue="ids",
        source="count",
        args={"start": 100},
        state="open",
        paused=False,
        generation=1,
        cursor=42,
        taken=40,
        acked=0,
        purged=0,
        jumped=0,
        waiting=0,
        leased=2,
        dead=0,
        settings={
            "max_attempts": 10,
            "backoff": 1,
            "backoff_max": 3600,
            "jitter": 0.1,
            "max_ready": None,
            "key_ttl": 86_400,
            "item_key_ttl": 86_400,
            "history": 0,
        },
        configured="file",
        created_at="2026-01-31T12:00:00.000Z",
        failure=None,
    )

    queue: str
    source: str | None
    args: dict[str, Any]
    state: State
    paused: bool
    generation: Counter
    cursor: Counter
    taken: Counter
    acked: Counter
    purged: Counter
    jumped: Counter
    waiting: Counter
    leased: Counter
    dead: Counter
    settings: QueueSettings
    configured: Literal["file", "http", "gone"]
    created_at: Moment
    failure: Failed | None


class QueueList(BaseModel):
    """Queues by name; ``next`` is the ``after`` of the next page, null on the last one."""

    queues: list[QueueState]
    next: str | None


class QueueAudit(BaseModel):
    """Independent counters of one moment, and the items inside, counted one by one.

    ``balanced``: taken + acked + purged + jumped + waiting + leased + dead = cursor, and no item is there
    twice, so none is missing. ``waiting`` items include the ``delayed`` ones.
    """

    model_config = example(
        queue="ids",
        generation=1,
        cursor=42,
        taken=30,
        acked=5,
        purged=0,
        jumped=2,
        waiting=3,
        delayed=1,
        leased=2,
        dead=0,
        overlaps=0,
        balanced=True,
    )

    queue: str
    generation: Counter
    cursor: Counter
    taken: Counter
    acked: Counter
    purged: Counter
    jumped: Counter
    waiting: Counter
    delayed: Counter
    leased: Counter
    dead: Counter
    overlaps: Counter
    balanced: bool


class BackupDone(BaseModel):
    """A consistent copy of the ledger, made while the server went on; ``path`` is on the server's machine."""

    model_config = example(path="dibs-data/backups/dibs-20260131T120000.000000Z.db", bytes=57344)

    path: str
    bytes: Counter


class Health(BaseModel):
    """The answer of a health check: ``ok``."""

    status: Literal["ok"]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DefineQueue(_Request):
    """A queue's definition: a built-in source and its arguments, or none if producers push."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {"source": "count", "args": {"start": 100}},
                {"source": None, "settings": {"max_attempts": 3, "max_ready": 100_000}},
            ]
        },
    )

    source: str | None = Field(
        None,
        description="A built-in source; null: producers push; missing: unchanged, none for a new queue.",
        json_schema_extra={"enum": [*BUILTINS, None]},
    )
    args: dict[str, Any] = Field(default_factory=dict, description="The source's arguments, by name.")
    reset: bool = Field(
        False,
        description="If a queue of this name was deleted, begin again at seq 1, in a new generation.",
    )
    settings: QueueSettings | None = Field(
        None, description="The queue's settings to change; null or missing: none."
    )


class Advance(_Request):
    """The cursor to jump to."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [{"to_seq": 1000}]})

    to_seq: Annotated[Seq, BeforeValidator(_whole)] = Field(
        description="The new cursor, above the old one; the next item has the seq after it."
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
    field: str | None = Field(None, description="The parameter, field or header that was refused.")
    limit: int | float | str | None = Field(None, description="The limit that the field is over or under.")
    retry_after: Annotated[int, Field(ge=1)] | None = Field(None, description="Seconds, as in Retry-After.")
    cause: Cause | None = Field(None, description="The exception of a failed source.")
    seq: Seq | None = Field(None, description="The seq that the failed source did not give.")
    reason: str | None = Field(None, description="Why a result was refused: unknown, closed or source-fed.")
    line: Annotated[int, Field(ge=1)] | None = Field(
        None, description="The line that ended a stream; other members have the sums of what was pushed."
    )
