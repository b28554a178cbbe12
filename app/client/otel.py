"""Spans and traceparents of OpenTelemetry; only ``tracing.py`` imports this, where its API is installed."""

from __future__ import annotations

from typing import Final

from opentelemetry import context, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_W3C: Final = TraceContextTextMapPropagator()
TRACEPARENT: Final = "traceparent"


class Work:
    """The span of a job: the current one of its thread or task, from when this is made until ``end``.

    Its parent is what pushed the item, as the conventions for messaging allow for one message; what was
    current before is a link then. (https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/)
    """

    def __init__(self, tracer: trace.Tracer, queue: str, seq: int, attempt: int, parent: str | None) -> None:
        around = trace.get_current_span().get_span_context()
        links = [trace.Link(around)] if parent is not None and around.is_valid else []
        self._span = tracer.start_span(
            f"dibs job {queue}",
            context=None if parent is None else _W3C.extract({TRACEPARENT: parent}),
            kind=trace.SpanKind.CONSUMER,
            links=links,
            attributes={
                "messaging.system": "dibs",
                "messaging.operation.type": "process",
                "messaging.operation.name": "process",
                "messaging.destination.name": queue,
                "messaging.message.id": str(seq),
                "dibs.attempt": attempt,
            },
        )
        self._token = context.attach(trace.set_span_in_context(self._span))

    def failed(self, error: str | BaseException) -> None:
        """Note that the job has failed, and by what."""
        self._span.set_status(trace.StatusCode.ERROR, _said(error))
        if isinstance(error, BaseException):
            self._span.record_exception(error)

    def end(self) -> None:
        """End the span; what was current before is so again."""
        context.detach(self._token)
        self._span.end()


def _said(error: str | BaseException) -> str:
    try:
        return str(error)
    except Exception:  # its own, which has no text for it
        return type(error).__name__


class Tracer:
    """Makes spans by a tracer of this name, of the program's provider or of a given one."""

    def __init__(self, provider: trace.TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("dibs.client", tracer_provider=provider)
        self._seen = provider is not None

    def _provided(self) -> bool:
        """Whether the program has a provider by now, which is looked for until it has one: that stays."""
        self._seen = not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
        return self._seen

    def current(self) -> str | None:
        """The traceparent of the current span; None where there is none."""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier)
        return carrier.get(TRACEPARENT)

    def begin(self, queue: str, seq: int, attempt: int, parent: str | None) -> Work | None:
        """Begin the span of a job; ``parent`` is the traceparent of its item. None: nobody would see it."""
        if parent is None and not self._seen and not self._provided():
            return None
        return Work(self._tracer, queue, seq, attempt, parent)
