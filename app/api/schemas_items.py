"""The shapes of the answers about items, as the OpenAPI document shows them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field

from .schemas import Counter, Moment, Seq, example
from .schemas_work import ItemState

Priority = Annotated[int, Field(ge=0, le=9)]
Attempt = Annotated[int, Field(ge=1)]

_DEAD: Final[dict[str, Any]] = {
    "seq": 42,
    "value": "a.png",
    "state": "dead",
    "attempt": 10,
    "priority": 0,
    "due_at": "2026-01-31T12:00:00.000Z",
    "worker": "w1",
    "error": "exit 1",
}


class ItemShown(BaseModel):
    """One item inside a queue.

    ``due_at`` is the time since or from when the item can be handed out; for a leased item, when its lease
    ends; for a dead one, since when it is dead. ``worker`` holds the item, or held it last. ``error`` is that
    of its last failed attempt.
    """

    seq: Seq
    value: Any
    bytes: Counter | None = Field(None, description="The size of a value that is hidden (`show_values`).")
    state: ItemState
    attempt: Counter
    priority: Priority
    due_at: Moment
    worker: str
    error: str | None


class ItemPage(BaseModel):
    """Items by seq; ``next`` is the ``after`` of the next page, null on the last one."""

    model_config = example(queue="jobs", items=[_DEAD], next=None)

    queue: str
    items: list[ItemShown]
    next: Seq | None


class PastAttempt(BaseModel):
    """One failed attempt: a nack, or a lease that expired.

    It has when the item was handed out, where that was kept, and when the attempt ended.
    """

    attempt: Attempt
    at: Moment
    worker: str
    error: str
    began_at: Moment | None


class ItemAlone(BaseModel):
    """One item inside a queue, and its last failed attempts, oldest first."""

    model_config = example(
        queue="jobs",
        **_DEAD,
        kept_at="2026-01-31T11:00:00.000Z",
        pushed_by="shop",
        key="order-4711",
        began_at=None,
        history=[
            {
                "attempt": 10,
                "began_at": "2026-01-31T11:59:30.000Z",
                "at": "2026-01-31T12:00:00.000Z",
                "worker": "w1",
                "error": "exit 1",
            }
        ],
    )

    seq: Seq
    value: Any
    state: ItemState
    attempt: Counter
    priority: Priority
    due_at: Moment
    worker: str
    error: str | None
    queue: str
    kept_at: Moment | None = Field(description="When its value was pushed or drawn; null: it is computed.")
    pushed_by: str = Field(description="The name of the token that pushed it; empty: nobody is known.")
    key: str | None = Field(
        description="The key of its push; null: it has none, that is forgotten, or values are hidden."
    )
    began_at: Moment | None = Field(description="When a leased item was handed out; null for others.")
    history: list[PastAttempt]
    traceparent: str = Field("", description="The trace of the request that pushed it, if that had one.")


class DeadLetter(BaseModel):
    """A dead item, with its last failed attempt."""

    attempt: Attempt
    at: Moment
    worker: str
    error: str
    seq: Seq


class DeadError(BaseModel):
    """How many dead items have the same last error, by its first 200 characters."""

    error: str
    items: Counter
    newest: Seq


class DeadLetters(BaseModel):
    """Dead letters, newest first; ``next`` is the ``before`` of the next page, null on the last one."""

    queue: str
    items: list[DeadLetter]
    errors: list[DeadError]
    next: Seq | None


class HistoryEntry(BaseModel):
    """Consecutive items that one answer took or acked.

    ``key`` is the request's Idempotency-Key, or null; ``worker`` is the worker that held acked items.
    """

    generation: Annotated[int, Field(ge=1)]
    first: Seq
    last: Seq
    verb: Literal["taken", "acked"]
    at: Moment
    caller: str
    key: str | None
    worker: str


_DONE: Final[dict[str, Any]] = {
    "generation": 1,
    "first": 42,
    "last": 42,
    "verb": "taken",
    "at": "2026-01-31T12:00:00.000Z",
    "caller": "",
    "key": "order-4711",
    "worker": "",
}


class ItemDone(BaseModel):
    """An item that is done, with who took or acked it, if the queue keeps a history.

    ``value`` is null if it is no longer kept.
    """

    model_config = example(queue="ids", seq=42, value=42, state="taken", done=_DONE)

    queue: str
    seq: Seq
    value: Any
    bytes: Counter | None = Field(None, description="The size of a value that is hidden.")
    state: Literal["taken", "acked"]
    done: HistoryEntry


class History(BaseModel):
    """A history from oldest to newest; ``next`` is the ``after`` of the next page, null on the last one."""

    model_config = example(queue="ids", history=[_DONE], next=None)

    queue: str
    history: list[HistoryEntry]
    next: Annotated[int, Field(ge=1)] | None


class Redriven(BaseModel):
    """How many dead items wait again."""

    model_config = example(queue="jobs", redriven=5)

    queue: str
    redriven: Counter


class Purged(BaseModel):
    """How many items were dropped."""

    model_config = example(queue="jobs", purged=5)

    queue: str
    purged: Counter
