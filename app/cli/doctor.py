"""``dibs doctor``: what is not as it should be on this machine, in its folder, on the way to a server."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .exits import FAILED, OK
from .options import DEFAULT_URL, Json, Url

if TYPE_CHECKING:
    from .doctor_findings import Finding

_SIGNS = {"well": ("✓", "green"), "note": ("·", "yellow"), "mend": ("✗", "bold red")}


def doctor(
    *,
    data: str | None = None,
    config: Annotated[Path | None, typer.Option("--config", show_default=False)] = None,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Look for what is not as it should be, and say what to mend. Nothing is changed.

    It looks at the settings, the data folder (who may read it, the kind of its disk, room, format, damage) or
    the database (its settings, standbys, who owns the ledger, which servers there are, the inbox), versions,
    open files, proxies, clocks, and whether events stream from the server at once. The exit code is 1 if
    something is to be mended. A folder may be looked at while a server uses it.

    Args:
        data: Folder of the ledger.  [default: that of the settings]
        config: Configuration file.  [default: dibs.toml, if it is there]

    Example: `dibs doctor --url http://127.0.0.1:8000`
    """
    from .output import print_json

    findings = list(_once(_look(data, config, url)))
    if json:
        print_json({"well": _is_well(findings), "findings": [finding._asdict() for finding in findings]})
    else:
        _show(findings)
    raise typer.Exit(OK if _is_well(findings) else FAILED)


def _look(data: str | None, config: Path | None, url: str) -> Iterator[Finding]:
    from ..config import MEMORY, Settings, load
    from ..errors import ConfigError
    from ..ledger.database import Database
    from ..ledger.sqlite.examining import SQLITE
    from . import doctor_folder, doctor_machine, doctor_server
    from .doctor_findings import mend, note, well

    since, named = (time.time(), time.monotonic()), url != DEFAULT_URL or "DIBS_URL" in os.environ
    settings = Settings()
    try:
        settings = load(file=config)
        yield well("settings", "`dibs config` shows them")
    except ConfigError as error:
        yield mend("settings", str(error), "correct them; a server would not start")
    folder = settings.data if data is None else Database.read(data) or data
    if folder == MEMORY:
        yield note("folder", "the ledger is in memory", "say data = FOLDER to keep it")
    elif isinstance(folder, Database):
        from . import doctor_database

        yield from doctor_database.look_at(folder.url)
    else:
        yield from doctor_folder.look_at(Path(folder), of=url if named and data is None else None)
    yield from doctor_machine.versions(SQLITE)
    yield from doctor_machine.open_files(settings)
    yield from doctor_machine.proxies(url)
    yield from doctor_server.look_through(url, named=named)
    yield from doctor_machine.clock(since)


def _once(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Leave out what a server tells of the others where the look at their database has told it."""
    told = set()
    for finding in findings:
        if finding.about != "cluster" or finding.found not in told:
            yield finding
        told.add(finding.found)


def _is_well(findings: Sequence[Finding]) -> bool:
    return all(finding.level != "mend" for finding in findings)


def _show(findings: Sequence[Finding]) -> None:
    from rich.table import Table

    from .tables import plain, show

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        sign, style = _SIGNS[finding.level]
        table.add_row(plain(sign, style), plain(finding.about, style), plain(finding.found))
        if finding.mend:
            table.add_row("", "", plain(f"→ {finding.mend}", "cyan" if finding.level == "mend" else "dim"))
    many = sum(finding.level == "mend" for finding in findings)
    last = "All is well." if not many else f"{many} thing{'' if many == 1 else 's'} to mend."
    show(table, plain(last, "green" if not many else "bold red"))
