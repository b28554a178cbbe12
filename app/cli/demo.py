"""``dibs demo``: why there is a lock, and how far it is taken."""

from __future__ import annotations

import typer


def demo(*, fast: bool = False) -> None:
    """Show in 20 seconds how sharing a generator breaks, what mends it, and how dibs does it for a fleet.

    Everything that the demo shows happens here and now, on this Python, with a server of its own in a
    temporary folder. The exit code is 0 if all went as promised.

    Args:
        fast: Leave out the pauses for reading.

    Example: `dibs demo`
    """
    from .demo_fleet import fleet
    from .demo_screen import Stage
    from .demo_threads import bare_generator, counter, cure
    from .terminable import terminable

    stage = Stage(fast=fast)
    stage.title()
    with terminable():
        good = [bare_generator(stage), counter(stage), cure(stage), fleet(stage)]
    stage.end()
    raise typer.Exit(0 if all(good) else 1)
