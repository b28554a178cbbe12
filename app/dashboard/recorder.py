"""What each queue did in the last seconds, minutes and hours: the meters of those that moved, once a second.

Only what happened is kept: a queue at rest costs nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Final, NamedTuple

from ..queue.meters import RATE_SECONDS, Traffic, ranked
from .slices import Slices

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

TIMED_MOST: Final = 50
"""Queues whose times to answer are looked at in one second."""

AT_REST: Final = Traffic()


def rate(count: int) -> float:
    """Items a second, of what was counted in the window of a rate."""
    return round(count / RATE_SECONDS, 1)


def rates(traffic: Traffic) -> dict[str, float]:
    """Items a second, of what was counted in the window of a rate, by what happened to them."""
    return {name: rate(count) for name, count in traffic._asdict().items()}


class Sample(NamedTuple):
    """What happened in one step: counts of items, and percentiles of the time to answer (seconds)."""

    traffic: Traffic = AT_REST
    died: int = 0
    times: tuple[float, float, float] | None = None

    def plus(self, other: Sample) -> Sample:
        """Both together; of the times the later."""
        return Sample(self.traffic.plus(other.traffic), self.died + other.died, other.times or self.times)


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

    def last(self, now: int, steps: int) -> list[tuple[int, int]]:
        """Of the last steps that are over: the number of each that was not at rest, and its hand-outs."""
        begin = now // self.step - steps
        kept = takewhile(lambda each: each[0] >= begin, reversed(self._kept))
        return [(at - begin, sample.traffic.out) for at, sample in kept if at < begin + steps]

    def shown(self, now: int, began: int) -> list[Sample | None]:
        """A sample for each step that is over; None for those before the server began."""
        last = now // self.step - 1
        first, birth = last - self.most + 1, began // self.step
        found: list[Sample | None] = [Sample() if at >= birth else None for at in range(first, last + 1)]
        for at, sample in self._kept:
            if first <= at <= last:
                found[at - first] = sample
        return found


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
