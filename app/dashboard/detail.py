"""One queue: its sums, rates and times, who holds what, what goes out next, its dead letters by error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from ..api.records import settings_fields, shown_args
from ..errors import LedgerError
from ..ledger.sights import LEASES_MOST, Deaths, Holding
from ..queue.gate import failure_of
from ..queue.meters import Traffic
from .recorder import rates

if TYPE_CHECKING:
    from ..api.actions import Actions
    from ..config import Settings
    from ..queue import Queue, Queues
    from ..queue.answers import Audit, Peeked
    from .recorder import Recorder, Track
    from .steps import Sample

WORKERS_MOST: Final = 20
MARKS_MOST: Final = 60
"""Leases of one worker that are drawn."""
NEXT_MOST: Final = 3
ERRORS_MOST: Final = 6
ACTIONS_MOST: Final = 20
VALUE_MOST: Final = 2_000
"""Characters of a value that are sent for a table; the item's own view has all of it."""


class Detail:
    """What is shown of one queue. It keeps what it read of the ledger last, for all who look at it."""

    def __init__(
        self,
        queues: Queues,
        recorder: Recorder,
        actions: Actions,
        name: str,
        *,
        settings: Callable[[], Settings],
    ) -> None:
        self._queues = queues
        self._recorder = recorder
        self._actions = actions
        self._name = name
        self._settings = settings
        self._errors: tuple[Any, list[Deaths]] = (None, [])

    async def shown(self, now: int, span: str) -> dict[str, Any] | None:
        """The queue now; None if there is none of this name.

        Raises:
            LedgerUnavailable: the ledger can't be read.
        """
        queue = self._queues.find(self._name)
        if queue is None:
            return None
        track = self._recorder.track(queue, now)
        audit = await queue.browser.audit()
        sights, row, ledger_now = self._queues.sights, queue.line.row, self._queues.now()
        holdings = await asyncio.to_thread(sights.holdings, row.id) if audit.leased else []
        waiting = await queue.browser.next_out(NEXT_MOST) if audit.waiting else ()
        await asyncio.to_thread(queue.browser.learn, audit.waiting)
        track.note_dead(now, audit.dead)
        spec, failure = queue.line.spec, failure_of(queue.line.condition.state)
        traffic = rates(track.counts(now))
        shift = now - ledger_now
        return {
            "now": now,
            "queue": queue.name,
            "source": None if spec is None else spec.name,
            "args": {} if spec is None else shown_args(spec.name, spec.args),
            "state": queue.line.condition.word,
            "paused": queue.line.condition.state.paused,
            "since": track.since,
            "settings": settings_fields(queue.browser.settings),
            **traffic,
            "settled": traffic["settled"] if spec is None or audit.acked or audit.leased else None,
            "died": track.died(now),
            "oldest": queue.browser.oldest_waiting(audit.waiting),
            "audit": {**asdict(audit), "balanced": audit.balanced},
            "series": _series(track, now, self._recorder.began, span),
            "flight": _flight(holdings, audit, ledger_now),
            "next": [self._waiting(item, shift) for item in waiting],
            "dead": await self._dead(queue, audit),
            "failure": None if failure is None else asdict(failure),
            "actions": self._actions.of(queue.name, ACTIONS_MOST),
        }

    def _waiting(self, item: Peeked, shift: int) -> dict[str, Any]:
        value = {"hidden": True, "bytes": len(item.value.encode())}
        if self._settings().show_values:
            value = {"text": item.value[:VALUE_MOST]}  # type: ignore[dict-item]  # either of the two
        return {"seq": item.seq, "due": item.due + shift, **value}

    async def _dead(self, queue: Queue, audit: Audit) -> dict[str, Any]:
        """The dead letters by error; counted anew only when others are dead than before."""
        version = audit.dead, audit.cursor, audit.purged, audit.acked, queue.line.row.id
        if version != self._errors[0]:
            errors: list[Deaths] = []
            if audit.dead:
                try:
                    errors = await asyncio.to_thread(
                        self._queues.sights.dead_by_error, queue.line.row.id, ERRORS_MOST
                    )
                except LedgerError:
                    return {"count": audit.dead, "newest": None, "errors": []}
            self._errors = version, errors
        errors = self._errors[1]
        return {
            "count": audit.dead,
            "newest": max((each.newest for each in errors), default=None),
            "errors": [{"error": each.error, "count": each.items} for each in errors],
        }


def _series(track: Track, now: int, began: int, span: str) -> dict[str, Any]:
    steps = track.steps[span]
    shown = steps.shown(now, began)
    counted = list(zip(shown, steps.seconds(now, began), strict=True))

    def rate(name: str) -> list[float | None]:
        return [
            None if each is None or seconds is None else round(getattr(each.traffic, name) / seconds, 4)
            for each, seconds in counted
        ]

    times = [_times(each) for each in shown]
    return {
        "span": span,
        "step": steps.step,
        "from": steps.first(now) * steps.step,
        **{name: rate(name) for name in Traffic._fields},
        "died": [0 if each is None else each.died for each in shown],
        **{name: [each[at] for each in times] for at, name in enumerate(("p50", "p90", "p99"))},
    }


def _times(sample: Sample | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if sample is None or sample.times is None else sample.times


def _flight(holdings: Sequence[Holding], audit: Audit, now: int) -> dict[str, Any]:
    """Leases by worker, the one with the least time left first; ``counted``: how many items, if not all."""
    workers: dict[str, dict[str, Any]] = {}
    runs = counted = 0
    for worker, due, items, parts in holdings:
        runs, counted = runs + parts, counted + items
        row = workers.setdefault(worker, {"worker": worker, "items": 0, "leases": []})
        row["items"] += items
        row["leases"].append(round((due - now) / 1000, 1))
    shown = list(workers.values())[:WORKERS_MOST]
    for row in shown:
        del row["leases"][MARKS_MOST:]
    return {
        "items": audit.leased,
        "counted": counted if runs >= LEASES_MOST else None,
        "runs": LEASES_MOST,
        "worker_count": len(workers),
        "lease_count": len(holdings),
        "workers": shown,
    }
