"""The errors of the client: leaves of the tree in ``dibs.errors``.

::

    DibsError
    └── ClientError
        ├── Unreachable          no answer in time, in spite of retries; it names the last cause
        ├── UnexpectedAnswer     an answer that no dibs gives: a proxy, or another service
        │   └── StrangersAnswer  the answer to somebody else's request
        ├── ClientClosed         used after it was closed
        ├── ForkedClient         used in a child process, although it belongs to the parent
        ├── OtherLoop            used in another event loop than its own
        ├── WorkersDied          every process of a map was killed
        ├── JobSettled           settled already, and now in another way
        ├── ValueNotJson         a value that JSON can't carry
        └── ServerRefused        the server says no, in a problem (RFC 9457) that the error carries
            ├── QueueUnknown     no such queue
            ├── ItemUnknown      not drawn yet, or done
            ├── TokenUnknown     no such access token
            ├── Exhausted        nothing more, ever
            ├── SourceFailed     the queue's source raised; carries its cause
            ├── QueueFull        back-pressure: too many items wait
            ├── Conflict         the queue's state or definition does not allow this
            ├── StaleLease       the lease has ended, or was settled
            ├── ResultRefused    a result's queue does not take it
            ├── Invalid          the request is wrong; names the field
            │   ├── LimitExceeded    over a limit; names that too
            │   └── KeyReused        the idempotency key belongs to another request
            ├── KeySuperseded    a later request of the key's session has been answered
            ├── Unauthenticated  no token, or none that is valid there
            ├── Forbidden        not allowed from here, or not to this token's owner
            └── Unavailable      not now: paused, starting, going down, no room
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, Literal

from ..errors import DibsError
from ..inert import inert
from .records import PushReport

TYPE: Final = "urn:dibs:problem:"


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """The server's own words (RFC 9457).

    ``name`` is the last part of its type, such as ``queue-full``. ``handed_out`` says whether something may
    have been done all the same. ``retry_after`` is in seconds. ``members`` has everything that the server
    sent, unknown members included.
    """

    name: str
    status: int
    detail: str
    handed_out: Literal["no", "maybe"] = "maybe"
    retryable: bool = False
    field: str | None = None
    limit: int | float | str | None = None
    retry_after: float | None = None
    members: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, answer: Any, retry_after: str = "") -> Problem | None:
        """Read an answer, and its header ``Retry-After``; None: it is no problem of dibs."""
        if not isinstance(answer, dict) or not str(answer.get("type", "")).startswith(TYPE):
            return None
        after = answer.get("retry_after")
        if after is None and retry_after.isdecimal():
            after = retry_after
        return cls(
            answer["type"].removeprefix(TYPE),
            int(answer.get("status", 0)),
            str(answer.get("detail", "")),
            "no" if answer.get("handed_out") == "no" else "maybe",
            answer.get("retryable") is True,
            answer.get("field"),
            answer.get("limit"),
            None if after is None else float(after),
            answer,
        )


class ClientError(DibsError):
    """The client can't do what its caller wants.

    ``pushed`` tells what a push had brought in before it failed; it is None for other calls.
    """

    pushed: PushReport | None = None


class Unreachable(ClientError, ConnectionError):
    """No answer came within ``patience``. ``__cause__`` is the last failure. The request may have been done.

    ``reached`` tells whether the client ever had a connection to the server.
    """

    def __init__(self, detail: str, *, reached: bool) -> None:
        super().__init__(detail)
        self.reached = reached

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), reached=self.reached), self.args, self.__dict__


class UnexpectedAnswer(ClientError):
    """The answer is not one of dibs. Is there a proxy in between, or another service at this address?"""


class StrangersAnswer(UnexpectedAnswer):
    """The answer belongs to another request: it names another queue or key. Its connection was closed.

    The client sends the request again with its key, so nothing is lost; this is raised when the answers to
    that were strangers', too. Do several processes share a connection, or does a proxy mix connections up?
    """


class ClientClosed(ClientError, RuntimeError):
    """The client was used after it was closed."""


class WorkersDied(ClientError):
    """Every process that worked for a ``map`` was killed. Their items are handed out again."""


class ForkedClient(ClientError, RuntimeError):
    """A forked child used a lease iterator, a job or a given transport that belongs to its parent.

    Only the parent can settle what it has leased. A ``Client`` and its queues can be used in a child:
    it has connections and keys of its own.
    """


class OtherLoop(ClientError, RuntimeError):
    """A lease iterator, or a transport given to the client, was used in another event loop than its own.

    An ``AsyncClient`` and its queues can be used in several loops: each has connections of its own.
    """


class JobSettled(ClientError, RuntimeError):
    """The job was settled in another way before: an acked job can't be nacked."""


class ValueNotJson(ClientError, ValueError):
    """JSON can't carry the value: NaN, a set, half a surrogate pair. Nothing was sent."""


class ServerRefused(ClientError):
    """The server refused the request.

    Attributes:
        problem: The server's own words.
        field: The parameter, field or header that was refused.
        limit: The limit that the field is over or under.
        retryable: Whether sending the same request again helps.
        handed_out: ``no``: nothing was done. ``maybe``: only the same request with the same key can tell.
        retry_after: Seconds after which to send the request again.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(inert(f"{problem.name}: {problem.detail}", lines=True))
        self.problem = problem
        self.field, self.limit = problem.field, problem.limit
        self.retryable, self.retry_after = problem.retryable, problem.retry_after
        self.handed_out = problem.handed_out

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problem,), self.__dict__


class QueueUnknown(ServerRefused, LookupError):
    """There is no queue of this name."""


class ItemUnknown(ServerRefused, LookupError):
    """There is no item of this seq inside: it is not drawn yet, or done."""


class TokenUnknown(ServerRefused, LookupError):
    """The server has no access token of this id."""


class Exhausted(ServerRefused):
    """The queue is exhausted: its source has ended or it is closed, and no item is left inside."""


class SourceFailed(ServerRefused):
    """The queue's source raised. The queue stays failed until it is retried.

    ``cause_type`` and ``cause_message`` tell what it raised, ``seq`` is the one that it did not give.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        cause, seq = problem.members.get("cause"), problem.members.get("seq")
        cause = cause if isinstance(cause, dict) else {}
        self.cause_type, self.cause_message = str(cause.get("type", "")), str(cause.get("message", ""))
        self.seq = seq if isinstance(seq, int) else None


class QueueFull(ServerRefused):
    """More items would wait than the queue's ``max_ready`` allows. Nothing was pushed."""


class Conflict(ServerRefused):
    """The queue's state or definition does not allow this; ``problem.name`` says which."""


class StaleLease(ServerRefused):
    """The lease has ended, or its items were settled before. Nothing was changed."""


class ResultRefused(ServerRefused):
    """The queue of a result is unknown, closed or fed by a source. Nothing was changed."""


class Invalid(ServerRefused, ValueError):
    """The request is wrong; ``field`` names the wrong part."""


class LimitExceeded(Invalid):
    """A value is over or under its limit. Nothing was spent."""

    @property
    def most(self) -> int:
        """The number that the limit allows at most; 0: it tells none."""
        return int(self.longest)

    @property
    def longest(self) -> float:
        """The seconds that the limit allows at most; 0: it tells none."""
        try:
            return float(str(self.limit).rpartition("..")[2])
        except ValueError:
            return 0.0


class KeyReused(Invalid):
    """The idempotency key was first sent with another request."""


class KeySuperseded(ServerRefused):
    """A later request of the key's session was answered: nobody knows any more what became of this one.

    A client never sends such a request by itself; a copy of its process, or of its machine, does.
    """


class Unauthenticated(ServerRefused, PermissionError):
    """The server asks for a token, and the client shows none that is valid there."""


class Forbidden(ServerRefused, PermissionError):
    """The server does not allow the request from here, or not to the owner of the token."""


class Unavailable(ServerRefused):
    """The queue can't serve now: it is paused or starting, its source is slow, or the disk is full."""


BY_NAME: Final[Mapping[str, type[ServerRefused]]] = {
    "queue-unknown": QueueUnknown,
    "item-unknown": ItemUnknown,
    "token-unknown": TokenUnknown,
    "exhausted": Exhausted,
    "source-failed": SourceFailed,
    "queue-full": QueueFull,
    "stale-lease": StaleLease,
    "result-refused": ResultRefused,
    "limit-exceeded": LimitExceeded,
    "body-too-large": LimitExceeded,
    "headers-too-large": LimitExceeded,
    "key-reused": KeyReused,
    "key-superseded": KeySuperseded,
    "forbidden": Forbidden,
    "unauthenticated": Unauthenticated,
    "too-many-tries": Unauthenticated,
}
_BY_STATUS: Final[Mapping[int, type[ServerRefused]]] = {
    400: Invalid,
    409: Conflict,
    422: Invalid,
    429: QueueFull,
    503: Unavailable,
    507: Unavailable,
}


def refusal(problem: Problem) -> ServerRefused:
    """The error for a problem: by its name, else by its status (names may be added, statuses stay)."""
    kind = BY_NAME.get(problem.name) or _BY_STATUS.get(problem.status, ServerRefused)
    return kind(problem)
