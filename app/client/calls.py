"""The requests that flows send, as ``Call`` values. Nothing is sent here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

from . import tracing
from .answers import Lease, Outcome, Settlement, read, read_info, reader
from .errors import Problem, UnexpectedAnswer, ValueNotJson, refusal
from .flow import Call, Reply, Request
from .records import Item, LeaseAsk, NewItem, Pushed
from .text import Default, decode, encode
from .verbs import VERBS, Kind

T = TypeVar("T")
Json = Any
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


def claim(queue: str) -> Call[bool]:
    """Define a queue to push to; whether this made it, so that nobody else has it."""
    return Call(Request("PUT", path_of(queue), b"{}"), _made, keyed=True, whole=True)


def _made(reply: Reply) -> bool:
    """A repeated answer was kept for this request alone: it made the queue, and its first answer was lost."""
    read_info(decode(reply.body))  # whoever answers otherwise is no dibs
    return reply.status == _CREATED or reply.headers.get("idempotent-replayed") == "true"


# -- taking and leasing


def take(queue: str, count: int, wait: float) -> Call[list[Item]]:
    """Take items for good; an empty answer gives none."""
    return post(path_of(queue, "next", count=count, wait=wait or None), _items, wait=wait)


def _items(answer: Json) -> list[Item]:
    return [] if answer is None else [Item(item["seq"], item["value"]) for item in answer["items"]]


def lease(queue: str, ask: LeaseAsk) -> Call[Lease | None]:
    """Lease items; None if no item can be leased now."""
    return post(path_of(queue, "lease"), _lease, ask.to_json(), wait=ask.wait)


def _lease(answer: Json) -> Lease | None:
    if answer is None:
        return None
    traced = {item["seq"]: item["traceparent"] for item in answer["items"] if "traceparent" in item}
    return read(Lease, {**answer, "traceparents": traced} if traced else answer)


# -- settling


def settle(
    queue: str,
    entries: Sequence[tuple[Kind, str]],
    ask: LeaseAsk | None,
    traceparent: str | None = None,
) -> Call[Settlement]:
    """Settle entries, each a JSON text, and lease the next items, in one transaction.

    The outcomes come in the order of ``entries``. Their results keep the ``traceparent``.
    """
    lists: dict[Kind, list[str]] = {verb.kind: [] for verb in VERBS.values()}
    places = []
    for kind, text in entries:
        places.append((kind, len(lists[kind])))
        lists[kind].append(text)
    members = [f'"{kind}":[{",".join(texts)}]' for kind, texts in lists.items() if texts]
    if ask is not None:
        members.append(f'"lease":{encode(ask.to_json())}')
    body = f"{{{','.join(members)}}}".encode()
    wait = 0.0 if ask is None else ask.wait
    request = Request("POST", path_of(queue, "settle"), body, wait=wait, traceparent=traceparent)
    return Call(request, lambda answer: _settlement(answer, places), keyed=True)


def _settlement(answer: Mapping[str, Json], places: Sequence[tuple[Kind, int]]) -> Settlement:
    problem = Problem.of(answer.get("lease_problem"))
    return Settlement(
        answer["queue"],
        answer["state"],
        tuple(tuple(map(reader(Outcome), answer[kind][place])) for kind, place in places),
        _lease(answer.get("lease")),
        None if problem is None else refusal(problem),
    )


# -- pushing


def push(queue: str, texts: Sequence[str]) -> Call[list[Pushed]]:
    """Push items, each a JSON text of its own: all of them or none."""
    body = f'{{"items":[{",".join(texts)}]}}'.encode()
    request = Request("POST", path_of(queue, "items"), body, traceparent=tracing.current())

    def read(answer: Json) -> list[Pushed]:
        pushed = [Pushed(item["seq"], item.get("duplicate") is True) for item in answer["items"]]
        if len(pushed) != len(texts):
            raise UnexpectedAnswer(f"{len(pushed)} of {len(texts)} items were answered")
        return pushed

    return Call(request, read, keyed=True)


def item_text(place: int, item: NewItem, default: Default | None = None) -> str:
    """The JSON text of the item at a position of a push; an error names the position."""
    try:
        try:
            return encode(item.to_json(), default)
        except ValueNotJson:
            encode(item.value, default)  # so that its own words say why, without the item around it
            raise
    except ValueNotJson as error:
        raise ValueNotJson(f"item {place}: {error}") from error


def item_texts(items: Iterable[NewItem], default: Default | None = None) -> list[str]:
    """The JSON texts of items to push."""
    return [item_text(place, item, default) for place, item in enumerate(items)]
