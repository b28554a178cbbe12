"""What each queue did in the last seconds, minutes and hours: its meters, looked at once a second.

Only what happened is kept: a queue at rest costs nothing but the look at its meter.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from ..queue.meters import RATE_SECONDS, percentiles
from ..queue.statistics import Sees, everything

if TYPE_CHECKING:
    from ..ledger.ops import QueueRow
    from ..queue import Queue
    from ..queue.meters import Meter

HOUR: Final = 3_600_000

SPANS: Final[Mapping[str, tuple[int, int]]] = {
    "15m": (10_000, 90),
    "1h": (60_000, 60),
    "1d": (900_000, 96),
}
"""How far back the charts go: milliseconds of a step, and how many steps."""

QUEUES_A_STEP: Final = 500
"""Queues that are looked at before others have their turn."""
STATE_SECONDS: Final = 5
"""Seconds after which the state of a queue is looked at although nothing was counted."""
TIMED_MOST: Final = 50
"""Queues whose times to answer are looked at in one second."""

COUNTED: Final = ("out", "settled", "pushed", "nacked")


class Sample(NamedTuple):
    """What happened in one step: counts of items, and percentiles of the time to answer (seconds)."""

    out: int = 0
    settled: int = 0
    pushed: int = 0
    nacked: int = 0
    died: int = 0
    times: tuple[float, float, float] | None = None

    def plus(self, other: Sample) -> Sample:
        """Both together; of the times the later."""
        return Sample(
            self.out + other.out,
            self.settled + other.settled,
            self.pushed + other.pushed,
            self.nacked + other.nacked,
            self.died + other.died,
            other.times or self.times,
        )


class Steps:
    """The samples of one queue, a step each, for as many steps as are shown; steps at rest are left out."""

    def __init__(self, step: int, most: int) -> None:
        self.step = step
        self.most = most
        self._kept: deque[tuple[int, Sample]] = deque()

    def add(self, now: int, sample: Sample) -> None:
        """Count what has happened since the last look."""
        kept, at = self._kept, now // self.step
        if kept and kept[-1][0] == at:
            kept[-1] = at, kept[-1][1].plus(sample)
        else:
            kept.append((at, sample))
        while kept[0][0] < at - self.most:
            kept.popleft()

    def at_rest(self, now: int) -> bool:
        """Whether nothing has happened in all the steps that are shown."""
        return not self._kept or self._kept[-1][0] < now // self.step - self.most

    def shown(self, now: int, began: int) -> list[Sample | None]:
        """A sample for each step that is over; None for those before the server began."""
        last = now // self.step - 1
        first, birth = last - self.most + 1, began // self.step
        found: list[Sample | None] = [Sample() if at >= birth else None for at in range(first, last + 1)]
        for at, sample in self._kept:
            if first <= at <= last:
                found[at - first] = sample
        return found


class Track:
    """What is known of one queue: its rates, its steps, how many of its items died, since when it is so.

    ``dead``: how many items were dead when that was read last; None before.
    """

    def __init__(self, now: int, dead: int | None, state: str, since: int | None) -> None:
        self.state = state
        self.since = now if since is None else since
        self.dead = dead
        self.steps = {span: Steps(*size) for span, size in SPANS.items()}
        self._counted = (0, 0, 0, 0)
        self._recent: deque[tuple[int, tuple[int, ...]]] = deque()
        self._deaths: deque[tuple[int, int]] = deque()
        self._timed = 0

    def behind(self, meter: Meter) -> bool:
        """Whether something has happened since the last look."""
        return self._counted != (meter.handed_out, meter.settled, meter.pushed, meter.nacked)

    def count(self, now: int, meter: Meter, *, timed: bool) -> int:
        """Look at the meter; how many items were handed out since the last look.

        ``timed``: look at its times, too, which costs a tenth of a millisecond, unless that was just done.
        """
        counted = meter.handed_out, meter.settled, meter.pushed, meter.nacked
        if counted == self._counted:
            return 0
        before = self._counted if all(map(int.__ge__, counted, self._counted)) else (0, 0, 0, 0)
        out, settled, pushed, nacked = more = tuple(map(int.__sub__, counted, before))
        self._counted = counted
        self._recent.append((now // 1000, more))
        while self._recent[0][0] <= now // 1000 - RATE_SECONDS:
            self._recent.popleft()
        times = self._times(now, meter) if timed else None
        sample = Sample(out, settled, pushed, nacked, 0, times)
        for steps in self.steps.values():
            steps.add(now, sample)
        return more[0]

    def _times(self, now: int, meter: Meter) -> tuple[float, float, float] | None:
        step = now // SPANS["15m"][0]
        if step == self._timed or not meter.answers:
            return None
        self._timed = step
        found = percentiles(meter.answers)
        return found.p50, found.p90, found.p99

    def rates(self, now: int) -> dict[str, float]:
        """Items a second over the last ten seconds, by what happened to them."""
        since = now // 1000 - RATE_SECONDS
        recent = [more for second, more in self._recent if second > since]
        return {
            name: round(sum([more[at] for more in recent]) / RATE_SECONDS, 1)
            for at, name in enumerate(COUNTED)
        }

    def busy(self, now: int) -> bool:
        """Whether something happened within the window of a rate."""
        return bool(self._recent) and self._recent[-1][0] > now // 1000 - RATE_SECONDS

    def note_dead(self, now: int, dead: int) -> None:
        """Note how many items are dead; what is more than before has died."""
        if self.dead is not None and dead > self.dead:
            died = dead - self.dead
            minute = now // 60_000
            if self._deaths and self._deaths[-1][0] == minute:
                died += self._deaths.pop()[1]
            self._deaths.append((minute, died))
            for steps in self.steps.values():
                steps.add(now, Sample(died=dead - self.dead))
        self.dead = dead

    def died(self, now: int) -> int:
        """How many items have died within the hour."""
        while self._deaths and self._deaths[0][0] < (now - HOUR) // 60_000:
            self._deaths.popleft()
        return sum([count for _, count in self._deaths])

    def note_state(self, now: int, state: str) -> None:
        """Note the state of the queue: since when it is so."""
        if state != self.state:
            self.state, self.since = state, now


class Recorder:
    """Looks at all queues once a second, on the event loop, which alone touches it.

    It owns the ``tracks`` of the queues by name, and how many items were handed out in each of the last 60
    seconds, of all of them. Times are milliseconds of the wall clock; ``began`` is when it was made.
    """

    def __init__(self, now: int) -> None:
        self.began = now
        self.tracks: dict[str, Track] = {}
        self._minute: deque[tuple[int, int]] = deque(maxlen=60)

    def track(self, queue: Queue, now: int) -> Track:
        """The track of a queue, which begins now if it is new."""
        track = self.tracks.get(queue.name)
        if track is None:
            # A queue that was not there at the first look is new: nothing of it was dead before.
            state = queue.line.condition.word
            since = _since(queue.line.row, state)
            track = self.tracks[queue.name] = Track(now, 0 if self._minute else None, state, since)
        track.note_state(now, queue.line.condition.word)
        return track

    async def look(self, queues: Sequence[Queue], now: int) -> None:
        """Look at all of them, some at a time, for there may be ten thousand."""
        tracks, total, looked, second = self.tracks, 0, 0, now // 1000
        for number, queue in enumerate(queues, 1):
            if number % QUEUES_A_STEP == 0:
                await asyncio.sleep(0)
            track = tracks.get(queue.name)
            rests = track is not None and not track.behind(queue.line.meter)
            if rests and (number + second) % STATE_SECONDS:
                continue
            track = self.track(queue, now)
            handed = track.count(now, queue.line.meter, timed=looked < TIMED_MOST)
            looked += handed > 0
            total += handed
        if len(tracks) > len(queues):
            for name in tracks.keys() - {queue.name for queue in queues}:
                del tracks[name]
        self._minute.append((now // 1000, total))

    def minute(self, now: int, sees: Sees = everything) -> Sequence[int]:
        """How many items were handed out in each of the last 60 seconds; of some queues, by ten seconds."""
        if sees is not everything:
            tracks = [track for name, track in self.tracks.items() if sees(name)]
            steps = zip(*(track.steps["15m"].shown(now, self.began)[-6:] for track in tracks), strict=True)
            tens = [sum(each.out for each in step if each is not None) // 10 for step in steps]
            return [ten for ten in tens or [0] * 6 for _ in range(10)]
        found = dict(self._minute)
        last = now // 1000
        return [found.get(second, 0) for second in range(last - 59, last + 1)]


def _since(row: QueueRow, state: str) -> int | None:
    """Since when a queue that nobody has looked at is in this state, as the ledger has it."""
    if row.ending == state:
        return row.ended_at
    return row.paused_at if row.paused and state == "paused" else None
