"""Records to JSON: instants as RFC 3339 in UTC, and no number that a reader could bend."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..ledger.access import AccessToken
from ..ledger.work import FOREVER, QueueSettings
from ..queue.answers import DeadPage, ItemAnswer, ItemDone, Page, Peeked, PushAnswer, QueueInfo
from ..sources.encode import MAX_SAFE
from ..sources.masking import masked
from .reply import REPLAYED, Reply

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

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


def fields(record: DataclassInstance, *without: str, **changed: Any) -> dict[str, Any]:
    """A record by its names, with instants as text; ``without`` some members, and some ``changed``."""
    found = {name: value for name, value in asdict(record).items() if name not in without}
    found |= {name: instant(found[name]) for name in ("at", "created_at") if name in found}
    return found | changed


def shown_args(source: str | None, args: Mapping[str, Any]) -> Any:
    """The arguments of a source, as whoever may see the queue sees them."""
    return exact(masked(source or "", args))


def queue_fields(info: QueueInfo, *, operates: bool = False) -> dict[str, Any]:
    """A queue as ``schemas.QueueState``; who ``operates`` it is told where its source failed, too."""
    settings = settings_fields(info.settings)
    args = shown_args(info.source, info.args)
    found = fields(info, "created", "replayed", "failure_place", args=args, settings=settings)
    if operates and info.failure_place is not None and found["failure"] is not None:
        found["failure"] |= {"where": info.failure_place}
    return found


def settings_fields(settings: QueueSettings) -> dict[str, Any]:
    """Settings as ``schemas_work.QueueSettings``: durations in seconds, null for ever."""
    found = asdict(settings)
    for name in ("backoff", "backoff_max", "key_ttl", "item_key_ttl", "history"):
        lasts = found[name]
        found[name] = None if lasts is None or lasts >= FOREVER else lasts / 1000
    return found


def push_text(pushed: PushAnswer) -> str:
    """The pushed items, as ``schemas_work.Pushed``."""
    items = [f'{{"seq":{seq}}}' for seq in pushed.seqs]
    for position in pushed.known:
        items[position] = f'{{"seq":{pushed.seqs[position]},"duplicate":true}}'
    return f'{{"queue":"{pushed.queue}","items":[{",".join(items)}]}}'


def dead_fields(page: DeadPage) -> dict[str, Any]:
    """Dead letters, as ``schemas_items.DeadLetters``."""
    items = [{**death._asdict(), "at": instant(death.at)} for death in page.items]
    errors = [each._asdict() for each in page.errors]
    return {"queue": page.queue, "items": items, "errors": errors, "next": page.next}


def page_text(page: Page, *, hidden: bool) -> str:
    """Items inside a queue, as ``schemas_items.ItemPage``; their values are JSON text already."""
    items = ",".join([f"{{{_item_text(item, hidden=hidden)}}}" for item in page.items])
    following = "null" if page.next is None else page.next
    return f'{{"queue":"{page.queue}","items":[{items}],"next":{following}}}'


def item_answer_text(found: ItemAnswer | ItemDone, *, hidden: bool) -> str:
    """One item with its history, as ``schemas_items.ItemAlone``; as ``ItemDone`` where it is done."""
    if isinstance(found, ItemDone):
        value = _value_text(found.value or "null", hidden=hidden)
        head = f'{{"queue":"{found.queue}","seq":{found.seq},{value}'
        return f'{head},"state":"{found.done.verb}","done":{dumps(fields(found.done, "id"))}}}'
    rest: dict[str, Any] = {
        "kept_at": _known(found.kept.at),
        "pushed_by": found.kept.caller,
        "key": None if hidden else found.key,
        "began_at": _known(found.item.began),
        "history": [fields(each, "began", began_at=_known(each.began)) for each in found.history],
    }
    if found.traceparent is not None:
        rest["traceparent"] = found.traceparent
    return f'{{"queue":"{found.queue}",{_item_text(found.item, hidden=hidden)},{dumps(rest)[1:]}'


def _known(began: int) -> str | None:
    """When something began; 0 where that was not kept."""
    return instant(began) if began else None


def _value_text(value: str, *, hidden: bool) -> str:
    """A value; of a hidden one its size alone."""
    return f'"value":null,"bytes":{len(value.encode())}' if hidden else f'"value":{value}'


def _item_text(item: Peeked, *, hidden: bool) -> str:
    """The members of one item, as text."""
    rest = {
        "state": item.state,
        "attempt": item.attempt,
        "priority": item.priority,
        "due_at": instant(item.due),
        "worker": item.worker,
        "error": item.error,
    }
    return f'"seq":{item.seq},{_value_text(item.value, hidden=hidden)},{dumps(rest)[1:-1]}'


def token_fields(token: AccessToken, now: int) -> dict[str, Any]:
    """An access token, without what it is known by."""
    state = "revoked" if token.revoked is not None else "valid" if token.good(now) else "expired"
    return {
        "id": token.id,
        "name": token.name,
        "roles": token.grants.split(),
        "state": state,
        "made_by": token.maker,
        "created_at": instant(token.created),
        "expires_at": None if token.expires is None else instant(token.expires),
        "revoked_at": None if token.revoked is None else instant(token.revoked),
    }
