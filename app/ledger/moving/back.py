"""From a database to a data folder."""

from __future__ import annotations

from pathlib import Path

from ...errors import LedgerMigrated, LedgerUnavailable
from ..postgres.departing import depart, drop, refuse_inbox, refuse_servers, retire
from ..postgres.site import Found, Site
from ..sqlite.incoming import Incoming
from ..sqlite.leaving import Left, looked_at
from .progress import Done, Progress


def migrate_back(url: str, folder: Path, progress: Progress) -> Done:
    """Move a ledger from the database that a URL names into a folder; no server may have either.

    A folder that is not there, or is empty, gets all of it. The folder that it came from is opened again,
    if nothing was written since. Done again after it was interrupted, it goes on.

    Raises:
        ConfigError, LedgerError: it is not done; the message says why.
    """
    with Site(url) as source:
        there, found = looked_at(folder), source.found()
        if found is None:
            raise LedgerUnavailable(f"there is no ledger in {source.shown}: nothing was moved")
        if there is not None and there[1] is None:
            return _dropped(folder, there[0], source, found, progress)
        refuse_servers(source)
        rows: dict[str, int] = {}
        if there is None:
            rows = _exported(folder, source, found, progress)
            progress.step("exported")
        with Left(folder) as left:
            if left.mark is None or left.mark.made != found.made:
                raise LedgerMigrated(
                    f"the ledger in {source.shown} is not the one that {folder} has moved to; nothing was"
                    " changed"
                )
            if found.position is not None:
                retire(source, left.mark.position)
            else:
                source.confirm()
            progress.step("retired")
            left.unmark()
            progress.step("unmarked")
        drop(source, found.instance)
        progress.step("dropped")
        return Done(str(folder), rows, left.mark.position)


def _dropped(folder: Path, instance: str, source: Site, found: Found, progress: Progress) -> Done:
    """Drop what is left in the database of a ledger that is in its folder again."""
    if found.position is not None or found.instance != instance:
        raise LedgerUnavailable(
            f"{folder} has a ledger in it: a ledger comes back into a fresh folder, or into the one that it"
            " was moved from; nothing was changed"
        )
    drop(source, instance)
    progress.step("dropped")
    return Done(str(folder), {}, 0)


def _exported(folder: Path, source: Site, found: Found, progress: Progress) -> dict[str, int]:
    """Put all of the ledger into a fresh folder, marked, so that it can't be opened yet."""
    if found.position is None:
        raise LedgerMigrated(
            f"a ledger is on its way to or from {source.shown}, and not there: run the `dibs migrate` that"
            " moves it again, with its folder"
        )
    source.update()
    refuse_inbox(source)  # no folder is made for what can't leave
    with Incoming(folder) as incoming:
        progress.begin(0)
        moment = depart(source, found.made, incoming.file, progress.rows)
        incoming.arrived()
    return {name: each.rows for name, each in moment.sums.items()}
