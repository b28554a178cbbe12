"""One request, until it is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NoReturn, TypeVar

from .errors import ClientError, ServerRefused, StrangersAnswer, UnexpectedAnswer, Unreachable, refusal
from .flow import Aborted, Call, Flow, Lost, Reply, Request, Send, Terms, log
from .keys import Key
from .problems import problem_of
from .text import decode

T = TypeVar("T")

NO_CONTENT: Final = 204
_SUCCESS: Final = range(200, 300)
_SERVER_ERROR: Final = 500
_SHOWN: Final = 200
_STRANGERS: Final = 3
"""Answers to other requests, each on another connection, after which one request is given up."""

PATIENT: Final = frozenset({"paused", "starting", "source-busy"})
"""Refusals of a queue that is well and only has nothing to hand out now."""
FULL: Final = frozenset({"queue-full"})

Failure = Lost | ServerRefused | UnexpectedAnswer


def persist(
    call: Call[T],
    terms: Terms,
    *,
    key: Key | None = None,
    endless: frozenset[str] = frozenset(),
    vain: Callable[[ServerRefused], bool] = lambda _: False,
    abortable: bool = False,
) -> Flow[T]:
    """Send a request until it is answered, always with the same key, and read its answer.

    The request is sent again if the reply is lost or says that this helps. Without a ``key`` one of the
    client's sessions is taken for it. ``endless`` names the refusals that count as answers: the time of such
    answers is no part of the patience. ``vain`` says whether sending the same request again can't help after
    a refusal, whatever the refusal says.

    Raises:
        ServerRefused: One of its kinds.
        Unreachable: No answer within the patience.
        UnexpectedAnswer: The answer is not one of dibs, or again and again another request's.
    """
    if call.keyed and key is None:
        if call.request.method == "POST":
            with terms.sessions.lent() as counted:
                again = persist(call, terms, key=counted, endless=endless, vain=vain, abortable=abortable)
                return (yield from again)
        key = Key(terms.tempo.new_key())
    request = call.request._replace(key=key)
    tries = _Tries(request, terms, endless, vain)
    while True:
        answer = yield Send(request, abortable)
        failure = tries.failure(answer)
        if failure is None:
            return _read(call, answer)
        yield from terms.pause(tries.pause(failure))


class _Tries:
    """The tries of one request: whether to send it again, and when."""

    def __init__(
        self, request: Request, terms: Terms, endless: frozenset[str], vain: Callable[[ServerRefused], bool]
    ) -> None:
        self._request = request
        self._terms = terms
        self._endless = endless
        self._vain = vain
        self._began = terms.tempo.clock()
        self._tries = 0
        self._strangers = 0
        self._reached = False
        self._warned = terms.on_wait is not None

    def failure(self, answer: Reply | Lost) -> Failure | None:
        """The reason to send the request again; None for an answer. What no repeat helps is raised."""
        terms = self._terms
        if isinstance(answer, Reply):
            terms.contact.made = self._reached = True
            if self._request.key is not None and self._request.key.n:
                terms.sessions.counted = "idempotency-sequence" in answer.headers
            return _failure(answer)
        self._reached = self._reached or answer.reached
        if answer.aborted:
            raise Aborted(reached=self._reached)
        terms.contact.made = terms.contact.made or answer.reached
        if isinstance(answer.error, StrangersAnswer):
            self._strangers += 1
            if self._strangers >= _STRANGERS:
                raise answer.error
        return answer

    def pause(self, failure: Failure) -> float:
        """Seconds until the next try; the failure is raised where there is none."""
        terms, clock, endless, asked = self._terms, self._terms.tempo.clock, False, None
        if isinstance(failure, ServerRefused):
            if self._vain(failure):
                raise failure
            endless, asked = failure.problem.name in self._endless, failure.retry_after
        if endless:
            self._began, self._tries = clock(), 0
        pause = terms.tempo.step(self._tries, asked)
        if clock() + pause >= terms.deadline(self._began):
            self._give_up(failure)
        self._tries += 1
        if terms.on_wait is not None:
            terms.on_wait(pause, _why(failure))
        elif not self._warned and not endless:
            self._warned = True
            method, path = self._request.method, self._request.path
            log.warning("%s %s is sent again until it is answered: %s", method, path, _why(failure))
        return pause

    def _give_up(self, failure: Failure) -> NoReturn:
        if not isinstance(failure, Lost):
            raise failure
        if isinstance(failure.error, StrangersAnswer):
            raise failure.error
        what = f"{self._request.method} {self._request.path} was not answered: {_why(failure)}"
        raise Unreachable(what, reached=self._reached) from failure.error


def _failure(reply: Reply) -> ServerRefused | UnexpectedAnswer | None:
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
