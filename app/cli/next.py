"""``dibs next``: values, one a line."""

from __future__ import annotations

import sys
import uuid
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import quote

import typer

from ..inert import inert
from .exits import EMPTY, EXHAUSTED, FAILED, OK, fail
from .options import Url

if TYPE_CHECKING:
    import httpx

EXAMPLE: Final = "Example: `dibs next ids -n 10`"
BATCH: Final = 10_000
_EMPTY, _GONE = 204, 410


def next_(
    queue: Annotated[str, typer.Argument(help="The queue.")] = "default",
    *,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many values.")] = 1,
    wait: Annotated[
        float, typer.Option("--wait", "-w", min=0, help="Seconds to wait for a queue that can't give now.")
    ] = 0,
    url: Url = None,
) -> None:
    r"""Take values for good, and print one a line.

    Each request carries an idempotency key: if its answer is lost, it is asked for again and nothing is
    lost with it. On a terminal, characters that would act there are written out (\x1b);
    elsewhere each value is what the server sent. Exit code 5: nothing there now; 6: nothing more, ever.
    """
    from .http import Api

    path = f"/queues/{quote(queue, safe='')}/next"
    left = number
    with Api(url) as api:
        while left:
            headers = {"Idempotency-Key": str(uuid.uuid4()), "Accept": "text/plain"}
            params = {"count": min(left, BATCH), **({"wait": f"{wait:g}"} if wait else {})}
            response = api.send("POST", path, params=params, headers=headers)
            if response.status_code != 200:  # noqa: PLR2004
                _end(response, printed=number - left)
            sys.stdout.write(inert(response.text, lines=True) if sys.stdout.isatty() else response.text)
            sys.stdout.flush()
            left -= response.text.count("\n")
    raise typer.Exit(OK)


def _end(response: httpx.Response, *, printed: int) -> None:
    from .http import detail

    so_far = f" (after {printed})" if printed else ""
    if response.status_code == _EMPTY:
        fail(f"empty: nothing to hand out now{so_far}", EMPTY)
    fail(f"{detail(response)}{so_far}", EXHAUSTED if response.status_code == _GONE else FAILED)
