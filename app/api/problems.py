"""Problems: which error leads to which, and the answer to it (see ``problem_table``).

An answer that is not 2xx is ``application/problem+json`` (RFC 9457) with the members of ``Problem`` and,
where they are meant, ``field`` and ``limit``, ``cause`` and ``seq``, ``retry_after``.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Any, Final

from .. import errors
from .problem_table import PROBLEMS, Problem
from .reply import Headers, Reply

TYPE: Final = "urn:dibs:problem:"
MAX_CAUSE: Final = 4096
MAX_DETAIL: Final = 1024
"""Characters of a detail and of a field's name, where a message did not cut what was sent."""

BY_NAME: Final[Mapping[str, Problem]] = {problem.name: problem for problem in PROBLEMS}
_ERRORS: Final[Mapping[type[errors.DibsError], str]] = {
    errors.Forbidden: "forbidden",
    errors.Unauthenticated: "unauthenticated",
    errors.TooManyTries: "too-many-tries",
    errors.QueueUnknown: "queue-unknown",
    errors.ItemUnknown: "item-unknown",
    errors.QueueConflict: "conflict",
    errors.SourceChanged: "source-changed",
    errors.QueueFailed: "source-failed",
    errors.NotArithmetic: "not-arithmetic",
    errors.QueueExhausted: "exhausted",
    errors.StaleLease: "stale-lease",
    errors.ResultRefused: "result-refused",
    errors.KeySuperseded: "key-superseded",
    errors.LimitExceeded: "limit-exceeded",
    errors.KeyReused: "key-reused",
    errors.SourceUnknown: "source-unknown",
    errors.SourceInvalid: "source-invalid",
    errors.ValueRefused: "value-refused",
    errors.QueueFull: "queue-full",
    errors.QueuePaused: "paused",
    errors.QueueStarting: "starting",
    errors.SourceBusy: "source-busy",
    errors.Stopping: "stopping",
    errors.NotOwner: "not-owner",
    errors.NoOwner: "no-owner",
    errors.Crowded: "overloaded",
    errors.LedgerUnavailable: "ledger-unavailable",
    errors.LedgerMoved: "ledger-unavailable",
    errors.LedgerLost: "ledger-lost",
    errors.LedgerCopied: "restored",
    errors.LedgerDamaged: "damaged",
    errors.OutcomeUnknown: "outcome-unknown",
    errors.LedgerFull: "ledger-full",
    **dict.fromkeys(
        (
            errors.IteratorError,
            errors.LedgerFault,
            errors.LedgerLocked,
            errors.LedgerMigrated,
            errors.LedgerUnfit,
            errors.LedgerForeign,
            errors.LedgerTooNew,
            errors.ConfigError,
        ),
        "internal",
    ),
}
BY_ERROR: Final = {error: BY_NAME[name] for error, name in _ERRORS.items()}


class RequestRefused(errors.DibsError):
    """A request that HTTP itself refuses, before any queue is asked; ``name`` is a row of the table."""

    def __init__(
        self,
        name: str,
        detail: str,
        *,
        field: str | None = None,
        limit: int | float | str | None = None,
        headers: Headers | None = None,
    ) -> None:
        super().__init__(detail)
        self.name = name
        self.field = field
        self.limit = limit
        self.headers = headers or []


def malformed(why: str, field: str | None = None) -> RequestRefused:
    """400: the request can't be read."""
    return RequestRefused("malformed", why, field=field)


def invalid(field: str, why: str, limit: int | float | str | None = None) -> RequestRefused:
    """422: a field, a parameter or a header is not what it should be."""
    return RequestRefused("invalid", f"{field}: {why}", field=field, limit=limit)


def over(field: str, why: str, limit: int | str) -> errors.LimitExceeded:
    """422 limit-exceeded; nothing was spent."""
    return errors.LimitExceeded(f"{field}: {why}", field=field, limit=limit)


def problem_of(error: errors.DibsError) -> Problem:
    """The row of an error: its own, or that of its nearest base class."""
    if isinstance(error, RequestRefused):
        return BY_NAME[error.name]
    if isinstance(error, errors.QueueConflict) and error.reason in BY_NAME:
        return BY_NAME[error.reason]
    for kind in type(error).__mro__:
        if kind in BY_ERROR:
            return BY_ERROR[kind]
    return BY_NAME["internal"]


def reply_to(error: errors.DibsError, **more: Any) -> Reply:
    """The problem answer for an error; ``more`` are further members."""
    fields = {**problem_fields(error), **more}
    headers = list(error.headers) if isinstance(error, RequestRefused) else []
    if fields["status"] == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b'Bearer realm="dibs"'))
    if "retry_after" in fields:
        headers.append((b"retry-after", b"%d" % fields["retry_after"]))
    return Reply.of_problem(fields, fields["status"], headers)


def problem_fields(error: errors.DibsError) -> dict[str, Any]:
    """An error as ``schemas.ProblemDetails``."""
    problem = problem_of(error)
    detail = problem.meaning if problem.name == "internal" else str(error)
    extra: dict[str, Any] = {
        name: value[:MAX_DETAIL] if isinstance(value, str) else value
        for name in ("field", "limit")
        if (value := getattr(error, name, None)) is not None
    }
    if isinstance(error, errors.QueueFailed):
        extra["cause"] = {"type": error.cause_type, "message": error.cause_message[:MAX_CAUSE]}
        extra["seq"] = error.seq
    if isinstance(error, errors.ResultRefused):
        extra["reason"] = error.reason
    fields = {
        "type": TYPE + problem.name,
        "title": problem.title,
        "status": problem.status,
        "detail": detail[:MAX_DETAIL] or HTTPStatus(problem.status).phrase,
        "handed_out": getattr(error, "handed_out", problem.handed_out),
        "retryable": problem.retryable,
        **extra,
    }
    wait = _retry_after(problem, error)
    return fields if wait is None else {**fields, "retry_after": wait}


def _retry_after(problem: Problem, error: errors.DibsError) -> int | None:
    if problem.retry_after is None:
        return None
    asked = getattr(error, "retry_after", None)
    return problem.retry_after if asked is None else max(1, ceil(asked))
