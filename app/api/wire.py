"""Records to JSON: instants as RFC 3339 in UTC, and no number that a reader could bend."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from app.api.reply import REPLAYED, Reply
from app.queue.answers import Audit, Block, Failure, QueueInfo
from app.sources.encode import MAX_SAFE


def answer(fields: Mapping[str, Any], status: int = 200, *, replayed: bool = False) -> Reply:
    """A JSON answer."""
    body = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Reply(body, status, headers=[REPLAYED] if replayed else None)


def instant(milliseconds: int) -> str:
    """Ledger time as RFC 3339, in UTC, to the millisecond."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03}Z"


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
        "jumped": info.jumped,
        "created_at": instant(info.created_at),
        "failure": _failure(info.failure),
    }


def audit_fields(audit: Audit) -> dict[str, Any]:
    """An audit as ``schemas.QueueAudit``."""
    return {**asdict(audit), "balanced": audit.balanced}


def block_fields(block: Block) -> dict[str, Any]:
    """A block as ``schemas.TakenBlock``."""
    number = str if block.wide else exact
    return {
        "queue": block.queue,
        "state": block.state,
        "seq": block.seq,
        "first": number(block.first),
        "last": number(block.last),
        "step": number(block.step),
        "count": block.count,
    }


def _failure(failure: Failure | None) -> dict[str, Any] | None:
    return None if failure is None else asdict(failure)
