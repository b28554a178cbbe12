"""What ``dibs doctor`` finds: each thing that it looks at, whether that is well, and what it would mend."""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["well", "note", "mend"]


class Finding(NamedTuple):
    """One finding. ``mend`` says what to do; it is empty where nothing is to be done."""

    about: str
    found: str
    mend: str = ""
    level: Level = "well"


def well(about: str, found: str) -> Finding:
    """All is as it should be."""
    return Finding(about, found)


def note(about: str, found: str, mend: str = "") -> Finding:
    """Something to know, which keeps nothing from working."""
    return Finding(about, found, mend, "note")


def mend(about: str, found: str, mend: str) -> Finding:
    """Something that should be mended; it makes the exit code 1."""
    return Finding(about, found, mend, "mend")
