"""Records to JSON: instants as RFC 3339 in UTC, and no number that a reader could bend."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from ..ledger.looks import FailureRow, HistoryRow
from ..ledger.work import FOREVER, QueueSettings
from ..queue.answers import (
    Audit,
    Failure,
    ItemAnswer,
    ItemDone,
    KeyPage,
    MovedAnswer,
    Page,
    Peeked,
    PushAnswer,
    QueueInfo,
)
from ..sources.encode import MAX_SAFE
from .reply import REPLAYED, Reply

dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""A record to JSON text."""


def answer(fields: Mapping[str, Any], status: int = 200, *, replayed: bool = False) -> Reply:
    """A JSON answer."""
    body = dumps(fields).encode("utf-8", "replace")
    return Reply(body, status, headers=[REPLAYED] if replayed else None)


@lru_cache(maxsize=1024)
def instant(milliseconds: int) -> str:
    """Ledger time as RFC 3339, in UTC, to the millisecond. Leases that were given together end together."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_second(seconds)}.{rest:03}Z"


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    """The text of a second, cached: leases that were given apart often end in the same second."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def exact(value: Any) -> Any:
    """The value with integers beyond 2^53-1 as text: as numbers, most readers would round them."""
    if isinstance(value, int) and not -MAX_SAFE <= value <= MAX_SAFE:
        return str(value)
    if isinstance(value, Mapping):
        return {name: exact(member) for name, member in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [exact(item) for item in value]
    return value


def queue_fields(info: QueueInfo) -> dict[str, Any]:
    """A queue as ``schemas.QueueState``."""
    return {
        "queue": info.queue,
        "source": info.source,
        "args": exact(info.args),
        "state": info.state,
        "paused": info.paused,
        "generation": info.generation,
        "cursor": info.cursor,
        "taken": info.taken,
        "acked": info.acked,
        "purged": info.purged,
        "jumped": info.jumped,
        "waiting": info.waiting,
        "leased": info.leased,
        "dead": info.dead,
        "settings": settings_fields(info.settings),
        "configured": info.configured,
        "created_at": instant(info.created_at),
        "failure": _failure(info.failure),
    }


def audit_fields(audit: Audit) -> dict[str, Any]:
    """An audit as ``schemas.QueueAudit``."""
    return {**asdict(audit), "balanced": audit.balanced}


def settings_fields(settings: QueueSettings) -> dict[str, Any]:
    """Settings as ``schemas_work.QueueSettings``: durations in seconds."""
    return {
        "max_attempts": settings.max_attempts,
        "backoff": settings.backoff / 1000,
        "backoff_max": settings.backoff_max / 1000,
        "jitter": settings.jitter,
        "max_ready": settings.max_ready,
        "key_ttl": _kept_for(settings.key_ttl),
        "item_key_ttl": _kept_for(settings.item_key_ttl),
        "history": _kept_for(settings.history),
    }


def _kept_for(milliseconds: int | None) -> float | None:
    """A duration in seconds; null for ever."""
    return None if milliseconds is None or milliseconds >= FOREVER else milliseconds / 1000


def push_fields(pushed: PushAnswer) -> dict[str, Any]:
    """The pushed items as ``schemas_work.Pushed``."""
    items: list[dict[str, Any]] = [{"seq": seq} for seq in pushed.seqs]
    for position in pushed.known:
        items[position]["duplicate"] = True
    return {"queue": pushed.queue, "items": items}


def keys_fields(page: KeyPage) -> dict[str, Any]:
    """The keys of items as ``schemas_work.ItemKeys``."""
    keys = [{"key": key, "seq": seq} for key, seq in page.keys]
    return {"queue": page.queue, "keys": keys, "next": page.next}


def moved_fields(moved: MovedAnswer, what: str) -> dict[str, Any]:
    """How many items were ``what``: redriven, purged."""
    return {"queue": moved.queue, what: moved.count}


def failure_fields(failure: FailureRow) -> dict[str, Any]:
    """One failed attempt, as ``schemas_work.FailedAttempt``."""
    return {**asdict(failure), "at": instant(failure.at)}


def page_text(page: Page) -> str:
    """Items inside a queue, as ``schemas_work.ItemPage``; their values are JSON text already."""
    items = ",".join([f"{{{item_text(item)}}}" for item in page.items])
    following = "null" if page.next is None else page.next
    return f'{{"queue":"{page.queue}","items":[{items}],"next":{following}}}'


def history_fields(row: HistoryRow) -> dict[str, Any]:
    """One row, as ``schemas_items.HistoryEntry``."""
    return {
        "generation": row.generation,
        "first": row.first,
        "last": row.last,
        "verb": row.verb,
        "at": instant(row.at),
        "caller": row.caller,
        "key": row.key,
        "worker": row.worker,
    }


def item_answer_text(found: ItemAnswer | ItemDone) -> str:
    """One item with its history, as ``schemas_items.ItemAlone``; as ``ItemDone`` where it is done."""
    if isinstance(found, ItemDone):
        head = f'{{"queue":"{found.queue}","seq":{found.seq},"value":{found.value or "null"}'
        return f'{head},"state":"{found.done.verb}","done":{dumps(history_fields(found.done))}}}'
    history = dumps([failure_fields(failure) for failure in found.history])
    return f'{{"queue":"{found.queue}",{item_text(found.item)},"history":{history}}}'


def item_text(item: Peeked) -> str:
    """The members of one item, as text."""
    rest = {
        "state": item.state,
        "attempt": item.attempt,
        "priority": item.priority,
        "due_at": instant(item.due),
        "worker": item.worker,
        "error": item.error,
    }
    return f'"seq":{item.seq},"value":{item.value},{dumps(rest)[1:-1]}'


def _failure(failure: Failure | None) -> dict[str, Any] | None:
    return None if failure is None else asdict(failure)
