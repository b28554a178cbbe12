"""What a Prometheus server collects of a server of several: its role, and the cluster as it sees that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ..cluster.seat import Role
from ..cluster.view import copies_of, is_there

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from ..cluster.office import Office
    from ..queue.stats import ClusterStats

GAUGES: Final[tuple[tuple[str, str, str], ...]] = (
    ("dibs_term", "term", "The number of the newest term: each takeover begins one."),
    ("dibs_position", "position", "The number of the newest transaction in the database."),
    (
        "dibs_position_age_seconds",
        "position_age",
        "How long ago it was written, by the database's clock; an owner writes every second.",
    ),
    ("dibs_standbys", "standbys", "Standbys of the database that are connected."),
    ("dibs_standbys_needed", "standbys_needed", "For how many of them each commit waits."),
    (
        "dibs_vacuum_held_transactions",
        "vacuum_held",
        "For how many transactions somebody holds vacuum back in the database.",
    ),
)
"""The gauges of the cluster, by the names of what they tell in ``ClusterStats``."""


class ClusterCollector(Collector):
    """Collects the part of one server in its cluster; before its first look at the database only the role."""

    def __init__(self, front: Office, cluster: ClusterStats | None) -> None:
        self._front = front
        self._cluster = cluster

    def collect(self) -> Iterator[Metric]:
        """All metrics."""
        seat, cluster = self._front.seat, self._cluster
        role = GaugeMetricFamily("dibs_role", "1 for what this server is to its cluster.", labels=["role"])
        for each in Role:
            role.add_metric([each.value], float(seat.role is each))
        yield role
        yield CounterMetricFamily("dibs_takeovers", "Terms that this server has owned.", seat.takeovers)
        passing = "Requests that are being passed on to the owner, but for those in frames."
        yield GaugeMetricFamily("dibs_requests_passing", passing, self._front.passing)
        if cluster is None:
            return
        for name, attribute, text in GAUGES:
            yield GaugeMetricFamily(name, text, float(getattr(cluster, attribute)))
        servers = GaugeMetricFamily(
            "dibs_servers", "Servers of the cluster that are there.", labels=["version"]
        )
        for version, count in sorted(
            Counter(each.version for each in cluster.servers if is_there(each)).items()
        ):
            servers.add_metric([version], count)
        yield servers
        copies = copies_of(cluster)
        text = "Warm copies of the owner's memory, on servers that are to own next."
        yield GaugeMetricFamily("dibs_warm_copies", text, len(copies))
        if copies:
            text = "By how many transactions the one that is farthest behind is."
            yield GaugeMetricFamily("dibs_warm_copy_lag", text, max([each.lag or 0 for each in copies]))
        unfit = "Servers that are there and can't own the ledger."
        yield GaugeMetricFamily(
            "dibs_servers_unfit", unfit, sum(is_there(each) and bool(each.note) for each in cluster.servers)
        )
