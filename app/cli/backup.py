"""``dibs backup``: a consistent copy, while the server goes on."""

from __future__ import annotations

from typing import Final

from .exits import tell
from .options import Json, Url

EXAMPLE: Final = "Example: `dibs backup --url http://127.0.0.1:8000`"


def backup(*, url: Url = None, json: Json = False) -> None:
    """Copy the ledger of a running server, consistently, into its data folder on the server's machine.

    `dibs restore` puts a copy into a fresh folder, checked, for `dibs serve --data`.
    """
    from .http import Api
    from .tables import json_text, size

    with Api(url) as api:
        done = api.post("/backup")
    tell(json_text(done) if json else f"{done['path']}  {size(done['bytes'])}")
