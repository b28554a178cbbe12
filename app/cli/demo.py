"""``dibs demo``: why there is a lock, and how far it is taken."""

from __future__ import annotations

from typing import Annotated, Final

import typer

EXAMPLE: Final = "Example: `dibs demo`"


def demo(
    *,
    fast: Annotated[bool, typer.Option("--fast", help="Without the pauses for reading.")] = False,
) -> None:
    """Tell the story in 20 seconds: what breaks, what loses, what cures, and what does it for a fleet.

    Everything that is shown happens here and now, on this Python, with a server of its own in a
    temporary folder. It exits with 0 if all went as promised.
    """
    from .demo_fleet import fleet
    from .demo_stage import Stage
    from .demo_threads import bare_generator, counter, cure

    stage = Stage(fast=fast)
    stage.title()
    good = [bare_generator(stage), counter(stage), cure(stage), fleet(stage)]
    stage.end()
    raise typer.Exit(0 if all(good) else 1)
