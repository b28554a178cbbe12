"""What the client raises: leaves of the tree in ``dibs.errors``.

::

    DibsError
    └── ClientError
        ├── Unreachable          no answer in time, however often it was asked; the last cause is told
        ├── UnexpectedAnswer     an answer that no dibs gives: a proxy, or another service
        │   └── StrangersAnswer  the answer to somebody else's request
        ├── ClientClosed         used after it was closed
        ├── ForkedClient         used in a child process, and it belongs to the parent
        ├── OtherLoop            used in another event loop than the one that it belongs to
        ├── WorkersDied          every process of a map was killed
        ├── JobSettled           settled already, and now in another way
        ├── ValueNotJson         a value that JSON can't carry
        └── ServerRefused        the server says no, in a problem (RFC 9457) that the error carries
            ├── QueueUnknown     no such queue
            ├── ItemUnknown      not drawn yet, or done
            ├── Exhausted        nothing more, ever
            ├── SourceFailed     the queue's source raised; carries its cause
            ├── QueueFull        back-pressure: too many items wait
            ├── Conflict         the queue's state or definition does not allow this
            ├── StaleLease       the lease has ended, or was settled
            ├── ResultRefused    a result's queue does not take it
            ├── Invalid          the request is wrong; names the field
            │   ├── LimitExceeded    over a limit; names that too
            │   └── KeyReused        the idempotency key belongs to another request
            ├── Forbidden        not allowed from here
            └── Unavailable      not now: paused, starting, going down, no room
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from ..errors import DibsError
from ..inert import inert

if TYPE_CHECKING:
    from .records import PushReport

TYPE: Final = "urn:dibs:problem:"


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """The server's own words (RFC 9457).

    ``name`` is the last part of its type, such as ``queue-full``. ``handed_out``: whether something may have
    been done all the same. ``retry_after`` is in seconds. ``members`` has everything that was sent, unknown
    members included.
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


class ClientError(DibsError):
    """The client can't do what was asked.

    ``pushed``: what a push had brought in before it failed; None where nothing was being pushed.
    """

    pushed: PushReport | None = None


class Unreachable(ClientError, ConnectionError):
    """No answer within ``patience``. ``__cause__`` is the last failure; whether it was done is not known.

    ``reached`` tells whether the server was spoken to at all.
    """

    def __init__(self, detail: str, *, reached: bool) -> None:
        super().__init__(detail)
        self.reached = reached

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), reached=self.reached), self.args, self.__dict__


class UnexpectedAnswer(ClientError):
    """An answer that no dibs gives. Is there a proxy between, or another service at this address?"""


class StrangersAnswer(UnexpectedAnswer):
    """The answer to somebody else's request: it names another queue or key. Its connection was closed.

    The request is asked again with its key, so nothing is lost by it; this is raised when that brought
    strangers' answers, too. Do several processes share a connection, or does a proxy mix them up?
    """


class ClientClosed(ClientError, RuntimeError):
    """Used after it was closed."""


class WorkersDied(ClientError):
    """Every process that worked for a ``map`` was killed. What they had in hand is handed out again."""


class ForkedClient(ClientError, RuntimeError):
    """Used in a forked child: a lease iterator or a job of the parent, or a transport that was given to it.

    What the parent has leased is the parent's to settle. A ``Client`` and its queues can be used in a child:
    it has connections and keys of its own.
    """


class OtherLoop(ClientError, RuntimeError):
    """Used in another event loop: a lease iterator, or a transport that was given to the client.

    An ``AsyncClient`` and its queues can be used in several loops: each has connections of its own.
    """


class JobSettled(ClientError, RuntimeError):
    """A job is settled once. Acked is not nacked."""


class ValueNotJson(ClientError, ValueError):
    """JSON can't carry it: NaN, a set, half a surrogate pair. Nothing was sent."""


class ServerRefused(ClientError):
    """The server says no. ``problem`` has its words; the other attributes are short ways to them."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(inert(f"{problem.name}: {problem.detail}", lines=True))
        self.problem = problem

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problem,), self.__dict__

    @property
    def field(self) -> str | None:
        """The parameter, field or header that is meant."""
        return self.problem.field

    @property
    def limit(self) -> int | float | str | None:
        """The limit that it missed."""
        return self.problem.limit

    @property
    def retryable(self) -> bool:
        """Whether sending the same again helps."""
        return self.problem.retryable

    @property
    def handed_out(self) -> Literal["no", "maybe"]:
        """``no``: nothing was done. ``maybe``: only the same request with the same key can tell."""
        return self.problem.handed_out

    @property
    def retry_after(self) -> float | None:
        """Seconds after which asking again helps."""
        return self.problem.retry_after


class QueueUnknown(ServerRefused, LookupError):
    """There is no queue of this name."""


class ItemUnknown(ServerRefused, LookupError):
    """There is no item of this seq inside: it is not drawn yet, or done."""


class Exhausted(ServerRefused):
    """The source has ended or the queue is closed, and nothing is left inside."""


class SourceFailed(ServerRefused):
    """The queue's source raised. It stays failed until it is retried."""

    @property
    def cause_type(self) -> str:
        """The name of the exception that the source raised."""
        return str(self._cause.get("type", ""))

    @property
    def cause_message(self) -> str:
        """What that exception said."""
        return str(self._cause.get("message", ""))

    @property
    def seq(self) -> int | None:
        """The seq that the source did not give."""
        seq = self.problem.members.get("seq")
        return seq if isinstance(seq, int) else None

    @property
    def _cause(self) -> Mapping[str, Any]:
        cause = self.problem.members.get("cause")
        return cause if isinstance(cause, dict) else {}


class QueueFull(ServerRefused):
    """Over the queue's ``max_ready``. Nothing was pushed."""


class Conflict(ServerRefused):
    """The queue's state or definition does not allow this; ``problem.name`` says which."""


class StaleLease(ServerRefused):
    """The lease has ended, or this was settled before. Nothing was changed."""


class ResultRefused(ServerRefused):
    """The queue of a result is unknown, closed or fed by a source. Nothing was changed."""


class Invalid(ServerRefused, ValueError):
    """The request is wrong; ``field`` names what."""


class LimitExceeded(Invalid):
    """Over or under a limit. Nothing was spent."""


class KeyReused(Invalid):
    """The idempotency key was first sent with another request."""


class Forbidden(ServerRefused, PermissionError):
    """Not allowed from here."""


class Unavailable(ServerRefused):
    """Not now: paused, starting, a slow source, a full disk, a server that goes down."""


BY_NAME: Final[Mapping[str, type[ServerRefused]]] = {
    "queue-unknown": QueueUnknown,
    "item-unknown": ItemUnknown,
    "exhausted": Exhausted,
    "source-failed": SourceFailed,
    "queue-full": QueueFull,
    "stale-lease": StaleLease,
    "result-refused": ResultRefused,
    "limit-exceeded": LimitExceeded,
    "body-too-large": LimitExceeded,
    "headers-too-large": LimitExceeded,
    "key-reused": KeyReused,
    "forbidden": Forbidden,
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
    """The error of a problem: by its name, else by its status (names may be added, statuses stay)."""
    kind = BY_NAME.get(problem.name) or _BY_STATUS.get(problem.status, ServerRefused)
    return kind(problem)
