"""Taking one item after the other, for good."""

from __future__ import annotations

from typing import Final

from . import calls
from .errors import Exhausted
from .flow import PATIENT, Flow, Terms, persist
from .records import Item

WAIT: Final = 20.0
_EARLY: Final = 3


def take_one(queue: str, terms: Terms) -> Flow[Item | None]:
    """Take the next item, however long that takes; None if the queue is exhausted.

    Items are taken one at a time, since an item that was taken ahead could not be given back.
    """
    tempo = terms.tempo
    while True:
        asked = tempo.clock()
        try:
            items = yield from persist(calls.take(queue, 1, WAIT), terms, endless=PATIENT)
        except Exhausted:
            return None
        if items:
            return items[0]
        if tempo.clock() - asked < WAIT / 2:
            yield from terms.pause(tempo.step(_EARLY, None))
