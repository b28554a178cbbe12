"""The replies of a queue: each caller is told once, and each reply is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import DibsError
from ..ledger.serve import Served
from .answers import Answer
from .meters import Meter

if TYPE_CHECKING:
    from .condition import Condition
    from .waiting import Waiting

Watch = Callable[["Waiting", Answer], None]


class Replies:
    """Tells the callers of one queue, and counts what they are told in its ``meter``, on the event loop.

    ``release`` lets the items of a lease wait again, by its token: nobody has received it.
    """

    def __init__(
        self, condition: Condition, release: Callable[[str], None], clock: Callable[[], float]
    ) -> None:
        self.meter = Meter()
        self._condition = condition
        self._release = release
        self._clock = clock
        self._watching: Watch | None = None

    def watch(self, watch: Watch) -> Callable[[], None]:
        """Tell of each answer, too, until what is returned is called; one watches at a time."""
        self._watching = watch

        def stop() -> None:
            if self._watching is watch:
                self._watching = None

        return stop

    def answer(self, waiting: Waiting, answer: Answer) -> None:
        """Tell what is on disk."""
        waiting.done = True
        meter, served = self.meter, answer.served
        meter.in_flight -= 1
        handed = served.handed
        if handed is not None:
            now = self._clock()
            if served.replayed:  # it hands out nothing
                meter.replays += 1
            else:
                if now >= meter.rate.until:
                    meter.rate.begin(now, meter.handed_out)
                meter.handed_out += len(answer.values)
            if waiting.alone:
                meter.answers.append(now - waiting.began)
        if self._watching is not None:
            self._watching(waiting, answer)
        caller = waiting.caller
        if not caller.gone:
            caller.answered(answer)
        elif handed is not None and handed.token and waiting.ask.key is None:
            self._release(handed.token)  # without a key nobody can ask for it again

    def refuse(self, waiting: Waiting, error: DibsError) -> None:
        """Tell that nothing was done, or that nobody knows."""
        waiting.done = True
        self.meter.in_flight -= 1
        self.meter.refused += 1
        if not waiting.caller.gone:
            waiting.caller.refused(error)

    def nothing(self, waiting: Waiting, why: str) -> None:
        """Tell why there are no items; what was settled is told with that."""
        self.without_items(waiting, self._condition.refusal(why))

    def without_items(self, waiting: Waiting, error: DibsError | None) -> None:
        """Refuse an ask, or say that there is nothing; one that has settled something hears of that."""
        if error is not None and not waiting.entries:
            self.refuse(waiting, error)
            return
        condition = self._condition
        served = Served(waiting.entries, state=condition.word, replayed=waiting.known)
        self.answer(waiting, Answer(condition.name, served, (), error, condition.now()))
