"""``dibs recover``: what the database of a ledger has lost is written back, or given up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .changes import tell_done
from .exits import USAGE, fail
from .options import DEFAULT_URL, Json, Url, server

if TYPE_CHECKING:
    from collections.abc import Mapping


def recover(
    *,
    accept_loss: bool = False,
    data: Annotated[str | None, typer.Option(show_default=False, metavar="URL")] = None,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Go on after the database of a ledger has lost transactions.

    That is so when a standby is promoted that nobody waited for. Nothing is handed out then, until you say
    how to go on. The server that owned the ledger has kept its last transactions: it writes back what is
    missing, each in its order, and goes on as if nothing had been. If it can't, since it is gone or has kept
    too few, the ledger goes on without them: what they handed out is passed over, as far as that is known,
    and what they took in is lost.

    Args:
        accept_loss: Go on without what is lost.
        data: With --accept-loss, while no server can be asked: the database, as `dibs serve --data` has it.

    Example: `dibs recover`
    """
    if data is not None:
        if not accept_loss:
            fail("option --data: only a server can write back what is lost: say --accept-loss, too", USAGE)
        answer = _offline(data)
    else:
        with server(url) as api:
            answer = api.told("recover", body={"accept_loss": accept_loss})
    tell_done(answer, "\n".join(_told(answer)), json=json)


def _offline(data: str) -> dict[str, Any]:
    from ..ledger.postgres.losses import accept_at

    return accept_at(data)._asdict()


def _told(answer: Mapping[str, Any]) -> list[str]:
    if not answer["lost"]:
        return [
            f"{answer['written']:,} transactions are written back: the ledger goes on as if nothing had been."
        ]
    told = [f"{answer['lost']:,} transactions are given up; the next owner goes on without them."]
    if answer["passed"] is None:
        told.append("Nobody knows what they did: pass over what they may have handed out by `dibs advance`.")
        return told
    told.append(
        f"{answer['passed']:,} numbers that they handed out or took in are passed over, and count as jumped."
    )
    told.append(f"Up to {answer['again']:,} items that were done since are handed out again.")
    if answer["gone"]:
        told.append(f"Queues that were made since are gone: {', '.join(answer['gone'])}.")
    return told
