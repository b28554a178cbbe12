"""The requests of work as ``Call`` values: lease, settle, push, upload. Nothing is sent here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from .calls import path_of, post
from .errors import UnexpectedAnswer, ValueNotJson, refusal
from .flow import Call, Request
from .problems import problem_from
from .records import (
    Ack,
    Entry,
    Extend,
    Lease,
    LeaseAsk,
    Nack,
    NewItem,
    Outcome,
    Pushed,
    Settlement,
    Uploaded,
)
from .text import Default, encode

Json = Any
Kind = str

ACKS: Final = "acks"
NACKS: Final = "nacks"
EXTENDS: Final = "extends"
RELEASES: Final = "releases"
KINDS: Final = (ACKS, NACKS, EXTENDS, RELEASES)
"""The kinds of entries, in the order in which a server applies them."""


def kind_of(entry: Entry) -> Kind:
    """The list of a settle request that an entry belongs to."""
    if isinstance(entry, Ack):
        return ACKS
    if isinstance(entry, Nack):
        return NACKS
    return EXTENDS if isinstance(entry, Extend) else RELEASES


def lease(queue: str, ask: LeaseAsk) -> Call[Lease | None]:
    """Lease items; None if no item can be leased now."""
    return post(path_of(queue, "lease"), _lease, ask.to_json(), wait=ask.wait)


def _lease(answer: Json) -> Lease | None:
    return None if answer is None else Lease.of(answer)


def settle(
    queue: str, entries: Sequence[Entry], ask: LeaseAsk | None, default: Default | None = None
) -> Call[Settlement]:
    """Settle entries and lease the next items, in one transaction."""
    return settle_texts(queue, [(kind_of(entry), encode(entry.to_json(), default)) for entry in entries], ask)


def settle_texts(queue: str, entries: Sequence[tuple[Kind, str]], ask: LeaseAsk | None) -> Call[Settlement]:
    """As ``settle``, with entries that are JSON texts already. Outcomes come in the order of ``entries``."""
    lists: dict[Kind, list[str]] = {kind: [] for kind in KINDS}
    places = []
    for kind, text in entries:
        places.append((kind, len(lists[kind])))
        lists[kind].append(text)
    members = [f'"{kind}":[{",".join(texts)}]' for kind, texts in lists.items() if texts]
    if ask is not None:
        members.append(f'"lease":{encode(ask.to_json())}')
    request = Request(
        "POST",
        path_of(queue, "settle"),
        f"{{{','.join(members)}}}".encode(),
        wait=0.0 if ask is None else ask.wait,
    )
    return Call(request, lambda answer: _settlement(answer, places), keyed=True)


def _settlement(answer: Mapping[str, Json], places: Sequence[tuple[Kind, int]]) -> Settlement:
    problem = problem_from(answer.get("lease_problem"))
    return Settlement(
        answer["queue"],
        answer["state"],
        tuple(tuple(map(Outcome.of, answer[kind][place])) for kind, place in places),
        _lease(answer.get("lease")),
        None if problem is None else refusal(problem),
    )


def push(queue: str, texts: Sequence[str]) -> Call[list[Pushed]]:
    """Push items, each a JSON text of its own: all of them or none."""
    request = Request("POST", path_of(queue, "items"), f'{{"items":[{",".join(texts)}]}}'.encode())

    def read(answer: Json) -> list[Pushed]:
        pushed = [Pushed(item["seq"], item.get("duplicate") is True) for item in answer["items"]]
        if len(pushed) != len(texts):
            raise UnexpectedAnswer(f"{len(pushed)} of {len(texts)} items were answered")
        return pushed

    return Call(request, read, keyed=True)


def item_text(item: NewItem, default: Default | None = None) -> str:
    """The JSON text of an item to push."""
    try:
        return encode(item.to_json(), default)
    except ValueNotJson:
        encode(item.value, default)  # so that its own words say why, without the item around it
        raise


def item_texts(items: Iterable[NewItem], default: Default | None = None) -> list[str]:
    """The JSON texts of items to push; an error names the position of an item that can't be JSON."""
    return [placed_text(place, item, default) for place, item in enumerate(items)]


def placed_text(place: int, item: NewItem, default: Default | None = None) -> str:
    """As ``item_text``, for the item at a position; an error names the position."""
    try:
        return item_text(item, default)
    except ValueNotJson as error:
        raise ValueNotJson(f"item {place}: {error}") from error


def upload(queue: str, stream: bytes) -> Call[Uploaded]:
    """Push an NDJSON stream, whose chunks are committed one by one."""
    path = path_of(queue, "items")
    return Call(Request("POST", path, stream, "application/x-ndjson"), Uploaded.of, keyed=True)
