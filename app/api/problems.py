"""All problems in one table: the name of each, its status, its meaning, and the errors that lead to it.

An answer that is not 2xx is ``application/problem+json`` (RFC 9457) with the members of ``Problem`` and,
where they are meant, ``field`` and ``limit``, ``cause`` and ``seq``, ``retry_after``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from typing import Any, Final, Literal

from .. import errors
from .reply import Headers, Reply

TYPE: Final = "urn:dibs:problem:"
MAX_CAUSE: Final = 4096
SERVER_ERROR: Final = 500
MAX_DETAIL: Final = 1024
"""Characters of a detail and of a field's name, where a message did not cut what was sent."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of refusal.

    ``retry_after`` (seconds) is what Retry-After says when the error knows no better; None: it says nothing.
    """

    name: str
    status: int
    meaning: str
    handed_out: Literal["no", "maybe"] = "no"
    retry_after: int | None = None

    @property
    def retryable(self) -> bool:
        """Whether sending the same again helps: the cause passes, or the outcome is to be asked for."""
        return self.retry_after is not None or (self.handed_out == "maybe" and self.status >= SERVER_ERROR)

    @property
    def title(self) -> str:
        """The title, the same for every answer of this kind, as RFC 9457 demands."""
        return self.meaning.split(".")[0].split(":")[0]


PROBLEMS: Final = (
    Problem("malformed", 400, "The request can't be read: not HTTP, not UTF-8, or its body is not JSON."),
    Problem("unauthenticated", 401, "The server asks for a token, and the request has none that is valid."),
    Problem(
        "forbidden",
        403,
        "The request is not allowed: a role is missing, a prefetch, another site's page, an unknown Host.",
    ),
    Problem("not-found", 404, "There is nothing at this path."),
    Problem("queue-unknown", 404, "There is no queue of this name."),
    Problem("token-unknown", 404, "There is no access token of this id."),
    Problem("item-unknown", 404, "The item is not inside the queue: not drawn or pushed yet, or done."),
    Problem("method-not-allowed", 405, "The path does not take this method. Allow names those it takes."),
    Problem("not-acceptable", 406, "The server can't answer with any of the types in Accept."),
    Problem("head-timeout", 408, "The request's line and headers did not come in time.", retry_after=1),
    Problem("body-timeout", 408, "The body stopped coming.", retry_after=1),
    Problem("conflict", 409, "The queue's state or definition does not allow this."),
    Problem("not-empty", 409, "This would drop the items inside the queue: confirm it by the queue's name."),
    Problem(
        "source-changed",
        409,
        "The source is not the one that the cursor was counted on. Delete the queue, or reset it.",
    ),
    Problem(
        "source-failed",
        409,
        "The source raised. Cause and seq are shown; the queue stays failed until it is retried.",
    ),
    Problem("not-arithmetic", 409, "Blocks need a source that counts."),
    Problem(
        "exhausted",
        410,
        "The queue is exhausted: its source has ended or it is closed, and no item is left inside.",
    ),
    Problem(
        "stale-lease",
        409,
        "The token holds none of these items: its lease ended, or they were settled. Nothing was changed.",
    ),
    Problem(
        "result-refused", 409, "The queue that a result goes to does not take it. The lease is untouched."
    ),
    Problem(
        "key-superseded",
        409,
        "A later request of the key's session (Idempotency-Sequence) has been answered.",
        handed_out="maybe",
    ),
    Problem("source-fed", 409, "A source feeds the queue, so nobody can push to it."),
    Problem("closed", 409, "The queue is closed: it takes nothing more."),
    Problem("body-too-large", 413, "The body is over its limit; it was not read further."),
    Problem(
        "unsupported-media-type",
        415,
        "The body is of another type than application/json, or it is encoded (Content-Encoding).",
    ),
    Problem("invalid", 422, "A parameter or field is missing, unknown, repeated or wrong."),
    Problem("limit-exceeded", 422, "A value is over or under its limit. Nothing was spent."),
    Problem("key-reused", 422, "The idempotency key was first sent with another request."),
    Problem("source-unknown", 422, "There is no such source, or it can't be named over HTTP."),
    Problem("source-invalid", 422, "A source's argument is missing, unknown or out of range."),
    Problem("value-refused", 422, "JSON can't carry the value, or it is over its limit."),
    Problem(
        "queue-full",
        429,
        "As many items wait as the queue's max_ready allows. The request pushed nothing.",
        retry_after=1,
    ),
    Problem(
        "too-many-tries",
        429,
        "Too many wrong tokens came from this address. Nothing was done.",
        retry_after=6,
    ),
    Problem(
        "headers-too-large", 431, "The request's line and headers, or its trailers, are over their limit."
    ),
    Problem(
        "internal",
        500,
        "The server has a fault; its log has the cause. Sending the request again with its key is safe.",
        handed_out="maybe",
    ),
    Problem("not-implemented", 501, "The server has no tunnels, and no Transfer-Encoding but chunked."),
    Problem(
        "overloaded",
        503,
        "More unfinished requests are coming than the server keeps (unfinished_bytes). Ask again.",
        retry_after=1,
    ),
    Problem("paused", 503, "An operator paused the queue.", retry_after=1),
    Problem("starting", 503, "The source is being replayed up to the cursor.", retry_after=1),
    Problem("source-busy", 503, "The source did not yield in time.", retry_after=1),
    Problem("stopping", 503, "The server is going down.", retry_after=1),
    Problem("not-ready", 503, "The server is not ready for requests.", retry_after=1),
    Problem(
        "restored",
        503,
        "The ledger is a restored backup. Nothing is handed out until POST /accept says how to go on.",
        retry_after=5,
    ),
    Problem("ledger-unavailable", 503, "The disk fails, or the server is trying it again.", retry_after=1),
    Problem(
        "damaged",
        503,
        "The ledger, or the answer kept under the key, is not what was written. The server's log has more.",
        retry_after=30,
    ),
    Problem(
        "outcome-unknown",
        503,
        "The request may be done: the server can't tell what is on disk. Send it again with its key.",
        handed_out="maybe",
        retry_after=1,
    ),
    Problem(
        "ledger-full",
        507,
        "The disk is full. The server goes on by itself when there is room.",
        retry_after=5,
    ),
)

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
    errors.LedgerUnavailable: "ledger-unavailable",
    errors.LedgerCopied: "restored",
    errors.LedgerDamaged: "damaged",
    errors.OutcomeUnknown: "outcome-unknown",
    errors.LedgerFull: "ledger-full",
    **dict.fromkeys(
        (
            errors.IteratorError,
            errors.LedgerFault,
            errors.LedgerLocked,
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
