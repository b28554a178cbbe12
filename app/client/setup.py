"""What ``Client`` and ``AsyncClient`` have in common: where, who, how long."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Final, Literal, TypedDict

from ..inert import acts, inert
from .flow import OnWait, Tempo, Terms
from .job import Job
from .wire import Wire

WORKER_BYTES: Final = 255
_SHOWN: Final = 64

OnError = Literal["nack", "raise"]
OnLost = Callable[[Job], None]


class LeaseOptions(TypedDict, total=False):
    """The keyword arguments of ``RemoteQueue.lease``, for what passes them on."""

    batch: int | None
    ttl: float
    prefetch: int | None
    in_hand: int | None
    wait: float
    on_error: OnError
    on_lost: OnLost | None
    grace: float


class Setup:
    """The arguments of a client, checked."""

    def __init__(
        self,
        url: str | None,
        *,
        worker: str | None,
        patience: float,
        timeout: float,
        on_wait: OnWait | None,
        tempo: Tempo | None,
    ) -> None:
        self.wire = Wire(url, timeout)
        self.terms = Terms(tempo or Tempo(), patience, on_wait)
        self.worker = _whoami() if worker is None else _named(worker)


def _named(worker: str) -> str:
    """The worker's name, if the server will take it."""
    if not isinstance(worker, str):
        raise TypeError(f"worker must be a text, not a {type(worker).__name__}")
    if acts(worker):
        raise ValueError(
            f"worker {inert(worker[:_SHOWN])!r} has control characters, or others that act on a terminal"
        )
    if len(worker.encode()) > WORKER_BYTES:
        raise ValueError(f"worker is over {WORKER_BYTES} bytes")
    return worker


def _whoami() -> str:
    name = inert(f"{socket.gethostname()}:{os.getpid()}")
    return name.encode(errors="replace")[-WORKER_BYTES:].decode(errors="ignore")
