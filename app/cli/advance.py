"""``dibs advance``: jump forward."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from .asking import Queue, operate
from .options import Json, Url

EXAMPLE: Final = "Example: `dibs advance ids 1000`"


def advance(
    queue: Queue,
    seq: Annotated[int, typer.Argument(min=1, help="Skip all seqs up to and including this one.")],
    *,
    url: Url = None,
    json: Json = False,
) -> None:
    """Move the cursor of a queue forward: the items passed over are never handed out.

    They count as jumped. After a restore this brings a queue past the items taken since the backup.
    """
    operate(url, queue, "advance", json=json, body={"to_seq": seq})
