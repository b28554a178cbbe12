"""The operations on the server itself, which `read_only` leaves alone: the file decides, not the request."""

from __future__ import annotations

from typing import Final

from ...access.caller import ANYBODY, CALLER
from ..operation import Call, Operations, Spec
from ..problem_table import LEDGER
from ..records import answer
from ..reply import Reply

server: Final = Operations("server")


@server.add("GET", "/config", Spec(role="admin", answer="SettingsInForce"))
async def config(call: Call) -> Reply:
    """Read the settings in force.

    Each has its name, its value, where that comes from (`default`, the file, the environment, an option), and
    whether a reload may change it (`live`). Secrets are masked.
    """
    await _admit(call)
    return answer({"settings": call.context.reloading.table()})


@server.add("POST", "/reload", Spec(role="admin", answer="Reloaded", problems=("conflict", *LEDGER)))
async def reload(call: Call) -> Reply:
    """Reload the settings.

    The server reads its configuration anew: queues, limits, and the other settings that may change while it
    runs. What needs a start stays as it is, and is named in `kept`. If anything is wrong, nothing is changed
    (409 `conflict` says what). A queue that is no longer in the configuration goes on.
    """
    await _admit(call)
    return answer(await call.context.reloading.run(who=call.who))


async def _admit(call: Call) -> None:
    """Let in whom the tokens in the database let in, where this server knows of none: it is a front."""
    access, scope = call.context.front_access, call.request.scope
    if access is not None and call.caller is ANYBODY:
        scope[CALLER] = caller = await access.admit(scope, call.headers)
        caller.check("admin", "")
