"""What ``Client`` and ``AsyncClient`` have in common: where, who, how long."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Final, Literal, TypedDict

from .flow import OnWait, Tempo, Terms
from .job import Job
from .wire import Wire

WORKER_BYTES: Final = 255

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
        self.worker = worker if worker is not None else _whoami()


def _whoami() -> str:
    name = f"{socket.gethostname()}:{os.getpid()}"
    return name.encode(errors="replace")[-WORKER_BYTES:].decode(errors="ignore")
