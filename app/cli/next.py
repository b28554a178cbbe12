"""``dibs next``: values, one a line."""

from __future__ import annotations

import sys
import uuid
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import quote

import typer

from ..inert import inert
from .exits import EMPTY, EXHAUSTED, FAILED, OK, UNWRITTEN, fail
from .options import Url
from .output import Unwritten, put

if TYPE_CHECKING:
    import httpx

    from .http import Api

BATCH: Final = 10_000
_TOLD: Final = 20
_TOLD_LENGTH: Final = 4096
_EMPTY, _GONE = 204, 410


def next_(
    queue: Annotated[str, typer.Argument(help="The queue.")] = "default",
    *,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many values.")] = 1,
    wait: Annotated[
        float,
        typer.Option("--wait", "-w", min=0, help="Seconds to wait while nothing can be handed out."),
    ] = 0,
    url: Url = None,
) -> None:
    r"""Take values from a queue for good, and print them, one per line.

    Each request carries an idempotency key: if its answer is lost, the command asks for the same answer
    again, so no value is lost. On a terminal, characters that would act there are written out (\x1b);
    elsewhere each value is what the server sent. Exit code 5: the queue is empty now; 6: it is exhausted; 9:
    values were taken and could not be printed, and stderr says which.

    Example: `dibs next ids -n 10`
    """
    from .http import Api

    left = number
    with Api(url) as api:
        while left:
            left -= _Batch(api, queue, min(left, BATCH), wait).show(before=number - left)
    raise typer.Exit(OK)


class _Batch:
    """One request for values, under a key of its own: what it answered can be asked for again."""

    def __init__(self, api: Api, queue: str, count: int, wait: float) -> None:
        self._api = api
        self._queue = queue
        self._key = str(uuid.uuid4())
        self._params = {"count": count, **({"wait": f"{wait:g}"} if wait else {})}

    def show(self, *, before: int) -> int:
        """Take the values and print them; how many there were. ``before``: so many were printed already."""
        response = self._ask("text/plain")
        if response.status_code != 200:  # noqa: PLR2004
            _end(response, printed=before)
        lines = response.text.splitlines()
        try:
            put(inert(response.text, lines=True) if sys.stdout.isatty() else response.text)
        except Unwritten as unwritten:
            taken = "1 value was" if len(lines) == 1 else f"{len(lines):,} values were"
            fail(
                f"{taken} taken from {self._queue} and could not be written ({unwritten.why}):"
                f" {self._told(lines)}",
                UNWRITTEN,
            )
        return len(lines)

    def _ask(self, kind: str) -> httpx.Response:
        headers = {"Idempotency-Key": self._key, "Accept": kind}
        path = f"/queues/{quote(self._queue, safe='')}/next"
        return self._api.send("POST", path, params=self._params, headers=headers)

    def _told(self, lines: list[str]) -> str:
        """Name the values that were taken and not printed: a few in full, many by their request.

        Their seqs stand in the same answer as JSON, which the key still gives.
        """
        few = len(lines) <= _TOLD and sum(map(len, lines)) <= _TOLD_LENGTH
        way = f"the same request with Idempotency-Key {self._key} gives them again for a day"
        answer = self._ask("application/json")
        if not answer.is_success:
            return ", ".join(lines) if few else way
        seqs = [item["seq"] for item in answer.json()["items"]]
        if few:
            return ", ".join(f"seq {seq}: {line}" for seq, line in zip(seqs, lines, strict=False))
        return f"seqs {seqs[0]} to {seqs[-1]}; {way} (POST {answer.url})"


def _end(response: httpx.Response, *, printed: int) -> None:
    from .http import detail

    so_far = f" (after {printed})" if printed else ""
    if response.status_code == _EMPTY:
        fail(f"empty: nothing to hand out now{so_far}", EMPTY)
    fail(f"{detail(response)}{so_far}", EXHAUSTED if response.status_code == _GONE else FAILED)
