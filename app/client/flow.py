"""Flows: the logic of requests, written once as generators that yield the steps to be done.

A flow yields ``Send``, ``Sleep``, ``Listen`` or ``Gather``; the drivers (``threads.py``, ``aio.py``) do the
step and send its answer back in. So every rule stands in one place, for threads, for asyncio, and for tests
that turn the clock by hand.
"""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from ..iterators import fork
from .errors import (
    ClientError,
    ForkedClient,
    ServerRefused,
    StrangersAnswer,
    UnexpectedAnswer,
    Unreachable,
    refusal,
)
from .own_key import checked
from .problems import problem_of
from .text import decode

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

JSON: Final = "application/json"
NO_CONTENT: Final = 204
_SUCCESS: Final = range(200, 300)
_SERVER_ERROR: Final = 500
_FIRST_STEP: Final = 0.05
_LAST_STEP: Final = 2.0
_DOUBLINGS: Final = 10
_SHOWN: Final = 200
_UNKNOWN: Final = 5.0
"""Seconds for which a client tries to reach a server that it has never reached."""
_STRANGERS: Final = 3
"""Answers to other requests, each on another connection, after which one request is given up."""

log: Final = logging.getLogger("dibs.client")

PATIENT: Final = frozenset({"paused", "starting", "source-busy"})
"""Refusals of a queue that is well and only has nothing to hand out now."""
FULL: Final = frozenset({"queue-full"})


class Request(NamedTuple):
    """One request as bytes.

    ``wait``: seconds that the server may take on purpose, beside the timeout. ``within``: a shorter timeout,
    where a connection that hangs would cost more than asking again.
    """

    method: str
    path: str
    body: bytes = b""
    kind: str = JSON
    key: str | None = None
    wait: float = 0.0
    within: float | None = None


class Reply(NamedTuple):
    """One answer as bytes; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Lost(NamedTuple):
    """No answer came. ``reached``: the request may have been sent. ``aborted``: the client gave it up."""

    error: Exception
    reached: bool = True
    aborted: bool = False


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """A request and the reader of its answer.

    ``keyed``: it changes something, so it is sent with a key. ``whole``: the reader takes the ``Reply``, not
    what its JSON says.
    """

    request: Request
    read: Callable[[Any], T_co]
    keyed: bool = False
    whole: bool = False


# -- what a flow asks of its driver


class Send(NamedTuple):
    """Send a request; the answer is a ``Reply`` or ``Lost``. ``abortable``: closing need not wait for it."""

    request: Request
    abortable: bool = False


class Sleep(NamedTuple):
    """Wait for so many seconds."""

    seconds: float


class Bell(Protocol):
    """Tells of changes. A reader that looks first at ``rings`` and then at the state misses no change."""

    rings: int

    def ring(self) -> None:
        """Wake the listeners; any thread may call it."""


class Listen(NamedTuple):
    """Wait until the bell has rung since ``seen``, at most so many seconds."""

    bell: Bell
    seen: int
    seconds: float | None = None


class Gather(NamedTuple):
    """Give values to ``into`` until it returns True. The answer is False if there were no more values."""

    into: Callable[[Any], bool]


Effect = Send | Sleep | Listen | Gather
Flow = Generator[Effect, Any, T]


_strays: Final[list[object]] = []
"""Flows of the parent that came to a child: kept, since their ends would take locks of its threads."""


def stay(flow: Flow[Any], process: object) -> None:
    """Refuse to go on with a flow that was begun in ``process`` and finds itself in a child.

    A callback forked, and the child came back from it: both would send the same requests.
    """
    if fork.process() is not process:
        _strays.append(flow)
        raise ForkedClient(
            "this request belongs to the parent process, which goes on with it; this process is its child"
        )


# -- time and chance


@dataclass(frozen=True, slots=True)
class Tempo:
    """Time and chance, so that tests can hold both. ``clock``: monotonic seconds; ``chance``: from 0 to 1."""

    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    new_key: Callable[[], str] = field(default=lambda: str(uuid.uuid4()))

    def step(self, tries: int, asked: float | None) -> float:
        """Seconds until the next try: full jitter under a doubling bound, after what the server asked for.

        (Exponential Backoff And Jitter, AWS Architecture Blog, 2015.)
        """
        bound = min(_LAST_STEP, _FIRST_STEP * (1 << min(tries, _DOUBLINGS)))
        return (asked or 0.0) + self.chance() * bound


OnWait = Callable[[float, str], None]


class Contact:
    """Whether the server was ever reached; one for all flows of a client."""

    made = False


class Terms:
    """How long a flow sends a request again, and how it waits in between.

    ``on_wait`` is called before each such wait with its seconds and the reason.
    """

    def __init__(
        self,
        tempo: Tempo,
        patience: float,
        on_wait: OnWait | None = None,
        contact: Contact | None = None,
    ) -> None:
        self.tempo = tempo
        self.contact = contact or Contact()
        self.patience = patience
        self.on_wait = on_wait

    def deadline(self, began: float) -> float:
        """The time until which a request that was first sent at ``began`` is sent again."""
        return began + (self.patience if self.contact.made else min(self.patience, _UNKNOWN))

    def pause(self, seconds: float) -> Flow[None]:
        """Wait before the next try, after telling ``on_wait``."""
        yield Sleep(seconds)


class Aborted(ClientError):
    """A request was given up because its lease iterator is being closed. It never leaves the client.

    ``reached``: the server may have received the request.
    """

    def __init__(self, *, reached: bool) -> None:
        super().__init__("given up")
        self.reached = reached


# -- one request, until it is answered


def persist(
    call: Call[T],
    terms: Terms,
    *,
    key: str | None = None,
    endless: frozenset[str] = frozenset(),
    vain: Callable[[ServerRefused], bool] = lambda _: False,
    abortable: bool = False,
) -> Flow[T]:
    """Send a request until it is answered, always with the same key, and read its answer.

    The request is sent again if the reply is lost or says that this helps. ``endless`` names the refusals
    that count as answers: the time of such answers is no part of the patience. ``vain`` says whether sending
    the same request again can't help after a refusal, whatever the refusal says.

    Raises:
        TypeError, ValueError: The key can't be one.
        ServerRefused: One of its kinds.
        Unreachable: No answer within the patience.
        UnexpectedAnswer: The answer is not one of dibs, or again and again another request's.
    """
    tempo = terms.tempo
    request = _keyed(call.request, key, tempo) if call.keyed else call.request
    began, tries, reached, quiet = tempo.clock(), 0, False, terms.on_wait is not None
    strangers = 0
    while True:
        answer: Reply | Lost = yield Send(request, abortable)
        if not isinstance(answer, Lost) or (answer.reached and not answer.aborted):
            terms.contact.made = True
        failure = answer if isinstance(answer, Lost) else _failure(answer)
        if failure is None:
            assert isinstance(answer, Reply)  # noqa: S101
            return _read(call, answer)
        reached = reached or not isinstance(failure, Lost) or failure.reached
        if isinstance(failure, Lost) and failure.aborted:
            raise Aborted(reached=reached)
        if isinstance(failure, Lost) and isinstance(failure.error, StrangersAnswer):
            strangers += 1
            if strangers >= _STRANGERS:
                raise failure.error
        if isinstance(failure, ServerRefused):
            if vain(failure):
                raise failure
            if failure.problem.name in endless:
                began, tries = tempo.clock(), 0
        pause = tempo.step(tries, getattr(failure, "retry_after", None))
        if tempo.clock() + pause >= terms.deadline(began):
            raise _given_up(failure, request, reached)
        if terms.on_wait is not None:
            terms.on_wait(pause, _why(failure))
        if not quiet and getattr(getattr(failure, "problem", None), "name", None) not in endless:
            log.warning(
                "%s %s is sent again until it is answered: %s", request.method, request.path, _why(failure)
            )
            quiet = True
        yield from terms.pause(pause)
        tries += 1


def _keyed(request: Request, key: str | None, tempo: Tempo) -> Request:
    """The request with a key of the caller's own, or with a new one."""
    return request._replace(key=tempo.new_key() if key is None else checked(key))


def _failure(reply: Reply) -> ServerRefused | UnexpectedAnswer | None:
    """The reason to send the request again; None for an answer. A refusal that no retry helps is raised."""
    if reply.status in _SUCCESS:
        return None
    problem = problem_of(reply.body, reply.headers)
    if problem is None:
        strange = UnexpectedAnswer(f"{reply.status} with {reply.body[:_SHOWN]!r}: not an answer of dibs")
        if reply.status < _SERVER_ERROR:
            raise strange
        return strange
    refused = refusal(problem)
    if not problem.retryable:
        raise refused
    return refused


def _given_up(
    failure: Lost | ServerRefused | UnexpectedAnswer, request: Request, reached: bool
) -> ClientError:
    if not isinstance(failure, Lost):
        return failure
    if isinstance(failure.error, StrangersAnswer):
        return failure.error
    what = f"{request.method} {request.path} was not answered: {_why(failure)}"
    error = Unreachable(what, reached=reached)
    error.__cause__ = failure.error
    return error


def _why(failure: Lost | ClientError) -> str:
    if not isinstance(failure, Lost):
        return str(failure)
    error = failure.error
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _read(call: Call[T], reply: Reply) -> T:
    try:
        if call.whole:
            return call.read(reply)
        return call.read(None if reply.status == NO_CONTENT else decode(reply.body))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UnexpectedAnswer(
            f"{reply.status} with {reply.body[:_SHOWN]!r}: not an answer of dibs"
        ) from error
