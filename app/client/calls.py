"""The requests that look at queues and operate them, as ``Call`` values. Nothing is sent here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

from .answers import Audit, Backup, HistoryEntry, Page, QueueInfo, QueueItem, QueueSettings, Unchanged
from .flow import Call, Reply, Request
from .records import Item, Seqs
from .text import decode, encode

T = TypeVar("T")
Json = Any
_PAGE: Final = 100
_CREATED: Final = 201


def named(queue: str) -> str:
    """Return the name of a queue; refuse what can't be one."""
    if not isinstance(queue, str):
        raise TypeError(f"a queue's name must be a text, not {queue!r}")
    if not queue:
        raise ValueError("a queue's name must not be empty")
    return queue


def path_of(queue: str, *parts: str, **query: Json) -> str:
    """A path under ``/queues``; parameters that are None are left out."""
    path = "/queues/" + "/".join(quote(part, safe="") for part in (named(queue), *parts))
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def get(path: str, read: Callable[[Any], T]) -> Call[T]:
    """A call that only reads."""
    return Call(Request("GET", path), read)


def post(path: str, read: Callable[[Any], T], body: Json = None, *, wait: float = 0.0) -> Call[T]:
    """A call that changes something, so it is sent with a key."""
    data = b"" if body is None else encode(body).encode()
    return Call(Request("POST", path, data, wait=wait), read, keyed=True)


def same(answer: Json) -> Json:
    """Return an answer as it is."""
    return answer


# -- taking


def take(queue: str, count: int, wait: float) -> Call[list[Item]]:
    """Take items for good; an empty answer gives none."""
    return post(path_of(queue, "next", count=count, wait=wait or None), _items, wait=wait)


def _items(answer: Json) -> list[Item]:
    return [] if answer is None else [Item(item["seq"], item["value"]) for item in answer["items"]]


# -- queues


def define(
    queue: str,
    source: str | Unchanged | None,
    args: Mapping[str, Json] | None,
    settings: QueueSettings | Mapping[str, Json] | None,
    *,
    reset: bool,
    confirm: str | None,
) -> Call[QueueInfo]:
    """Define a queue, or change the settings that are named."""
    body: dict[str, Json] = {} if isinstance(source, Unchanged) else {"source": source}
    if args:
        body["args"] = dict(args)
    if settings is not None:
        body["settings"] = settings.to_json() if isinstance(settings, QueueSettings) else dict(settings)
    if reset:
        body["reset"] = True
    return Call(
        Request("PUT", path_of(queue, confirm=confirm), encode(body).encode()), QueueInfo.of, keyed=True
    )


def claim(queue: str) -> Call[bool]:
    """Define a queue to push to; whether this made it, so that nobody else has it."""
    return Call(Request("PUT", path_of(queue), b"{}"), _made, keyed=True, whole=True)


def _made(reply: Reply) -> bool:
    """A repeated answer was kept for this request alone: it made the queue, and its first answer was lost."""
    QueueInfo.of(decode(reply.body))  # whoever answers otherwise is no dibs
    return reply.status == _CREATED or reply.headers.get("idempotent-replayed") == "true"


def delete(queue: str, confirm: str | None) -> Call[QueueInfo]:
    """Delete a queue; its name and its cursor stay known."""
    return Call(Request("DELETE", path_of(queue, confirm=confirm)), QueueInfo.of, keyed=True)


def info(queue: str) -> Call[QueueInfo]:
    """Read one queue."""
    return get(path_of(queue), QueueInfo.of)


def queues(after: str | None) -> Call[tuple[list[QueueInfo], str | None]]:
    """Read a page of queues, and where the next page begins."""
    query = "" if after is None else f"?{urlencode({'after': after})}"
    return get(f"/queues{query}", lambda answer: (list(map(QueueInfo.of, answer["queues"])), answer["next"]))


def audit(queue: str) -> Call[Audit]:
    """Read the independent counters of a queue."""
    return get(path_of(queue, "audit"), Audit.of)


def stats(queue: str | None) -> Call[dict[str, Json]]:
    """Read rates and percentiles of a queue or of the server."""
    return get("/stats" if queue is None else path_of(queue, "stats"), dict)


def operate(queue: str, verb: str) -> Call[QueueInfo]:
    """Operate a queue: ``pause``, ``resume``, ``close`` or ``retry``."""
    return post(path_of(queue, verb), QueueInfo.of)


def advance(queue: str, to_seq: int) -> Call[QueueInfo]:
    """Move the cursor forward."""
    return post(path_of(queue, "advance"), QueueInfo.of, {"to_seq": to_seq})


def backup() -> Call[Backup]:
    """Copy the ledger on the server's machine. Sent again, it makes another file, which does no harm."""
    return Call(Request("POST", "/backup"), Backup.of)


# -- items


def redrive(queue: str, seqs: Seqs | None, limit: int | None, rate: float | None) -> Call[int]:
    """Let dead items wait again."""
    body = {"seqs": seqs, "limit": limit, "rate": rate}
    given = {name: value for name, value in body.items() if value is not None}
    return post(path_of(queue, "redrive"), lambda answer: int(answer["redriven"]), given)


def purge(queue: str, confirm: str, states: Sequence[str] | None) -> Call[int]:
    """Drop items for good."""
    body: dict[str, Json] = {"confirm": confirm}
    if states is not None:
        body["states"] = list(states)
    return post(path_of(queue, "purge"), lambda answer: int(answer["purged"]), body)


def page(queue: str, state: str | None, after: int, limit: int = _PAGE) -> Call[Page]:
    """Read a page of the items of a state, by seq."""
    return get(path_of(queue, "items", state=state, after=after or None, limit=limit), Page.of)


def history(
    queue: str, seq: int | None, after: int, limit: int = _PAGE
) -> Call[tuple[list[HistoryEntry], int | None]]:
    """Read a page of who took or acked which items, and where the next page begins."""
    path = path_of(queue, "history", seq=seq, after=after or None, limit=limit)
    return get(path, lambda answer: (list(map(HistoryEntry.of, answer["history"])), answer["next"]))


def item(queue: str, seq: int) -> Call[QueueItem]:
    """Read one item and its history."""
    return get(path_of(queue, "items", str(seq)), QueueItem.of)
