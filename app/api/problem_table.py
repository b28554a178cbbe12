"""All problems in one table: the name of each, its status, its meaning; and which are answered where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

SERVER_ERROR: Final = 500


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
    Problem(
        "misdirected",
        421,
        "The request was passed on, but not by a server of the ledger that is served here. Nothing was done.",
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
        "More unfinished requests are coming than the server keeps (unfinished_bytes) or passes on.",
        retry_after=1,
    ),
    Problem("paused", 503, "An operator paused the queue.", retry_after=1),
    Problem("starting", 503, "The source is being replayed up to the cursor.", retry_after=1),
    Problem("source-busy", 503, "The source did not yield in time.", retry_after=1),
    Problem("stopping", 503, "The server is going down.", retry_after=1),
    Problem("not-ready", 503, "The server is not ready for requests.", retry_after=1),
    Problem(
        "not-owner",
        503,
        "Another server owns the ledger. A request that was passed on once is not passed on again.",
        retry_after=1,
    ),
    Problem(
        "no-owner",
        503,
        "No server owns the ledger at the moment, or the one that does can't be reached.",
        retry_after=1,
    ),
    Problem(
        "restored",
        503,
        "The ledger is a restored backup. Nothing is handed out until POST /accept says how to go on.",
        retry_after=5,
    ),
    Problem(
        "ledger-unavailable",
        503,
        "The disk or the database fails, and the server is trying it again.",
        retry_after=1,
    ),
    Problem(
        "ledger-lost",
        503,
        "The database has lost transactions that were told to callers. Its operator has to say how to go on.",
        retry_after=30,
    ),
    Problem(
        "damaged",
        503,
        "The ledger, or the answer kept under the key, is not what was written. The server's log has more.",
        retry_after=30,
    ),
    Problem(
        "outcome-unknown",
        503,
        "The request may be done: the server can't tell what is there. Send it again with its key.",
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

EVERYWHERE: Final = (
    "malformed",
    "unauthenticated",
    "too-many-tries",
    "forbidden",
    "not-acceptable",
    "head-timeout",
    "body-timeout",
    "body-too-large",
    "unsupported-media-type",
    "misdirected",
    "invalid",
    "headers-too-large",
    "internal",
    "not-implemented",
    "overloaded",
    "stopping",
    "not-owner",
    "no-owner",
)
"""What any operation may answer."""
QUEUES: Final = ("queue-unknown", "limit-exceeded")
"""What one on a queue may answer."""
LEDGER: Final = ("ledger-unavailable", "outcome-unknown", "ledger-full", "ledger-lost", "damaged", "restored")
"""What one may answer that writes, as all do that take a key."""
KEYS: Final = ("key-reused", "key-superseded", "limit-exceeded")
"""What one may answer that takes a key."""
