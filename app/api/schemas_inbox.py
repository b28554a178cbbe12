"""The shapes of the answers about what is pushed by SQL, as the OpenAPI document shows them."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from .schemas import Counter, Moment, example

Id = Annotated[int, Field(ge=1)]

_REFUSED: Final[dict[str, Any]] = {
    "id": 17,
    "queue": "mails",
    "value": {"to": 17},
    "key": None,
    "at": "2026-01-31T12:00:00.000Z",
    "reason": "the queue is closed",
    "refused_at": "2026-01-31T12:00:00.025Z",
}


class RefusedPush(BaseModel):
    """What was pushed, and could not be taken into its queue; integers beyond 2^53-1 are text."""

    id: Id
    queue: str
    value: Any
    key: str | None
    at: Moment
    reason: str
    refused_at: Moment


class InboxPage(BaseModel):
    """The inbox, and a page of what was refused; ``next`` is the ``after`` of the next one, null on the last.

    ``length``: rows that wait to be taken into their queues, counted up to ``inbox_max``; ``oldest``: for how
    many seconds the first has waited, null where there is none. ``full``: queues whose rows wait for room.
    ``stopped``: queues to which nothing more can be pushed by SQL until there is room.
    """

    model_config = example(length=0, oldest=None, refused=1, full=[], stopped=[], rows=[_REFUSED], next=None)

    length: Counter
    oldest: Annotated[float, Field(ge=0)] | None
    refused: Counter
    full: list[str]
    stopped: list[str]
    rows: list[RefusedPush]
    next: Id | None


class Retried(BaseModel):
    """How many rows are in the inbox again."""

    model_config = example(retried=1)

    retried: Counter
