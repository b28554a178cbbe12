"""What each queue did in the last seconds, hours and days: the meters of those that moved, once a second.

Only what happened is kept: a queue at rest costs nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ..queue.meters import RATE_SECONDS, Traffic, ranked
from .slices import Slices
from .steps import AT_REST, SPANS, Sample, Steps

if TYPE_CHECKING:
    from ..ledger.ops import QueueRow
    from ..queue import Queue
    from ..queue.meters import Meter

HOUR: Final = 3_600_000

TIMED_MOST: Final = 50
"""Queues whose times to answer are looked at in one second."""


def rate(count: int) -> float:
    """Items a second, of what was counted in the window of a rate."""
    return round(count / RATE_SECONDS, 1)


def rates(traffic: Traffic) -> dict[str, float]:
    """Items a second, of what was counted in the window of a rate, by what happened to them."""
    return {name: rate(count) for name, count in traffic._asdict().items()}


class Past:
    """What has happened to one queue: its steps, its last seconds, and its deaths by the minute."""

    __slots__ = ("deaths", "recent", "steps")

    def __init__(self) -> None:
        self.steps: Mapping[str, Steps] = {span: Steps(*size) for span, size in SPANS.items()}
        self.recent: deque[tuple[int, Traffic]] = deque()
        self.deaths: deque[tuple[int, int]] = deque()


NOTHING: Final = Past()
"""The past of all queues to which nothing has happened; it stays empty."""


class Track:
    """What is known of one queue: its rates, its steps, how many of its items died, since when it is so.

    ``dead``: how many items were dead when that was read last; None before.
    """

    __slots__ = ("_counted", "_past", "_timed", "dead", "since", "state")

    def __init__(self, now: int, dead: int | None, state: str, since: int | None) -> None:
        self.state = state
        self.since = now if since is None else since
        self.dead = dead
        self._past = NOTHING
        self._counted = AT_REST
        self._timed = 0

    @property
    def steps(self) -> Mapping[str, Steps]:
        """The steps of each span."""
        return self._past.steps

    def _written(self) -> Past:
        """The past, as something happens."""
        if self._past is NOTHING:
            self._past = Past()
        return self._past

    def count(self, now: int, meter: Meter, *, timed: bool) -> int:
        """Look at the meter; how many items were handed out since the last look.

        ``timed``: look at its times, too, which costs a tenth of a millisecond, unless that was just done.
        """
        counted = meter.traffic()
        if counted == self._counted:
            return 0
        more = counted.minus(self._counted)
        if min(more) < 0:  # the queue is another one
            more = counted
        self._counted = counted
        past = self._written()
        past.recent.append((now // 1000, more))
        while past.recent[0][0] <= now // 1000 - RATE_SECONDS:
            past.recent.popleft()
        times = self._times(now, meter) if timed else None
        sample = Sample(more, times=times)
        for steps in past.steps.values():
            steps.add(now, sample)
        return more.out

    def _times(self, now: int, meter: Meter) -> tuple[float, float, float] | None:
        step = now // SPANS["15m"][0]
        if step == self._timed or not meter.answers:
            return None
        self._timed = step
        p50, p90, p99, _ = ranked(meter.answers)
        return p50, p90, p99

    def counts(self, now: int) -> Traffic:
        """What was counted in the last ten seconds."""
        if not self.busy(now):
            return AT_REST
        since = now // 1000 - RATE_SECONDS
        return Traffic(*map(sum, zip(*[more for at, more in self._past.recent if at > since], strict=True)))

    def busy(self, now: int) -> bool:
        """Whether something happened within the window of a rate."""
        recent = self._past.recent
        return bool(recent) and recent[-1][0] > now // 1000 - RATE_SECONDS

    def note_dead(self, now: int, dead: int) -> None:
        """Note how many items are dead; what is more than before has died."""
        if self.dead is not None and dead > self.dead:
            died = dead - self.dead
            minute = now // 60_000
            past = self._written()
            if past.deaths and past.deaths[-1][0] == minute:
                died += past.deaths.pop()[1]
            past.deaths.append((minute, died))
            for steps in past.steps.values():
                steps.add(now, Sample(died=dead - self.dead))
        self.dead = dead

    def died(self, now: int) -> int:
        """How many items have died within the hour."""
        deaths = self._past.deaths
        while deaths and deaths[0][0] < (now - HOUR) // 60_000:
            deaths.popleft()
        return sum([count for _, count in deaths])

    def note_state(self, now: int, state: str) -> None:
        """Note the state of the queue: since when it is so."""
        if state != self.state:
            self.state, self.since = state, now


class Recorder:
    """Looks at the queues that have moved once a second, on the event loop, which alone touches it.

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

    async def look(self, find: Callable[[str], Queue | None], moved: set[str], now: int) -> None:
        """Look at those that have moved; ``find`` finds a queue by its name, if it is there still."""
        total, looked, slices = 0, 0, Slices()
        for name in moved:
            queue = find(name)
            if queue is None:
                self.tracks.pop(name, None)
            else:
                timed = looked < TIMED_MOST
                handed = self.track(queue, now).count(now, queue.line.meter, timed=timed)
                looked += handed > 0
                total += handed
            if slices.over:
                await slices.turn()
        if self._minute and self._minute[-1][0] == now // 1000:  # a second look within it
            total += self._minute.pop()[1]
        self._minute.append((now // 1000, total))

    async def minute(self, now: int, among: Iterable[str] | None = None) -> Sequence[int]:
        """How many items were handed out in each of the last 60 seconds; of some queues, by ten seconds."""
        if among is not None:
            tens, slices, step = [0] * 6, Slices(), SPANS["15m"][0]
            for name in among:
                track = self.tracks.get(name)
                if track is not None:
                    for at, out in track.steps["15m"].last(now, len(tens)):
                        tens[at] += out
                if slices.over:
                    await slices.turn()
            return [ten * 1000 // step for ten in tens for _ in range(step // 1000)]
        found = dict(self._minute)
        last = now // 1000
        return [found.get(second, 0) for second in range(last - 59, last + 1)]


def _since(row: QueueRow, state: str) -> int | None:
    """Since when a queue that nobody has looked at is in this state, as the ledger has it."""
    if row.ending == state:
        return row.ended_at
    return row.paused_at if row.paused and state == "paused" else None
