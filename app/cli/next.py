"""``dibs next``: values, one a line."""

from __future__ import annotations

import sys
import uuid
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ..inert import inert, line
from .exits import EMPTY, OK, UNWRITTEN, code_of, fail
from .options import DEFAULT_URL, Queue, Url, server
from .output import Unwritten, put
from .words import compact

if TYPE_CHECKING:
    from .http import Api

BATCH: Final = 10_000
_TOLD: Final = 20
_TOLD_LENGTH: Final = 4096


def next_(
    queue: Queue = "default",
    *,
    number: Annotated[int, typer.Option("--number", "-n", min=1)] = 1,
    wait: Annotated[float, typer.Option("--wait", "-w", min=0)] = 0,
    url: Url = DEFAULT_URL,
) -> None:
    r"""Take values from a queue for good, and print them, one per line.

    Each request carries an idempotency key: if its answer is lost, the command asks for the same answer
    again, so no value is lost. On a terminal, characters that would act there are written out (\x1b);
    elsewhere each value is what the server sent. Exit code 5: the queue is empty now; 6: it is exhausted; 9:
    values were taken and could not be printed, and stderr says which.

    Args:
        number: How many values.
        wait: Seconds to wait while nothing can be handed out. A server that goes away meanwhile is waited for
            as long, from then on, and for 10 s at least.

    Example: `dibs next ids -n 10`
    """
    left = number
    with server(url, wait=wait) as api:
        while left:
            left -= _take(api, queue, min(left, BATCH), wait, printed=number - left)
    raise typer.Exit(OK)


def _take(api: Api, queue: str, count: int, wait: float, *, printed: int) -> int:
    """Take values in one request and print them; how many there were. So many were ``printed`` before."""
    from ..client.errors import ClientError
    from .http import path_of

    key, so_far = str(uuid.uuid4()), f" (after {printed})" if printed else ""
    try:
        items = api.run(api.queue(queue).take(count, wait=wait, key=key))
    except ClientError as error:
        fail(f"{error}{so_far}", code_of(error))
    if not items:
        fail(f"empty: nothing to hand out now{so_far}", EMPTY)
    lines = [line(compact(item.value)) for item in items]
    text = "".join(f"{each}\n" for each in lines)
    try:
        put(inert(text, lines=True) if sys.stdout.isatty() else text)
    except Unwritten as unwritten:
        taken = "1 value was" if len(lines) == 1 else f"{len(lines):,} values were"
        if len(lines) <= _TOLD and len(text) <= _TOLD_LENGTH:
            told = ", ".join(f"seq {item.seq}: {each}" for item, each in zip(items, lines, strict=True))
        else:
            path = path_of("queues", queue, "next", count=count, wait=wait or None)
            told = (
                f"seqs {items[0].seq} to {items[-1].seq}; the same request with Idempotency-Key {key} gives"
                f" them again for a day (POST {api.url}{path})"
            )
        fail(f"{taken} taken from {queue} and could not be written ({unwritten.why}): {told}", UNWRITTEN)
    return len(items)
