"""``dibs doctor`` looks at a ledger in PostgreSQL: its server, who owns it, which servers there are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from ..cluster.view import SILENT, THERE
from ..errors import ConfigError, LedgerCopied, LedgerError, LedgerTooNew
from ..ledger.postgres.checks import check_format
from ..ledger.postgres.examining import COUNTED_MOST, Examined, Kept, examine
from ..ledger.postgres.home import check_home
from ..ledger.postgres.survey import Around
from ..ledger.terms import Peer
from .doctor_findings import Finding, mend, note, troubled, unfit, well
from .words import size, span

SPARE: Final = 10
"""Connections that should be free: those of a server that starts or takes over, and of who looks."""
OFTEN: Final = 6
"""Takeovers within an hour from which on something is wrong: a rolling upgrade of three servers has three."""
WAITED: Final = 60.0
"""Seconds that a row may wait in the inbox without a word."""


def look_at(url: str) -> Iterator[Finding]:
    """All findings about the database and the ledger in it, which may not be there yet."""
    began = time.monotonic()
    try:
        found = examine(url)
    except (ConfigError, LedgerError) as error:
        yield mend("database", str(error), "mend that; a server would not start")
        return
    took = span(time.monotonic() - began)
    yield well("database", f"PostgreSQL {found.version} at {found.shown}, looked at in {took}")
    yield from _connections(found)
    yield from _warnings(found)
    if found.departed is not None:
        yield mend(
            "ledger",
            f"the ledger in {found.shown} has gone back into a data folder: no server starts here",
            "say that folder with --data, or as `data` in dibs.toml; a new ledger needs another schema"
            f" (?ledger=NAME), or DROP TABLE {found.departed} first",
        )
        return
    if found.kept is None or found.around is None:
        yield note("ledger", f"there is none in {found.shown} yet", "the first `dibs serve` makes it")
        return
    yield from _ledger(found, found.kept)
    yield from _loss(found.kept)
    yield from _owner(found.kept, found.around)
    yield from _servers(found.around, found.kept)
    yield from _inbox(found.kept)


def _connections(found: Examined) -> Iterator[Finding]:
    told = f"{found.used} of {found.most} are used"
    if found.most - found.used < SPARE:
        yield mend(
            "connections", told, "raise max_connections, or let others use fewer: a server needs up to 6"
        )
    else:
        yield well("connections", told)


def _warnings(found: Examined) -> Iterator[Finding]:
    """What the start of a server warns of; commits that hang are to be mended."""
    around = found.around
    hang = around is not None and around.standbys < around.standbys_needed
    for n, warning in enumerate(found.warnings):
        what, _, way = warning.rpartition(". ")
        told = (what or way).strip(), way.strip() if what else ""
        yield mend("database", *told) if hang and n == 0 else note("database", *told)


def _ledger(found: Examined, kept: Kept) -> Iterator[Finding]:
    try:
        check_format(kept.format, found.known, found.shown)
        check_home(kept.made, kept.here, found.shown, adopt=False)
    except LedgerTooNew as error:
        yield mend("ledger", str(error), "use the newer dibs that wrote it")
    except LedgerCopied as error:
        yield mend("ledger", str(error), "see `Several servers on one database` in the manual")
    else:
        yield well(
            "ledger", f"format {kept.format}, transaction {kept.owner.n:,}, {size(kept.bytes)} of tables"
        )


def _loss(kept: Kept) -> Iterator[Finding]:
    if kept.loss is not None and kept.halted:
        way = "run `dibs recover`; while no server answers it: `dibs recover --accept-loss --data URL`"
        yield mend("lost", kept.loss, way)
    elif kept.loss is not None:
        yield note("lost", kept.loss, "make the standby synchronous (synchronous_standby_names)")


def _owner(kept: Kept, around: Around) -> Iterator[Finding]:
    owner = kept.owner
    if owner.address is None:
        last = (
            "no server has owned the ledger yet"
            if owner.term == 0
            else "a command wrote last: no server owns"
        )
        yield note("owner", last, "start one")
    elif owner.silent > SILENT:
        yield mend(
            "owner",
            f"nothing was written for {span(owner.silent)}; the last owner was {owner.address} in term"
            f" {owner.term:,}",
            "start a server, or look into the servers' logs for why none owns",
        )
    else:
        told = f"{owner.address} in term {owner.term:,}, for {span(around.lasts)}"
        yield well("owner", f"{told}; it wrote {span(owner.silent)} ago")
    if around.takeovers >= OFTEN:
        yield note(
            "takeovers",
            f"{around.takeovers} within the last hour",
            "look into the servers' logs: is the owner killed, stopped, or cut off from the database?",
        )


def _servers(around: Around, kept: Kept) -> Iterator[Finding]:
    there = [peer for peer in around.peers if peer.seen < THERE]
    if not there:
        yield note("servers", "none is there", "start one")
        return
    told = [f"{peer.url} ({', '.join(_said_of(peer, kept.owner.server))})" for peer in there]
    if len({peer.version for peer in there}) > 1:
        yield note("servers", ", ".join(told), "upgrade all of them, one by one, fronts first")
    else:
        yield well("servers", ", ".join(told))
    lacking = [peer for peer in there if peer.note]
    for peer in lacking:
        say = mend if len(lacking) == len(there) else note
        yield say("servers", *unfit(peer.url, peer.note, owns=peer.server == kept.owner.server))
    for url, trouble in dict.fromkeys((peer.url, each) for peer in there for each in peer.troubles):
        yield mend("servers", *troubled(url, trouble))


def _said_of(peer: Peer, owner: str | None) -> Iterator[str]:
    yield peer.version
    if peer.server == owner:
        yield "owner"
    elif peer.lag is not None:
        yield f"warm copy, {peer.lag:,} transactions behind"


def _inbox(kept: Kept) -> Iterator[Finding]:
    rows, oldest, refused = kept.inbox
    many = f"{'more than ' if rows >= COUNTED_MOST else ''}{rows:,} rows wait"
    if rows and oldest > WAITED:
        told = f"{many}, the first for {span(oldest)}"
        yield note("inbox", told, "is a queue full (max_ready), or does nobody own the ledger?")
    else:
        yield well("inbox", many)
    if refused:
        yield note("inbox", f"{refused:,} rows were refused", "`dibs inbox` says why")
