"""What a Prometheus server collects of the queues and their ledger.

Names keep Prometheus' rules: a prefix, the unit, ``_total`` for what only goes up. A queue is a label;
beyond the first 1,000 by name they are one label, ``(others)``, so that no number of queues can overload a
monitor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from ..config import version
from ..ledger.sights import Inside
from ..queue.draining import InboxState
from ..queue.meters import COMMIT_BOUNDS, METRICS, Meter
from .durations import BOUNDS

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from ..queue import Queue, Queues
    from .durations import Durations

QUEUES_MOST: Final = 1_000
OTHERS: Final = "(others)"
NOTHING: Final = Inside(0, 0, 0)
STATES: Final = ("starting", "open", "paused", "exhausted", "failed", "closed")


class Disk(NamedTuple):
    """The disk of the ledger, in bytes."""

    free: int
    size: int


class Row(NamedTuple):
    """One queue, or all others together, as it is counted; ``states``: how many are in each.

    ``oldest``: for how many seconds the first item has waited; None where none waits.
    """

    name: str
    meter: Meter
    inside: Inside
    cursor: int
    parked: int
    oldest: float | None
    states: Mapping[str, int]


class ServerCollector(Collector):
    """Collects what every server tells. ``ready``: hand-outs can be answered."""

    def __init__(self, durations: Durations, *, ready: bool) -> None:
        self._durations = durations
        self._ready = ready

    def collect(self) -> Iterator[Metric]:
        """All metrics."""
        yield GaugeMetricFamily("dibs_ready", "1 while hand-outs can be answered.", float(self._ready))
        answers = HistogramMetricFamily(
            "dibs_answer_seconds",
            "Time from the head of a request to its answer, with what it waited for items.",
            labels=["operation", "class"],
        )
        for operation, kind, times in self._durations.all():
            answers.add_metric([operation, kind], _buckets(BOUNDS, times.counts), times.seconds)
        yield answers
        info = GaugeMetricFamily("dibs_info", "The version of the server.", labels=["version"])
        info.add_metric([version()], 1)
        yield info


class QueuesCollector(Collector):
    """Collects the queues and their ledger. ``inside`` and ``disk`` were read before."""

    def __init__(self, queues: Queues, inside: Mapping[int, Inside], disk: Disk | None) -> None:
        self._queues = queues
        self._inside = inside
        self._disk = disk

    def collect(self) -> Iterator[Metric]:
        """All metrics."""
        rows = list(self._rows())
        for name, (metric, text) in METRICS.items():
            yield _family(CounterMetricFamily(metric, text, labels=["queue"]), rows, name)
        yield from self._states(rows)
        yield from self._ledger()

    def _rows(self) -> Iterator[Row]:
        everyone = sorted(self._queues.everyone, key=lambda queue: queue.name)
        for queue in everyone[:QUEUES_MOST]:
            yield self._row(queue)
        if len(everyone) > QUEUES_MOST:
            yield _together([self._row(queue) for queue in everyone[QUEUES_MOST:]])

    def _row(self, queue: Queue) -> Row:
        line, inside = queue.line, self._inside.get(queue.line.row.id, NOTHING)
        state = line.condition.state
        queue.browser.learn(inside.waiting)
        oldest = queue.browser.oldest_waiting(inside.waiting)
        states = {line.condition.word: 1}
        return Row(queue.name, line.meter, inside, state.cursor, line.parked, oldest, states)

    @staticmethod
    def _states(rows: Iterable[Row]) -> Iterator[Metric]:
        items = GaugeMetricFamily("dibs_items", "Items inside, by state.", labels=["queue", "state"])
        cursor = GaugeMetricFamily(
            "dibs_cursor", "The highest seq that was drawn or pushed.", labels=["queue"]
        )
        state = GaugeMetricFamily(
            "dibs_queue_state", "1 for the state of a queue; of (others) how many.", labels=["queue", "state"]
        )
        flight = GaugeMetricFamily("dibs_requests_in_flight", "Requests without an answer.", labels=["queue"])
        parked = GaugeMetricFamily("dibs_requests_waiting", "Requests that wait for items.", labels=["queue"])
        old = GaugeMetricFamily(
            "dibs_oldest_waiting_seconds",
            "How long the first item has waited; missing where none waits.",
            labels=["queue"],
        )
        for row in rows:
            for word, count in zip(Inside._fields, row.inside, strict=True):
                items.add_metric([row.name, word], count)
            for word in STATES:
                state.add_metric([row.name, word], row.states.get(word, 0))
            for family, value in (
                (cursor, row.cursor),
                (flight, row.meter.in_flight),
                (parked, row.parked),
            ):
                family.add_metric([row.name], value)
            if row.oldest is not None:
                old.add_metric([row.name], row.oldest)
        yield from (items, state, cursor, flight, parked, old)

    def _ledger(self) -> Iterator[Metric]:
        commits = self._queues.rounds.commits
        yield GaugeMetricFamily("dibs_queues", "Queues that there are.", len(self._queues.everyone))
        yield CounterMetricFamily("dibs_ledger_ops", "Ops of the ledger.", commits.ops)
        seconds = HistogramMetricFamily("dibs_commit_seconds", "Time of a commit, with its sync.")
        seconds.add_metric([], _buckets(COMMIT_BOUNDS, commits.buckets), commits.seconds)
        yield seconds
        yield GaugeMetricFamily("dibs_ledger_bytes", "Bytes that the ledger occupies.", self._queues.size)
        held = float(self._queues.restored.held)
        yield GaugeMetricFamily("dibs_restored_held", "1 while a restored backup waits to be accepted.", held)
        if (last := self._queues.backups.last) is not None:
            at = "dibs_backup_last_success_timestamp_seconds"
            yield GaugeMetricFamily(at, "When the newest backup that is kept was made.", last.at)
            yield GaugeMetricFamily("dibs_backup_last_size_bytes", "Its size.", last.bytes)
        if (inbox := self._queues.inbox) is not None:
            yield from _inbox(inbox.state)
        if (disk := self._disk) is not None:
            yield GaugeMetricFamily("dibs_disk_free_bytes", "Bytes free on the ledger's disk.", disk.free)
            yield GaugeMetricFamily("dibs_disk_size_bytes", "Bytes that the ledger's disk has.", disk.size)


def _inbox(state: InboxState) -> Iterator[Metric]:
    yield GaugeMetricFamily("dibs_inbox_rows", "Rows that were pushed by SQL and wait.", state.length)
    if state.oldest is not None:
        yield GaugeMetricFamily("dibs_inbox_oldest_seconds", "How long the first has waited.", state.oldest)
    yield GaugeMetricFamily("dibs_inbox_refused_rows", "Rows that could not be taken.", state.refused)
    stopped = "Queues to which nothing more can be pushed by SQL."
    yield GaugeMetricFamily("dibs_inbox_stopped_queues", stopped, len(state.stopped))


def _family(family: CounterMetricFamily, rows: Iterable[Row], name: str) -> CounterMetricFamily:
    for row in rows:
        family.add_metric([row.name], getattr(row.meter, name))
    return family


def _together(rows: list[Row]) -> Row:
    """The queues beyond the first thousand, as one."""
    meter = Meter()
    for row in rows:
        for name, count in row.meter.counts().items():
            setattr(meter, name, getattr(meter, name) + count)
    inside = Inside(*(sum(counts) for counts in zip(*(row.inside for row in rows), strict=True)))
    oldest = max((row.oldest for row in rows if row.oldest is not None), default=None)
    return Row(
        OTHERS,
        meter,
        inside,
        sum(row.cursor for row in rows),
        sum(row.parked for row in rows),
        oldest,
        Counter(word for row in rows for word in row.states),
    )


def _buckets(bounds: Sequence[float], counts: list[int]) -> list[tuple[str, float]]:
    """The buckets of a histogram, as Prometheus adds them up."""
    total, found = 0, []
    for bound, count in zip([*map(str, bounds), "+Inf"], counts, strict=True):
        total += count
        found.append((bound, float(total)))
    return found


def text(*collectors: Collector) -> bytes:
    """What these collect, and the process, in Prometheus' text format; from any thread."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    ProcessCollector(registry=registry)
    return generate_latest(registry)
