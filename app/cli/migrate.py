"""``dibs migrate``: a ledger moves from a data folder to a database, or back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .changes import tell_done
from .exits import USAGE, fail
from .options import Json

if TYPE_CHECKING:
    from ..ledger.database import Database
    from ..ledger.moving.progress import Done


def migrate(
    origin: Annotated[str, typer.Argument(metavar="FROM")],
    to: Annotated[str, typer.Argument(metavar="TO")],
    *,
    back: bool = False,
    json: Json = False,
) -> None:
    """Move the ledger of a data folder to a PostgreSQL, with all that was filed under keys; or back.

    No server may have it open. All rows are copied in one transaction and compared; the folder is then marked
    as moved and is not opened any more, so that never both hand out. If it is interrupted, do it again: it
    goes on.

    Args:
        origin: The data folder; with --back the URL of the database.
        to: The URL, postgresql://USER@HOST/DATABASE, with ?ledger=NAME for another schema than dibs; a
            password is better in PGPASSWORD or ~/.pgpass than here. With --back the folder: one that is not
            there or is empty gets everything; the one that it came from is opened again, while nothing was
            written since.
        back: From the database into a folder.

    Example: `dibs migrate dibs-data postgresql://dibs@db.example.com/jobs`
    """
    from ..ledger.database import Database

    url, folder = (origin, to) if back else (to, origin)
    database = Database.read(url)
    if database is None or Database.read(folder) is not None:
        how = "dibs migrate --back postgresql://… FOLDER" if back else "dibs migrate FOLDER postgresql://…"
        hint = "" if back or Database.read(origin) is None else "; --back moves from a database into a folder"
        fail(f"say {how}{hint}", USAGE)
    done = _moved(database, Path(folder), back=back)
    told = {"from": folder, "to": done.to, "rows": done.rows, "position": done.position}
    if back:
        told["from"] = str(database)
    tell_done(told, _told(done, folder, back=back), json=json)


def _moved(database: Database, folder: Path, *, back: bool) -> Done:
    from ..ledger.moving.back import migrate_back
    from ..ledger.moving.forward import migrate as migrate_
    from .console import console
    from .migrate_progress import Moving
    from .terminable import terminable

    with terminable(), Moving(console(stderr=True)) as progress:
        if back:
            return migrate_back(database.url, folder, progress)
        return migrate_(folder, database.url, progress)


def _told(done: Done, folder: str, *, back: bool) -> str:
    rows = f", {sum(done.rows.values()):,} rows, compared" if done.rows else ""
    if back:
        return f"The ledger is in {folder}{rows}, and not in the database any more."
    serve = f"dibs serve --data '{done.to}'"
    return f"The ledger is in {done.to}{rows}. {folder} is not opened any more. Go on: {serve}"
