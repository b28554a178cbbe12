"""OpenTelemetry, where its API is installed (``dibs[otel]``): a trace goes on from the push to the job."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .otel import Tracer


@cache
def tracer() -> Tracer | None:
    """What makes spans; None where OpenTelemetry is not installed, which is found out at the first use."""
    try:
        from .otel import Tracer
    except ImportError:
        return None
    return Tracer()


def current() -> str | None:
    """The traceparent of what this thread or task is doing, if it is traced."""
    found = tracer()
    return None if found is None else found.current()
