"""One request, until it is answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NoReturn, TypeVar

from .errors import (
    ClientError,
    Problem,
    ServerRefused,
    StrangersAnswer,
    UnexpectedAnswer,
    Unreachable,
    refusal,
)
from .flow import Aborted, Call, Flow, Lost, Reply, Request, Send, Terms, log
from .keys import Key, Sessions
from .text import decode

T = TypeVar("T")

NO_CONTENT: Final = 204
_SUCCESS: Final = range(200, 300)
_SERVER_ERROR: Final = 500
_SHOWN: Final = 200
_STRANGERS: Final = 3
"""Answers to other requests, each on another connection, after which one request is given up."""

PATIENT: Final = frozenset({"paused", "starting", "source-busy", "restored"})
"""Refusals of a queue that is well and only has nothing to hand out now, or until an operator says so."""
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

    The request is sent again if the reply is lost or says that this helps. The patience of ``terms`` begins
    with the first failure: a server that stops in the middle of a long wait is waited for as any other.
    Without a ``key`` one of the client's sessions is taken for it. ``endless`` names the refusals that count
    as answers: the time of such answers is no part of the patience. ``vain`` says whether sending the same
    request again can't help after a refusal, whatever the refusal says.

    Raises:
        ServerRefused: One of its kinds.
        Unreachable: No answer within the patience.
        UnexpectedAnswer: The answer is not one of dibs, or again and again another request's.
    """
    with _key_for(call, key, terms.sessions) as used:
        request = call.request._replace(key=used)
        tries = _Tries(request, terms, endless, vain, terms.tempo.clock(), warned=terms.on_wait is not None)
        while True:
            answer = yield Send(request, abortable)
            failure = tries.failure(answer)
            if failure is None:
                return _read(call, answer)
            yield from terms.pause(tries.pause(failure))


@contextmanager
def _key_for(call: Call[T], given: Key | None, sessions: Sessions) -> Iterator[Key | None]:
    """The key of a request: a given one, one of its own, or one of a session; None: it needs none."""
    if given is not None or not call.keyed:
        yield given
    elif call.request.method != "POST":
        yield Key(sessions.new_key())
    else:
        with sessions.lent() as key:
            yield key


@dataclass(slots=True)
class _Tries:
    """The tries of one request: whether to send it again, and when. ``said``: the last refusal of it."""

    request: Request
    terms: Terms
    endless: frozenset[str]
    vain: Callable[[ServerRefused], bool]
    began: float
    tries: int = 0
    strangers: int = 0
    reached: bool = False
    warned: bool = False
    said: str = ""

    def failure(self, answer: Reply | Lost) -> Failure | None:
        """The reason to send the request again; None for an answer. What no repeat helps is raised."""
        terms = self.terms
        if isinstance(answer, Reply):
            terms.contact.made = self.reached = True
            if self.request.key is not None and self.request.key.n and "idempotency-key" in answer.headers:
                terms.sessions.counted = "idempotency-sequence" in answer.headers  # no word of a proxy's
            return failure_of(answer)
        self.reached = self.reached or answer.reached
        if answer.aborted:
            raise Aborted(reached=self.reached)
        terms.contact.made = terms.contact.made or answer.reached
        if isinstance(answer.error, StrangersAnswer):
            self.strangers += 1
            if self.strangers >= _STRANGERS:
                raise answer.error
        return answer

    def pause(self, failure: Failure) -> float:
        """Seconds until the next try; the failure is raised where there is none."""
        terms, clock, endless, asked = self.terms, self.terms.tempo.clock, False, None
        if isinstance(failure, ServerRefused):
            if self.vain(failure):
                raise failure
            self.said = str(failure)
            endless, asked = failure.problem.name in self.endless, failure.retry_after
        if endless or (self.tries == 0 and terms.contact.made):
            self.began, self.tries = clock(), 0
        pause = terms.tempo.step(self.tries, asked)
        if clock() + pause >= terms.deadline(self.began):
            self._give_up(failure)
        self.tries += 1
        if terms.on_wait is not None:
            terms.on_wait(pause, _why(failure))
        elif not self.warned and not endless:
            self.warned = True
            log.warning("%s is sent again until it is answered: %s", self.request, _why(failure))
        return pause

    def _give_up(self, failure: Failure) -> NoReturn:
        if not isinstance(failure, Lost):
            raise failure
        if isinstance(failure.error, StrangersAnswer):
            raise failure.error
        before = f"; before that the server said: {self.said}" if self.said else ""
        what = f"{self.request} was not answered: {_why(failure)}{before}"
        raise Unreachable(what, reached=self.reached) from failure.error


def failure_of(reply: Reply) -> ServerRefused | UnexpectedAnswer | None:
    """Why an answer is none, though asking again may help; None where it is one.

    Raises:
        ServerRefused, UnexpectedAnswer: Asking again does not help.
    """
    if reply.status in _SUCCESS:
        return None
    try:
        problem = Problem.of(decode(reply.body), reply.headers.get("retry-after", ""))
    except ValueError:
        problem = None
    failure = _strange(reply) if problem is None else refusal(problem)
    helps = reply.status >= _SERVER_ERROR if problem is None else problem.retryable
    if not helps:
        raise failure
    return failure


def _strange(reply: Reply) -> UnexpectedAnswer:
    return UnexpectedAnswer(f"{reply.status} with {reply.body[:_SHOWN]!r}: not an answer of dibs")


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
        raise _strange(reply) from error
