"""The first screen: how everything is, the vitals, and a page of queues sorted by trouble."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..api.records import shown_args
from ..errors import LedgerError
from ..ledger.sights import Inside
from ..queue.gate import failure_of
from ..queue.meters import percentiles
from ..queue.statistics import Sees, everything

if TYPE_CHECKING:
    from ..queue import Queue, Queues
    from .recorder import Recorder, Steps, Track

PAGE: Final = 100
"""Queues of one page of the table."""
FINDINGS_MOST: Final = 5
QUEUES_A_SECOND: Final = 2_000
"""Queues that are looked at in a second: with more, they are looked at less often."""
NOTHING: Final = Inside(0, 0, 0)

STATES: Final = ("open", "starting", "failed", "paused", "exhausted", "closed")
_ENDED: Final = frozenset({"exhausted", "closed"})


class Seen(NamedTuple):
    """One queue as it is shown. ``trouble``: what it is sorted by, the worst first."""

    trouble: tuple[int, float, str]
    queue: Queue
    track: Track
    state: str
    inside: Inside
    died: int
    oldest: float | None
    out: float
    findings: tuple[dict[str, Any], ...]


class Overview:
    """Looks at all queues of a server. ``old()`` (seconds): an item that has waited longer is trouble.

    It owns what was read of the ledger last: what is inside, how many workers have it, the room on the disk.
    """

    def __init__(self, queues: Queues, recorder: Recorder, *, old: Callable[[], float]) -> None:
        self._queues = queues
        self._recorder = recorder
        self._old = old
        self._inside: Mapping[int, Inside] = {}
        self._read_at = self._looked_at = 0
        self._free: int | None = None
        self._seen: list[Seen] = []

    async def look(self, now: int) -> None:
        """Look anew, as the first of those who watch asks in a second."""
        everyone = self._queues.everyone
        if now - self._looked_at < self._pause() - 100:
            return
        self._looked_at = now
        await self.count(now)
        self._seen = sorted([self._see(queue, now) for queue in everyone], key=_trouble)

    async def count(self, now: int, *, at_least: int = 0) -> None:
        """Read what is inside of all queues, unless that was done ``at_least`` milliseconds ago."""
        everyone = list(self._queues.everyone)
        if now - self._read_at < max(self._pause(), at_least) - 100:
            return
        self._read_at = now
        self._inside, self._free = await asyncio.to_thread(self._read)
        for queue in everyone:
            dead = self._inside.get(queue.line.row.id, NOTHING).dead
            self._recorder.track(queue, now).note_dead(now, dead)

    def _pause(self) -> int:
        """Milliseconds between two looks at all queues: longer with many of them."""
        return 1000 * (1 + len(self._queues.everyone) // QUEUES_A_SECOND)

    def _read(self) -> tuple[Mapping[int, Inside], int | None]:
        try:
            inside: Mapping[int, Inside] = self._queues.sights.inside()
        except LedgerError:
            inside = self._inside
        folder = self._queues.folder
        return inside, None if folder is None else shutil.disk_usage(folder).free

    def _see(self, queue: Queue, now: int) -> Seen:
        track = self._recorder.track(queue, now)
        inside = self._inside.get(queue.line.row.id, NOTHING)
        oldest = queue.browser.oldest_waiting(inside.waiting)
        state, out = queue.line.condition.word, track.rates(now)["out"] if track.busy(now) else 0.0
        seen = Seen((4, 0.0, queue.name), queue, track, state, inside, track.died(now), oldest, out, ())
        findings = tuple(self._findings(seen, now))
        rank = _RANKS[findings[0]["kind"]] if findings else 5 if state in _ENDED else 4
        weight = {0: -track.since, 1: -seen.died, 2: -inside.waiting, 3: -(oldest or 0.0)}.get(rank, -out)
        return seen._replace(trouble=(rank, float(weight), queue.name), findings=findings)

    def _findings(self, seen: Seen, now: int) -> list[dict[str, Any]]:
        """What is not well about a queue, the worst first."""
        found: list[dict[str, Any]] = []
        failure, since = failure_of(seen.queue.line.condition.state), seen.track.since
        if seen.state == "failed" and failure is not None:
            told = {"type": failure.type, "seq": failure.seq, "message": failure.message}
            found.append({"kind": "failed", "since": since, **told})
        if seen.died and seen.inside.dead:  # those that were redriven or purged since are no trouble
            found.append({"kind": "dead", "since": now, "dead": seen.inside.dead, "died": seen.died})
        if seen.state == "paused" and seen.inside.waiting:
            found.append({"kind": "paused", "since": since, "waiting": seen.inside.waiting})
        elif seen.oldest is not None and seen.oldest > self._old():
            found.append({"kind": "old", "since": now - int(seen.oldest * 1000), "oldest": seen.oldest})
        return [{"queue": seen.queue.name, **each} for each in found]

    # -- what is shown

    def shown(
        self, now: int, *, find: str = "", state: str = "", after: int = 0, sees: Sees = everything
    ) -> dict[str, Any]:
        """The first screen, with the queues whose names contain ``find`` and which are in a state.

        It tells only of those that whoever looks ``sees``, but for what the disk is asked and has left.
        """
        seen = self._seen if sees is everything else [each for each in self._seen if sees(each.queue.name)]
        found = [
            each
            for each in seen
            if find in each.queue.name
            and (not state or (bool(each.findings) if state == "look" else each.state == state))
        ]
        page = found[after : after + PAGE]
        states = Counter(each.state for each in seen)
        return {
            "now": now,
            "restored": self._queues.restored.waiting,
            "count": len(seen),
            "partly": sees is not everything,
            "look": sum(1 for each in seen if each.findings),
            "states": {name: states[name] for name in STATES},
            "findings": _worst(seen),
            "totals": self._totals(seen, now),
            "minute": self._recorder.minute(now, sees),
            "queues": [self._row(each, now) for each in page],
            "next": after + PAGE if len(found) > after + PAGE else None,
        }

    def _totals(self, seen: Sequence[Seen], now: int) -> dict[str, Any]:
        commits = self._queues.rounds.commits
        rates: Counter[str] = Counter()
        for each in seen:
            if each.track.busy(now):
                rates.update(each.track.rates(now))
        oldest = [each.oldest for each in seen if each.oldest is not None]
        return {
            "out": round(rates["out"], 1),
            "settled": round(rates["settled"], 1),
            "nacked": round(rates["nacked"], 1),
            "waiting": sum(each.inside.waiting for each in seen),
            "leased": sum(each.inside.leased for each in seen),
            "dead": sum(each.inside.dead for each in seen),
            "died": sum(each.died for each in seen),
            "oldest": max(oldest) if oldest else None,
            "commit_p99": percentiles(list(commits.times)).p99 or None,
            "bytes": self._queues.size,
            "free": self._free,
        }

    def _row(self, seen: Seen, now: int) -> dict[str, Any]:
        queue, track = seen.queue, seen.track
        spec, failure = queue.line.spec, failure_of(queue.line.condition.state)
        settles = seen.inside != NOTHING or queue.line.meter.settled or queue.line.row.acked
        steps = track.steps["15m"]
        return {
            "queue": queue.name,
            "source": None if spec is None else spec.name,
            "args": {} if spec is None else shown_args(spec.name, spec.args),
            "state": seen.state,
            "since": track.since,
            "out": seen.out,
            "settled": track.rates(now)["settled"] if settles or spec is None else None,
            "waiting": seen.inside.waiting,
            "leased": seen.inside.leased,
            "dead": seen.inside.dead,
            "died": seen.died,
            "oldest": seen.oldest,
            "old": seen.oldest is not None and seen.oldest > self._old(),
            "line": [] if steps.at_rest(now) else _line(steps, now, self._recorder.began),
            "failure": None
            if failure is None
            else {"type": failure.type, "seq": failure.seq, "message": failure.message},
        }


def _line(steps: Steps, now: int, began: int) -> list[int | None]:
    return [None if step is None else step.out for step in steps.shown(now, began)]


_RANKS: Final = {"failed": 0, "dead": 1, "paused": 2, "old": 3}


def _trouble(seen: Seen) -> tuple[int, float, str]:
    return seen.trouble


def _worst(seen: Sequence[Seen]) -> list[dict[str, Any]]:
    """The findings that are told in words: each queue's worst, in the order of the table."""
    return [each.findings[0] for each in seen[:FINDINGS_MOST] if each.findings]
