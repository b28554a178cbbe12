"""``dibs peek`` and ``dead``: look at what is inside a queue, give dead items another chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from .changes import tell_done
from .exits import FAILED, USAGE, fail
from .options import DEFAULT_URL, Json, Limit, Queue, Seq, Url, server

if TYPE_CHECKING:
    from .http import Api

_ERRORS: Final = 10
_RANGES: Final = 10_000
"""Ranges of seqs that each server takes in one request, whatever its limits are."""
"""Errors that are counted under the table of dead items."""


class State(StrEnum):
    """In which items are inside a queue."""

    WAITING = "waiting"
    LEASED = "leased"
    DEAD = "dead"


def peek(
    queue: Queue,
    seq: Seq = None,
    *,
    state: Annotated[State | None, typer.Option(metavar="STATE")] = None,
    after: Annotated[int | None, typer.Option(min=0)] = None,
    limit: Limit = 20,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Show the items inside a queue, in the order of their seqs; nothing is handed out.

    Items that were taken or acked are no longer inside; items that the source has not given are not yet.

    Args:
        state: Only these: waiting, leased or dead.  [default: all]
        after: Only items whose seq is above this one.  [default: 0]

    Example: `dibs peek jobs --state leased`, `dibs peek jobs 17`
    """
    from .items import INSIDE, inspect

    if seq is not None and (state is not None or after is not None):
        fail("argument SEQ: it goes with neither --state nor --after", USAGE)
    words = f"Nothing of that kind is in {queue}.", "More: --after {}"
    with server(url) as api:
        inspect(api, queue, seq, INSIDE, words, json=json, state=state, after=after, limit=limit)


def dead(
    queue: Queue,
    seq: Seq = None,
    *,
    redrive: bool = False,
    rate: Annotated[float | None, typer.Option(min=0.001)] = None,
    expect: Annotated[int | None, typer.Option(min=0)] = None,
    error: Annotated[str | None, typer.Option(metavar="MESSAGE")] = None,
    limit: Limit = 20,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Show the dead items of a queue with their last error, or one item with every failed attempt.

    Args:
        redrive: Let the dead items (or this one) wait again, with all their attempts.
        rate: With --redrive: items a second.  [default: all at once]
        expect: With --redrive: how many you saw. If by now it is another number, nothing is redriven.
        error: Only items whose last error is MESSAGE: as the table shows it, its first line, or its first 200
            characters.

    Example: dibs dead jobs · dibs dead jobs 17 · dibs dead jobs --redrive --rate 10
    """
    from .items import DEAD, inspect, show_page

    for name, value in (("rate", rate), ("expect", expect)):
        if value is not None and not redrive:
            fail(f"option --{name}: it needs --redrive", USAGE)
    if seq is not None and error is not None and not redrive:
        fail("argument SEQ: it does not go with --error", USAGE)
    words = f"Nothing in {queue} is dead.", "There are more: --limit shows them."
    with server(url) as api:
        if redrive:
            _redrive(api, queue, {"rate": rate, "expect": expect}, seq, error, json=json)
            return
        if error is not None:
            none = f"Nothing in {queue} is dead of this error."
            show_page(_died_of(api, queue, error, limit), DEAD, (none, words[1]), json=json)
            return
        inspect(api, queue, seq, DEAD, words, json=json, state="dead", limit=limit)
        if seq is None and not json:
            _show_errors(api.get("queues", queue, "dead", limit=1)["errors"])


def _show_errors(errors: Sequence[Mapping[str, Any]]) -> None:
    """How many items died of each error, where there are several: what is redriven with --error."""
    from .tables import plain, show
    from .words import gist, short

    if len(errors) > 1:
        told = [(f"{each['items']:,}", short(gist(each["error"]))) for each in errors[:_ERRORS]]
        wide = max(len(count) for count, _ in told)
        lines = [f"{count:>{wide}} × {error}" for count, error in told]
        more = [f"and {len(errors) - _ERRORS} other errors"] if len(errors) > _ERRORS else []
        show(plain("\n".join(["", *lines, *more]), "dim"))


def _redrive(
    api: Api, queue: str, how: Mapping[str, Any], seq: int | None, error: str | None, *, json: bool
) -> None:
    """Let dead items wait again; with an error, as the ledger has it or as our table shows it.

    As our table shows it, it may stand for several of the ledger's; their items go in one request, by seqs.
    """
    from ..client.text import ranges

    body = {name: value for name, value in how.items() if value is not None}
    if seq is not None:
        body["seqs"] = [[seq, seq]]
    answer, expect = {"queue": queue, "redriven": 0}, body.get("expect")
    if error is None or expect is None:
        asked = body if error is None else body | {"error": error}
        answer = api.change("POST", "queues", queue, "redrive", body=asked)
    if error is not None and not answer["redriven"]:
        dead = _meant(api, queue, error, seq)
        if not dead:
            fail(f"no dead item of {queue} has this last error; `dibs dead {queue}` shows them", FAILED)
        if expect not in {None, len(dead)}:
            told = f"{len(dead)} dead items match by now, and {expect} were expected: nothing was redriven"
            fail(told, FAILED)
        found = ranges(dead)
        for at in range(0, len(found), _RANGES):
            some = found[at : at + _RANGES]
            items = sum(last - first + 1 for first, last in some)
            one = body | {"seqs": some} | ({} if expect is None else {"expect": items})
            answer["redriven"] += api.change("POST", "queues", queue, "redrive", body=one)["redriven"]
    tell_done(answer, f"{answer['redriven']:,} of {queue} to be tried again", json=json)


def _died_of(api: Api, queue: str, told: str, limit: int) -> dict[str, Any]:
    """A page of the dead items of an error, in the shape of a page of all."""
    pages = api.pages("queues", queue, "items", state="dead")
    alike = (item for page in pages for item in page["items"] if _is_meant(item["error"] or "", told))
    items = list(islice(alike, limit + 1))
    shown = items[:limit]
    return {"queue": queue, "items": shown, "next": shown[-1]["seq"] if len(items) > limit else None}


def _is_meant(error: str, told: str) -> bool:
    """Whether somebody means this error: as the ledger or our table has it, or by its first line."""
    from ..ledger.sights import ERROR_MOST
    from .words import gist, short

    first = error.strip().partition("\n")[0]
    return error[:ERROR_MOST] == told[:ERROR_MOST] or told in {short(gist(error)), first}


def _meant(api: Api, queue: str, told: str, seq: int | None) -> list[int]:
    """The dead items (or this one) of the errors that are meant."""
    pages = api.pages("queues", queue, "items", state="dead")
    dead = (item for page in pages for item in page["items"] if seq in {None, item["seq"]})
    return [item["seq"] for item in dead if _is_meant(item["error"] or "", told)]
