"""``dibs inbox``: what programs push by SQL, and what of it was refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from .changes import tell_done
from .options import DEFAULT_URL, Json, Limit, Url, server
from .words import short, span, text_of, when


def inbox(
    queue: Annotated[str | None, typer.Argument(show_default=False)] = None,
    *,
    retry: bool = False,
    after: Annotated[int | None, typer.Option(min=0)] = None,
    limit: Limit = 20,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Show what programs pushed by SQL and could not be taken into its queue, with the reasons.

    The first line tells how much waits in the inbox, and for which queues. Only a ledger in PostgreSQL has an
    inbox.

    Args:
        queue: Only what was pushed to this queue.
        retry: Put what was refused into the inbox again, once its cause is mended.
        after: Only rows whose id is above this one.  [default: 0]

    Example: `dibs inbox`, `dibs inbox mails --retry`
    """
    with server(url) as api:
        if retry:
            body = {} if queue is None else {"queue": queue}
            done = api.change("POST", "inbox", "retry", body=body)
            tell_done(done, f"{done['retried']:,} in the inbox again", json=json)
            return
        found = api.get("inbox", queue=queue, after=after, limit=limit)
    if json:
        from .output import print_json

        print_json(found)
    else:
        _show(found)


def _show(found: Mapping[str, Any]) -> None:
    from .tables import Column, plain, show, table

    columns: Final = (
        Column("id", lambda row: plain(f"{row['id']:,}", "bold"), right=True),
        Column("queue", lambda row: plain(row["queue"]), name=True),
        Column("value", lambda row: plain(short(text_of(row["value"])))),
        Column("refused (UTC)", lambda row: plain(when(row["refused_at"]), "dim")),
        Column("reason", lambda row: plain(row["reason"], "red")),
    )
    parts: list[Any] = [plain(_waiting(found))]
    if found["rows"]:
        parts.append(table(found["rows"], columns))
    if found["next"] is not None:
        parts.append(plain(f"More: --after {found['next']}", "dim"))
    show(*parts)


def _waiting(found: Mapping[str, Any]) -> str:
    parts = [f"{found['length']:,} wait in the inbox, {found['refused']:,} were refused"]
    if found["length"]:
        parts.append(f"the first has waited for {span(found['oldest'])}")
    if found["full"]:
        parts.append(f"full: {', '.join(found['full'])}")
    if found["stopped"]:
        parts.append(f"pushes by SQL are refused for {', '.join(found['stopped'])}")
    return "; ".join(parts)
