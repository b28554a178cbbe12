"""OpenTelemetry, where its API is installed (``dibs[otel]``): a trace goes on from the push to the job.

Other packages bring the API along, FastAPI for one, so that it is there says nothing. Who traces has imported
it; before that, only an item that was pushed with a traceparent makes this import it. Samplers and processors
are the program's own and may raise: that is logged, and no push and no job is the worse for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .flow import log

if TYPE_CHECKING:
    from .otel import Tracer, Work

Told = TypeVar("Told")

_API: Final = "opentelemetry.trace"


def tracer(parent: str | None = None) -> Tracer | None:
    """What makes the span of a job; None where nothing is traced. ``parent``: its item's traceparent."""
    return None if parent is None and _API not in sys.modules else _found()


class Untraced:
    """In the place of a job's span, where a generator gives out its value.

    A span would be the current one of whoever asks for the value, and be so until the next is asked for.
    """

    def failed(self, error: str | BaseException) -> None:
        """Nobody is told."""

    def end(self) -> None:
        """Nothing has begun."""


UNTRACED: Final = Untraced()


@cache
def _found() -> Tracer | None:
    """None: OpenTelemetry is not installed, or can't be used. That is looked for once."""
    try:
        from .otel import Tracer
    except ImportError:
        return None
    return safely(Tracer)


def safely(act: Callable[..., Told], *given: Any) -> Told | None:
    """What this does for tracing alone; None, and the reason in the log, where it fails."""
    try:
        return act(*given)
    except Exception:
        log.warning("OpenTelemetry failed, so this is not traced", exc_info=True)
        return None


def current() -> str | None:
    """The traceparent of what this thread or task is doing, if it is traced."""
    found = tracer()
    return None if found is None else safely(found.current)


def begin(queue: str, seq: int, attempt: int, parent: str | None) -> Work | None:
    """Begin the span of a job; None where it is not traced. ``parent``: its item's traceparent."""
    found = tracer(parent)
    return None if found is None else safely(found.begin, queue, seq, attempt, parent)
