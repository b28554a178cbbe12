"""From requests to effects: every attempt of one key is one story, with one effect at most.

When did a request take effect? A reply shows that it was between sending the request and the reply, and a
replay narrows or widens that:

- an answer that is no replay took effect by its own request, and before any other reply that repeats it;
- where only replays arrived, one of the earlier requests without a reply did it: the time goes from the
  first of those to the first replay;
- a request without a reply, and without an answer to its key later, may have taken effect at any time after
  it was sent, or never. If a *later* request of its key was refused with nothing handed out, then nothing
  had been (the key is looked up first); but the first may have come late, so an item is not proved lost
  while such a request could own it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from .records import Exchange, Exchanged, Line, Note, Outcome, Push, Pushed, Request, Sighting, Take, Taken

LONG_AGO = -(1 << 63)
"""Before every time: nothing says when it began."""

A = TypeVar("A")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, eq=False)
class Done(Generic[A, R]):
    """A request that took effect once, after ``since`` and before ``until``.

    Its entries may have been settled before that, after ``sent``: see `Story.effects`.
    """

    request: Request[A, Any]
    answer: R
    since: int
    until: int
    sent: int

    def seen(self) -> Sighting:
        """The effect as a finding names it."""
        since = None if self.since == LONG_AGO else self.since
        return self.request.seen()._replace(invoked=since, completed=self.until)


@dataclass(frozen=True, slots=True, eq=False)
class Open(Generic[A]):
    """A request whose reply never came: it took effect after ``since``, or never.

    ``most``: how many items may have been handed out. ``refused``: a later request of its key was told that
    nothing was.
    """

    request: Request[A, Any]
    since: int
    most: int
    refused: bool


@dataclass(slots=True)
class Effects(Generic[A, R]):
    """The effects of all requests of a kind, and those requests that may have had further ones."""

    done: list[Done[A, R]] = field(default_factory=list)
    open: list[Open[A]] = field(default_factory=list)


class Story:
    """All attempts of one key, where it was not answered at once."""

    def __init__(self, attempts: Sequence[Request[Any, Any]]) -> None:
        self.attempts = attempts
        self.lost = [one for one in attempts if one.outcome is Outcome.UNKNOWN]
        self.begun = [one for one in attempts if one.outcome is Outcome.UNKNOWN or _half(one)]
        self.answered = sorted((one for one in attempts if one.answer is not None), key=lambda a: a.completed)
        self.fresh = [one for one in self.answered if not one.replay]

    @property
    def anchor(self) -> Request[Any, Any]:
        """The answer that others have to repeat; there must be one."""
        return (self.fresh or self.answered)[0]

    @property
    def earlier(self) -> list[Request[Any, Any]]:
        """The attempts that may have taken effect where there are only replays: a lost one, if any was."""
        anchor = self.anchor
        sent = [one for one in self.attempts if one is not anchor and one.invoked <= anchor.completed]
        return [one for one in sent if one.outcome is Outcome.UNKNOWN] or sent

    def effects(self) -> Iterator[Done[Any, Any]]:
        """The effects under this key: one, or the key was spent twice.

        A settling whose lease had to wait is filed before it has one: if the server dies then, or is refused
        the lease by its database, a repeat is told what came of its entries and given a lease, which is new,
        so the answer is not marked as replay.
        """
        sent = [one.invoked for one in self.begun]
        for one in self.fresh:
            repeats = (a.completed for a in self.answered if a.replay and told(a) == told(one))
            until = min((at for at in repeats if at >= one.invoked), default=one.completed)
            yield Done(one, one.answer, one.invoked, min(until, one.completed), min([one.invoked, *sent]))
        if self.answered and not self.fresh:
            since = min((one.invoked for one in self.earlier), default=LONG_AGO)
            yield Done(self.anchor, self.anchor.answer, since, self.anchor.completed, since)

    def left_open(self) -> Iterator[Open[Any]]:
        """The request that may have taken effect, where none was answered.

        It is refused if a request that was sent after all replies were lost was told that nothing happened.
        """
        if self.begun and not self.answered:
            first = min(self.begun, key=lambda one: one.invoked)
            gave_up = max(one.completed for one in self.begun)
            refused = any(one.outcome is Outcome.FAILED and one.invoked > gave_up for one in self.attempts)
            yield Open(first, first.invoked, max((one.asked.most for one in self.lost), default=0), refused)


def _half(request: Request[Any, Any]) -> bool:
    """Whether its entries may have been settled all the same: the refusal of a lease says nothing of them."""
    asked = request.asked
    refused = request.outcome is Outcome.FAILED and request.key is not None
    return refused and isinstance(asked, Exchange) and bool(asked.entries) and asked.most > 0


def told(request: Request[Any, Any]) -> object:
    """The part of a request's answer that a replay repeats: all but durations, which count from the reply."""
    answer = request.answer
    if not isinstance(answer, Exchanged):
        return answer
    outcomes = tuple(tuple(came[:3] for came in entry) for entry in answer.outcomes)
    lease = answer.lease
    return outcomes, lease and (lease.token, lease.seqs, lease.values, lease.attempts)


@dataclass(slots=True)
class Folded:
    """The effects of a whole history. ``stories`` has the keys that were not answered at once."""

    takes: Effects[Take, Taken] = field(default_factory=Effects)
    pushes: Effects[Push, Pushed] = field(default_factory=Effects)
    exchanges: Effects[Exchange, Exchanged] = field(default_factory=Effects)
    stories: list[Story] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def fold(lines: Iterable[Line]) -> Folded:
    """Join the requests of each key. Requests without a key stand alone."""
    folded = Folded()
    keys: dict[object, list[Request[Any, Any]]] = {}
    for number, line in enumerate(lines):
        if isinstance(line, Note):
            folded.notes.append(line)
        else:
            keys.setdefault(number if line.key is None else line.key, []).append(line)
    kinds: dict[type, Effects[Any, Any]]
    kinds = {Take: folded.takes, Push: folded.pushes, Exchange: folded.exchanges}
    for attempts in keys.values():
        first = attempts[0]
        if len(attempts) == 1 and first.answer is not None and not first.replay:
            done = Done(first, first.answer, first.invoked, first.completed, first.invoked)
            kinds[type(first.asked)].done.append(done)
            continue
        story = Story(attempts)
        folded.stories.append(story)
        for effect in story.effects():
            kinds[type(effect.request.asked)].done.append(effect)
        for left in story.left_open():
            kinds[type(left.request.asked)].open.append(left)
    return folded
