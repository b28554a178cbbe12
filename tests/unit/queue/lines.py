"""A client of a line that notes what it is told, and asks for it."""

from __future__ import annotations

from dibs.ledger.work import Parcel


class Client:
    """A caller that notes what it is told."""

    def __init__(self) -> None:
        self.gone = False
        self.told: list = []

    answered = refused = lambda self, what: self.told.append(what)


async def push(queue, *texts: str) -> None:
    await queue.push((Parcel(texts),))
