"""``dibs backup``: a consistent copy, while the server goes on."""

from __future__ import annotations

from .changes import tell_done
from .options import Json, Url


def backup(*, url: Url = None, json: Json = False) -> None:
    """Copy the ledger of a running server, consistently, into its data folder on the server's machine.

    `dibs restore` puts a copy into a fresh folder, checked, for `dibs serve --data`.

    Example: `dibs backup --url http://127.0.0.1:8000`
    """
    from .http import Api
    from .tables import size

    with Api(url) as api:
        done = api.post("/backup")
    tell_done(done, f"{done['path']}  {size(done['bytes'])}", json=json)
