"""The servers of a ledger that several share, and its inbox, as the first screen tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..cluster.view import copies_of, is_there

if TYPE_CHECKING:
    from ..queue.draining import InboxState
    from ..queue.stats import ClusterStats

UNFIT_MOST: Final = 5
"""Servers that can't own, of which the screen tells why; and troubles of servers."""

COPIES_MOST: Final = 3
"""Servers with a warm copy, of which the screen tells; one is usual, two for a moment."""


def servers_of(cluster: ClusterStats | None, inbox: InboxState | None) -> dict[str, Any] | None:
    """Who owns, how far that is, and who else is there; None where one server has its ledger alone."""
    if cluster is None:
        return None
    there = [server for server in cluster.servers if is_there(server)]
    unfit = [{"url": server.url, "note": server.note} for server in there if server.note]
    told = dict.fromkeys((server.url, each) for server in there for each in server.troubles)
    troubles = [{"url": url, "note": note} for url, note in told]  # two servers may say that they are at one
    return {
        "owner": cluster.owner,
        "term": cluster.term,
        "lasts": cluster.lasts,
        "takeovers": cluster.takeovers,
        "position": cluster.position,
        "age": cluster.position_age,
        "count": len(there),
        "versions": sorted({server.version for server in there}),
        "unfit": unfit[:UNFIT_MOST],
        "troubles": troubles[:UNFIT_MOST],
        "warm": [{"url": server.url, "lag": server.lag} for server in copies_of(cluster)[:COPIES_MOST]],
        "warnings": list(cluster.warnings),
        "inbox": None if inbox is None else _inbox(inbox),
    }


def _inbox(state: InboxState) -> dict[str, Any]:
    return {
        "rows": state.length,
        "oldest": state.oldest,
        "refused": state.refused,
        "stopped": len(state.stopped),
    }
