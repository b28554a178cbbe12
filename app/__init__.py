"""dibs: share any Python generator with any number of threads, processes and machines.

Every value goes to exactly one caller: none twice, none skipped, through retries, crashes and restarts.
The iterators are for the threads of one process; ``dibs serve`` is for a fleet, and ``Client`` and
``AsyncClient`` are its two ways in from Python. They need httpx, which is imported when one is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if __name__ != "dibs":  # from a checkout, by the name of its folder
    from .alias import stand_in

    stand_in(__name__, __file__)

from .iterators import (  # the name comes first: what is imported here must be imported once
    ThreadSafeGenerator,
    ThreadSafeIterator,
    threadsafe_generator,
    threadsafe_iter,
)

if TYPE_CHECKING:
    from .client import AsyncClient, Client

__all__ = [
    "AsyncClient",
    "Client",
    "ThreadSafeGenerator",
    "ThreadSafeIterator",
    "threadsafe_generator",
    "threadsafe_iter",
]


def __getattr__(name: str) -> Any:
    """The clients, on demand (PEP 562): who only shares an iterator imports no HTTP."""
    if name in {"AsyncClient", "Client"}:
        from . import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
