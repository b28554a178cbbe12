"""The plan of ``dibs work``: the command of each job, and what becomes of its output and its failures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from .work_command import CommandTemplate
from .work_signals import GRACE

_LONGEST_DELAY: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Retries:
    """When a job that failed is tried again, if not as the queue has it.

    ``most``: attempts after which it is dead. ``backoff``: seconds until the second one, doubled each time,
    an hour at most. ``never``: exit codes after which it is not tried again. ``halt``: so many failures in a
    row end the work.
    """

    most: int | None = None
    backoff: float | None = None
    never: frozenset[int] = frozenset()
    halt: int | None = None

    def terms(self, attempt: int, status: int | None) -> dict[str, Any]:
        """The arguments of ``Job.nack`` for a job whose attempt has failed."""
        if status in self.never or (self.most is not None and attempt >= self.most):
            return {"dead": True}
        return {"delay": self.delay(attempt)}

    def delay(self, attempt: int) -> float | None:
        """Seconds until the next attempt; None: by the queue's own setting."""
        if self.backoff is None:
            return None
        return min(self.backoff * 2.0 ** min(attempt - 1, 64), max(self.backoff, _LONGEST_DELAY))


@dataclass(frozen=True, slots=True)
class Plan:
    """The command that is run for each job, and the use of its output.

    ``stdin``: the value, as JSON, is what the command reads. ``results``: the queue that gets what it writes,
    as text or, with ``json_results``, as the JSON value that it is. ``timeout`` and ``grace`` are in seconds.
    """

    queue: str
    words: CommandTemplate
    url: str
    stdin: bool = False
    timeout: float | None = None
    results: str | None = None
    json_results: bool = False
    retries: Retries = Retries()
    grace: float = GRACE
