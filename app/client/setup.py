"""The common arguments of ``Client`` and ``AsyncClient``: URL, worker's name, timeouts."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import InitVar, dataclass
from functools import partial
from typing import Any, Final

from ..inert import acts, inert
from .flow import Bell, OnWait, Tempo, Terms
from .takers import Takers
from .text import Default
from .wire import Wire

WORKER_BYTES: Final = 255
_SHOWN: Final = 64


@dataclass
class Setup:
    """The arguments of a client, checked.

    ``bell`` makes the bells of lease iterators and of callers.

    Raises:
        TypeError, ValueError: An argument is wrong; the message names it.
    """

    url: InitVar[str | None]
    worker: str | None
    patience: InitVar[float]
    timeout: InitVar[float]
    on_wait: InitVar[OnWait | None]
    default: Default | None
    tempo: Tempo | None
    bell: Callable[[], Bell]
    token: InitVar[str | None] = None

    def __post_init__(
        self,
        url: str | None,
        patience: float,
        timeout: float,
        on_wait: OnWait | None,
        token: str | None,
    ) -> None:
        self.wire = Wire(url, timeout, token)
        self.terms = Terms(self.tempo or Tempo(), patience, on_wait)
        self._takers: dict[str, Takers] = {}
        if self.worker is not None:
            _check_name(self.worker)

    @property
    def worker_name(self) -> str:
        """The worker's name. It is read each time, as a forked child is another worker than its parent."""
        return self.worker or _whoami()

    def takers(self, queue: str) -> Takers:
        """Those that take of a queue; a forked child, and another event loop, has others."""
        takers = self._takers.get(queue)
        if takers is None or not takers.here:
            takers = self._takers[queue] = Takers(queue, self.terms, self.bell)
        return takers

    def again(self, kind: Callable[..., object], given: object) -> tuple[Any, ...]:
        """The arguments that make the client again, for pickle and copy, with connections of its own.

        Raises:
            TypeError: The client has a transport that was given to it, which can't be made again.
        """
        if given is not None:
            raise TypeError(
                "a client whose transport was given to it can't be pickled or copied: "
                "make it there, by its URL"
            )
        options = {"worker": self.worker, "default": self.default, "tempo": self.tempo}
        terms = {"patience": self.terms.patience, "on_wait": self.terms.on_wait}
        shown = {"timeout": self.wire.timeout, "token": self.wire.token}
        return partial(kind, self.wire.url, **shown, **terms, **options), ()


def _check_name(worker: str) -> None:
    """Refuse a worker's name that the server would refuse."""
    if not isinstance(worker, str):
        raise TypeError(f"worker must be a text, not a {type(worker).__name__}")
    if acts(worker):
        raise ValueError(
            f"worker {inert(worker[:_SHOWN])!r} has control characters, or others that act on a terminal"
        )
    if len(worker.encode()) > WORKER_BYTES:
        raise ValueError(f"worker is over {WORKER_BYTES} bytes")


def _whoami() -> str:
    name = inert(f"{socket.gethostname()}:{os.getpid()}")
    return name.encode(errors="replace")[-WORKER_BYTES:].decode(errors="ignore")
