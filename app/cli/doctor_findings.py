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


def unfit(url: str, why: str, *, owns: bool) -> tuple[str, str]:
    """What is found of a server that has not the code of all queues, and what to do about it."""
    then = "once it owns the ledger no more, it can't take over again" if owns else "it can't take over"
    return f"{url}: {why}", f"mend that: {then}"


def troubled(url: str, told: str) -> tuple[str, str]:
    """What is found of a server with which something is not well, and what to do about it."""
    if "the owner says that it is at" in told:
        way = (
            "start the owner with --advertise HOST:PORT, where the other servers reach it, or mend the way"
            " between them"
        )
    else:
        way = "mend that; its log says it, too"
    return f"{url}: {told}", way


def note(about: str, found: str, mend: str = "") -> Finding:
    """Something to know, which keeps nothing from working."""
    return Finding(about, found, mend, "note")


def mend(about: str, found: str, mend: str) -> Finding:
    """Something that should be mended; it makes the exit code 1."""
    return Finding(about, found, mend, "mend")
