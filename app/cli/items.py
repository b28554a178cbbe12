"""Items for people: one in a row, or one with all that is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from .http import Api
from .output import print_json
from .tables import Column, Row, plain, show, state, table
from .words import gist, short, text_of, when

_SEQ: Final = Column("seq", lambda item: plain(f"{item['seq']:,}", "bold"), right=True)
_STATE: Final = Column("state", lambda item: state(item["state"]))
_VALUE: Final = Column("value", lambda item: plain(short(text_of(item["value"]))))
_WORKER: Final = Column("worker", lambda item: plain(item["worker"], "dim"))
_ERROR: Final = Column("error", lambda item: plain(short(gist(item["error"] or "")), "red"))


def _attempt(heading: str) -> Column:
    return Column(heading, lambda item: plain(f"{item['attempt']:,}"), right=True)


def _due(heading: str) -> Column:
    return Column(heading, lambda item: plain(when(item["due_at"]), "dim"))


INSIDE: Final = (_SEQ, _VALUE, _STATE, _attempt("attempt"), _due("due (UTC)"), _WORKER, _ERROR)
DEAD: Final = (_SEQ, _VALUE, _attempt("attempts"), _WORKER, _due("dead since (UTC)"), _ERROR)


def inspect(
    api: Api,
    queue: str,
    seq: int | None,
    columns: Sequence[Column],
    words: tuple[str, str],
    *,
    json: bool,
    **query: Any,
) -> None:
    """Show one item, or a page of those that ``query`` asks for.

    ``words``: what is said if there are none, and if there are more (``{}``: the seq of the last one shown).
    """
    if seq is None:
        show_page(api.get("queues", queue, "items", **query), columns, words, json=json)
        return
    found = api.get("queues", queue, "items", seq)
    if json:
        print_json(found)
    else:
        _show_item(found)


def show_page(found: Row, columns: Sequence[Column], words: tuple[str, str], *, json: bool) -> None:
    """Show a page of items."""
    if json:
        print_json(found)
    elif not found["items"]:
        show(plain(words[0]))
    else:
        more = [] if found["next"] is None else [plain(words[1].format(found["next"]), "dim")]
        show(table(found["items"], columns), *more)


def _pushed(item: Row) -> str:
    """By whom an item was pushed, when, and under which key, as far as that is known."""
    by = f" by {item['pushed_by']}" if item["pushed_by"] else ""
    at = f", {when(item['kept_at'])} UTC" if item["kept_at"] else ""
    return f"pushed{by}{at}" + (f", key {item['key']}" if item["key"] else "")


def _show_item(item: Row) -> None:
    """One item with each of its failed attempts."""
    head = plain(f"{item['seq']:,}  ", "bold") + state(item["state"])
    parts = [head + plain(f"  attempt {item['attempt']:,}", "dim"), plain(text_of(item["value"]))]
    if item.get("pushed_by") or item.get("key"):
        parts.append(plain(_pushed(item), "dim"))
    for failure in item["history"]:
        by = f"attempt {failure['attempt']:,}, {when(failure['at'])} UTC, {failure['worker'] or 'nobody'}"
        parts.append(plain(f"{by}\n", "dim") + plain(failure["error"], "red"))
    show(*parts)
