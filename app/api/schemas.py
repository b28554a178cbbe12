"""The shapes of answers, as the OpenAPI document shows them; those of requests are in ``models``.

Answers are written by hand, and the tests hold both against each other. Answers only grow: clients ignore
fields that they don't know.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..sources import MAX_SAFE
from .models_manage import QueueSettings

State = Literal["open", "starting", "paused", "exhausted", "failed", "closed"]
Seq = Annotated[int, Field(ge=1, le=MAX_SAFE)]
Counter = Annotated[int, Field(ge=0, le=MAX_SAFE)]
Number = int | Annotated[str, Field(pattern="^-?[0-9]+$")]
"""An integer; as text where it is beyond 2^53-1."""


_IDS: dict[str, Any] = {"queue": "ids", "state": "open"}


Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


def example(**fields: Any) -> ConfigDict:
    """Of an answer, with an example."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


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


class Failed(BaseModel):
    """Why a source failed, and the seq that it did not give."""

    type: str
    message: str
    seq: Seq
    where: str = Field(
        "", description="Its place in the source's own code, told to those who may operate it."
    )


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

    ``balanced``: base + taken + acked + purged + jumped + waiting + leased + dead = cursor, and no item is
    there twice, so none is missing. ``base``: the cursor at which the queue was created, in the place of a
    deleted one. ``waiting`` items include the ``delayed`` ones.
    """

    model_config = example(
        queue="ids",
        generation=1,
        base=0,
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
    base: Counter
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


class BackupLast(BaseModel):
    """The newest copy of the ledger that is known to be whole and kept, here or where it was fetched to."""

    model_config = example(
        name="dibs-20260131T120000.000000Z.db", made_at="2026-01-31T12:00:00.000Z", bytes=57344
    )

    name: str
    made_at: Moment
    bytes: Counter


class QueueAdvanced(BaseModel):
    """A queue that goes on after the backup: its cursor there, and its cursor now."""

    queue: str
    cursor_before: Counter
    cursor: Counter


class Accepted(BaseModel):
    """The queues that were advanced as a restored backup was accepted."""

    model_config = example(advanced=[{"queue": "ids", "cursor_before": 700, "cursor": 1700}])

    advanced: list[QueueAdvanced]


class RecoveredLedger(BaseModel):
    """How a ledger goes on whose database had lost transactions; null: nobody knows."""

    model_config = example(written=3, lost=0, passed=0, again=0, gone=[])

    written: Counter
    lost: Counter
    passed: Counter | None
    again: Counter | None
    gone: list[str] | None


class BackupDone(BaseModel):
    """A consistent copy of the ledger, made while the server went on; ``path`` is on the server's machine."""

    model_config = example(path="dibs-data/backups/dibs-20260131T120000.000000Z.db", bytes=57344)

    path: str
    bytes: Counter


class Health(BaseModel):
    """The answer of a health check: ``ok``."""

    status: Literal["ok"]


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
    request_id: str | None = Field(None, description="The id of the request: X-Request-Id, and in the log.")
    field: str | None = Field(None, description="The parameter, field or header that was refused.")
    limit: int | float | str | None = Field(None, description="The limit that the field is over or under.")
    retry_after: Annotated[int, Field(ge=1)] | None = Field(None, description="Seconds, as in Retry-After.")
    cause: Cause | None = Field(None, description="The exception of a failed source.")
    seq: Seq | None = Field(None, description="The seq that the failed source did not give.")
    reason: str | None = Field(None, description="Why a result was refused: unknown, closed or source-fed.")
    line: Annotated[int, Field(ge=1)] | None = Field(
        None, description="The line that ended a stream; other members have the sums of what was pushed."
    )
