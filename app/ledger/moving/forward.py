"""From a data folder to a database."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from ..postgres.arriving import Arrived, arrive, complete
from ..postgres.copying import Layout
from ..postgres.site import Site
from ..sqlite.leaving import Leaving, Left, Rows, looked_at
from ..sqlite.moved import refusal
from .progress import Done, Progress

FIRST: Final = 1
"""The position at which a ledger arrives: that of the transaction that brings it."""

_NUMBERED: Final = {"counter": "number"}
"""The numbers of transactions are counted anew by positions: of all that came it is the first."""


def migrate(folder: Path, url: str, progress: Progress) -> Done:
    """Move the ledger of a folder that no server has to the database that a URL names.

    Done again after it was interrupted, it goes on; done again after that it changes nothing.

    Raises:
        ConfigError, LedgerError: it is not done; the message says why.
    """
    with Site(url) as target:
        for warning in target.warnings:
            progress.warn(warning)
        there = looked_at(folder)
        if there is not None and there[1] is not None:
            return _go_on(folder, target, progress)
        target.refuse(target.found())
        with Leaving(folder) as source:
            progress.step("opened")
            arrived = _copy(source, target, progress)
            progress.step("committed")
            source.mark(target.shown, arrived.made, FIRST)
            progress.step("marked")
        _complete(target, arrived.made, FIRST, source.clock, progress)
        return Done(target.shown, {name: each.rows for name, each in arrived.sums.items()}, FIRST)


def _copy(source: Leaving, target: Site, progress: Progress) -> Arrived:
    def fill(copy: Any, tables: list[Layout]) -> None:
        def from_(read: Rows) -> None:
            names = [layout.table.name for layout in tables]
            progress.begin(sum(next(read(name, ["count(*)"]))[0] for name in names))
            for layout in tables:
                copy(layout, read(layout.table.name, _columns(layout)))

        source.read_rows(from_)

    return arrive(target, source.instance, fill, progress.step, progress.rows)


def _columns(layout: Layout) -> list[str]:
    numbered = _NUMBERED.get(layout.table.name)
    return [str(FIRST) if column == numbered else column for column in layout.table.columns]


def _go_on(folder: Path, target: Site, progress: Progress) -> Done:
    """Finish a move whose folder is marked already."""
    with Left(folder) as left:
        mark, found = left.mark, target.found()
        if mark is None or found is None or found.made != mark.made:
            raise refusal(str(folder / "dibs.db"), "another place" if mark is None else mark.to)
        if found.position is None:
            _complete(target, mark.made, mark.position, left.clock, progress)
        else:
            target.confirm()
        return Done(target.shown, {}, mark.position)


def _complete(target: Site, made: str, position: int, clock: int, progress: Progress) -> None:
    lacking = complete(target, made, position, clock)
    progress.step("complete")
    if lacking is not None:
        progress.warn(lacking)
