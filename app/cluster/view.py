"""What is told of a cluster: on the page, in the statistics, in the metrics, by ``dibs doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..queue.stats import ClusterStats, ServerStats

if TYPE_CHECKING:
    from ..ledger.terms import Peer
    from .seat import Seat

THERE: Final = 10.0
"""Seconds after which a server that was not seen is taken for gone; each is to be seen every two."""
SILENT: Final = 10.0
"""Seconds without a step of the position after which that is trouble; an owner steps it every second."""


def view_of(seat: Seat) -> ClusterStats | None:
    """The cluster as it was seen last; None before the first look."""
    found = seat.survey()
    if found is None:
        return None
    return ClusterStats(
        role=seat.role.value,
        url=seat.url,
        owner=found.owner,
        term=found.term,
        lasts=round(found.lasts, 1),
        position=found.position,
        position_age=round(found.silent, 2),
        takeovers=found.takeovers,
        servers=[_server(peer, found.owner) for peer in found.peers],
        standbys=found.standbys,
        standbys_needed=found.standbys_needed,
        vacuum_held=found.held,
        warnings=[*_silence(found.silent, found.owner), *found.warnings],
    )


def _server(peer: Peer, owner: str | None) -> ServerStats:
    owns = peer.url == owner  # its copy has become its memory
    lag = None if owns else peer.lag
    return ServerStats(peer.url, peer.version, owns, round(peer.seen, 1), peer.note, lag, peer.troubles)


def _silence(silent: float, owner: str | None) -> list[str]:
    """What is told where nobody writes."""
    if silent < SILENT:
        return []
    who = "no server owns the ledger" if owner is None else f"the last owner was {owner}"
    return [
        f"nothing has been written to the ledger for {silent:.0f} s, and {who}: the database can't be reached"
        " or written, its commits wait for a standby, or no server can take over; the servers' logs say which"
    ]


def is_there(server: ServerStats) -> bool:
    """Whether a server was seen just now."""
    return server.seen < THERE


def copies_of(cluster: ClusterStats) -> list[ServerStats]:
    """The servers that have a warm copy of the owner's memory."""
    return [server for server in cluster.servers if server.lag is not None and is_there(server)]
