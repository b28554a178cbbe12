"""Times as they are written on the command line: ``90s``, ``30m``, ``1h``, ``7d``."""

from __future__ import annotations

import re
from typing import Final

from .exits import USAGE, fail
from .words import span

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_WRITTEN: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([smhd])", re.ASCII)


def seconds_of(text: str, option: str, *, least: float, most: float) -> float:
    """The seconds of a time; what is none, or out of bounds, ends the command."""
    written = _WRITTEN.fullmatch(text.strip().lower())
    if written is None:
        fail(f"option {option} {text!r}: say a number and a unit, s, m, h or d, such as 1h", USAGE)
    seconds = float(written[1]) * _UNITS[written[2]]
    if not least <= seconds <= most:
        fail(f"option {option} {text!r}: it must be from {span(least)} to {span(most)}", USAGE)
    return seconds
