"""What standbys mean for a ledger: what is lost with the primary, and what waits for a standby."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import psycopg

# An ordinary role sees that there is a standby, but not its state; a backup that is being taken is none.
_STANDBYS: Final = """
SELECT current_setting('synchronous_standby_names'),
    (SELECT count(*) FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup')
"""
_NEEDED: Final = re.compile(r"\s*(?:FIRST\s+|ANY\s+)?(\d+)\s*\(", re.IGNORECASE)


class Standbys(NamedTuple):
    """How many standbys are connected, for how many of them a commit waits, and by which setting."""

    there: int
    needed: int
    names: str


def standbys_of(session: psycopg.Connection[Any]) -> Standbys:
    """The standbys that there are now."""
    [(names, there)] = session.execute(_STANDBYS)
    return Standbys(there, needed_of(names) if names.strip() else 0, names)


def warnings_of_standbys(found: Standbys) -> list[str]:
    """What an operator should know of them."""
    standbys, needed, names = found
    if not needed:
        return [_ASYNCHRONOUS.format(_counted(standbys))] if standbys else []
    if standbys < needed:
        return [_MISSING.format(names=names, needed=_counted(needed), there=standbys or "none")]
    if standbys == needed:
        return [_NONE_TO_SPARE.format(names=names, needed=_counted(needed))]
    return []


def needed_of(names: str) -> int:
    """For how many standbys a commit waits, by ``synchronous_standby_names``: its list alone means one."""
    match = _NEEDED.match(names)
    return int(match[1]) if match else 1


def _counted(standbys: int) -> str:
    return "1 standby" if standbys == 1 else f"{standbys} standbys"


_ASYNCHRONOUS: Final = (
    "PostgreSQL has {}, and waits for none: when the primary is lost, what was answered last is lost with it,"
    " and may be handed out again. Set synchronous_standby_names, for instance to 'ANY 1 (*)', on the primary"
    " and on whoever may become it"
)
_MISSING: Final = (
    "synchronous_standby_names = '{names}' makes each commit wait for {needed}, and connected is {there}:"
    " nothing is answered until that has changed. Start the standby; or, if it is gone for good, take it out"
    " of synchronous_standby_names"
)
_NONE_TO_SPARE: Final = (
    "synchronous_standby_names = '{names}' makes each commit wait for {needed}, and no other is connected:"
    " when one is gone, nothing is answered until it is back. Add a standby, and name both as in"
    " 'ANY 1 (a, b)'"
)
