"""The common part of the commands that change a queue: a line of what was done, a question before harm."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from ..inert import inert
from .exits import FAILED, USAGE, fail, tell
from .output import json_text
from .words import failure, inside, source


def show_queue(queue: Mapping[str, Any], *, json: bool) -> None:
    """Show a queue in one line, or as JSON."""
    parts = [queue["state"], source(queue), f"cursor {queue['cursor']:,}", inside(queue), failure(queue)]
    tell_done(queue, f"{queue['queue']}: {', '.join(part for part in parts if part)}", json=json)


def tell_done(answer: Any, text: str, *, json: bool) -> None:
    """Tell what was done in one line, or show the answer as JSON."""
    tell(json_text(answer) if json else text)


def ask_first(harm: str, *, yes: bool) -> None:
    """Ask the user at a terminal before items are lost; a script says ``--yes``."""
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        fail(f"{harm}. Say --yes to do it", USAGE)
    print(inert(f"{harm}. Do it? [y/N] "), end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        fail("nothing was changed", FAILED)
