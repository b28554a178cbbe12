"""Transactions that were told to callers and are gone: what is noted of them, and how the ledger goes on.

The note is in the database that has lost them. So no server that comes later, and knows of nothing, goes on
without them before somebody has said so; and then every queue passes over what was handed out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...errors import LedgerLost, LedgerUnavailable, QueueConflict
from ..ops import EngineFailed
from ..recovered import Recovered
from .arrays import array_of
from .connecting import Place, connect
from .pipeline import Statement
from .terms import Owner, owner_of

if TYPE_CHECKING:
    import psycopg

    from ..ops import QueueRow

HOW: Final = (
    "`dibs recover` writes back what their owner has kept; `dibs recover --accept-loss` goes on without them"
)

_THERE: Final = "SELECT to_regclass('loss') IS NOT NULL"
_NEWEST: Final = """
SELECT term, n, found, noticed, accepted, passed, again, gone, went_on,
    coalesce(accepted, noticed) > clock_timestamp() - interval '7 days'
FROM loss ORDER BY term DESC LIMIT 1
"""
_NOTICE: Final = """
INSERT INTO loss (term, n, found, queues) VALUES (%s, %s, %s, %s)
ON CONFLICT (term) DO UPDATE SET n = greatest(loss.n, excluded.n), found = least(loss.found, excluded.found),
    queues = coalesce(excluded.queues, loss.queues)
"""
# Whoever is noted waits for no standby: that would be the one whose promotion has lost something.
_LIGHTLY: Final = "SET synchronous_commit = local"

# It is there where a server of this release has been; `dibs recover` may be the first of it.
_WHO: Final = "ALTER TABLE loss ADD COLUMN IF NOT EXISTS who text"
_ACCEPT: Final = """
WITH told AS (
    SELECT each.key::int8 AS id, (each.value ->> 'cursor')::int8 AS cursor,
        (each.value ->> 'done')::int8 AS done, each.value ->> 'name' AS name
    FROM loss, jsonb_each(loss.queues::jsonb) AS each WHERE loss.term = %(term)s
), queues AS (
    SELECT told.name, q.id IS NULL AS gone, greatest(told.cursor - c.cursor, 0) AS passed,
        least(greatest(told.done - c.acked - c.purged, 0),
            c.cursor - c.base - c.taken - c.acked - c.purged - c.jumped) AS again
    FROM told LEFT JOIN queue AS q ON q.id = told.id LEFT JOIN counter AS c ON c.queue = q.id
    WHERE q.deleted_at IS NULL
)
UPDATE loss SET accepted = clock_timestamp(), who = %(who)s,
    passed = CASE WHEN queues IS NOT NULL THEN (SELECT coalesce(sum(passed), 0) FROM queues) END,
    again = CASE WHEN queues IS NOT NULL THEN (SELECT coalesce(sum(again), 0) FROM queues) END,
    gone = CASE WHEN queues IS NOT NULL
        THEN (SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM queues WHERE gone)::text END
WHERE term = %(term)s AND accepted IS NULL
"""

# As Advance does it: what lies between counts as jumped. It is done with the first step of the next term.
_LEAP: Final = """
WITH told AS (
    SELECT each.key::int8 AS id, (each.value ->> 'cursor')::int8 AS "to", each.value ->> 'mark' AS mark
    FROM loss, jsonb_each(loss.queues::jsonb) AS each WHERE loss.accepted IS NOT NULL AND loss.went_on IS NULL
), gone AS (
    DELETE FROM counter AS c USING told, queue AS q
    WHERE c.queue = told.id AND q.id = told.id AND q.deleted_at IS NULL AND c.cursor < told."to"
    RETURNING c.queue, c.base, c.cursor, c.taken, c.jumped, c.acked, c.purged, c.dead, told."to", told.mark
)
INSERT INTO counter (queue, base, cursor, taken, jumped, acked, purged, dead, mark, number)
SELECT queue, base, "to", taken, jumped + "to" - cursor, acked, purged, dead, mark, ($1::int8[])[1] FROM gone
"""
# While nothing could be written nobody could note who did that: the term that goes on does, before it loads.
_NOTED: Final = """
INSERT INTO action (id, at, who, queue, what, brief)
SELECT coalesce((SELECT max(id) FROM action), 0) + row_number() OVER (ORDER BY term),
    (extract(epoch FROM accepted) * 1000)::int8, convert_to(coalesce(who, 'somebody'), 'UTF8'), '',
    convert_to('let the ledger go on without ' || n - found || ' transactions that were lost, in term '
        || ($1::int8[])[1], 'UTF8'), 'accepted loss'
FROM loss WHERE accepted IS NOT NULL AND went_on IS NULL
"""
_WENT_ON: Final = """
UPDATE loss SET went_on = ($1::int8[])[1] WHERE accepted IS NOT NULL AND went_on IS NULL
"""
CHANGED: Final = "22012"
"""The SQLSTATE of a term that may not begin: a loss was noted since its server has looked."""
_UNCHANGED: Final = """
SELECT 1 / (NOT EXISTS (
    SELECT FROM (SELECT * FROM loss ORDER BY loss.term DESC LIMIT 1) AS newest
    WHERE newest.term >= ($1::int8[])[1]
        OR (newest.accepted IS NULL AND (newest.term, newest.n) > (($1::int8[])[2], ($1::int8[])[3]))
        OR (newest.accepted IS NOT NULL AND newest.went_on IS NULL)
))::int
"""
_MADE_GOOD: Final = "DELETE FROM loss WHERE term = ANY ($1::int8[])"


class Loss(NamedTuple):
    """Of a ``term`` all up to ``n`` was told, and the ledger stood at ``found`` only.

    ``accepted``: when somebody said that it goes on without. Then ``passed`` numbers were passed over, and up
    to ``again`` items are handed out again; None where nobody knew. ``gone``: queues that are not there any
    more, in JSON. ``went_on`` is the term that began without. ``recent``: of the last days.
    """

    term: int
    n: int
    found: int
    noticed: datetime
    accepted: datetime | None
    passed: int | None
    again: int | None
    gone: str | None
    went_on: int | None
    recent: bool


def newest(session: psycopg.Connection[Any]) -> Loss | None:
    """The newest loss that is noted; a ledger of an older release has no place for it."""
    [(there,)] = session.execute(_THERE)
    row = session.execute(_NEWEST).fetchone() if there else None
    return None if row is None else Loss(*row)


def lost(n: int, term: int, known: str) -> str:
    """The sentence of a ledger that lacks what is known to have been there."""
    return (
        f"the ledger stands at transaction {n} of term {term}, but {known}: the database has lost some, as"
        f" where a standby was promoted that lacked them. {HOW}"
    )


def check_whole(session: psycopg.Connection[Any], seen: tuple[int, int]) -> None:
    """Refuse to own a ledger that lacks something: the newest that was ``seen`` (a term, a number), or noted.

    What was seen is noted before.

    Raises:
        LedgerLost: it does, and nobody has said that the ledger goes on without.
    """
    found, noted = owner_of(session), newest(session)
    standing = found.term, found.n
    if standing < seen and (noted is None or noted.accepted is None or noted.term < seen[0]):
        notice(session, *seen, found)
        noted = newest(session)
    refuse(noted, standing)


def refuse(noted: Loss | None, standing: tuple[int, int]) -> None:
    """Refuse to go on where the newest loss halts a ledger that stands at a term and a number.

    Raises:
        LedgerLost: it does.
    """
    if noted is not None and halts(noted, standing):
        known = f"{noted.n} of term {noted.term} was there"
        raise LedgerLost(lost(standing[1], standing[0], known))


def notice(
    session: psycopg.Connection[Any], term: int, n: int, found: Owner, rows: Sequence[QueueRow] | None = None
) -> None:
    """Note that all up to ``n`` was told; ``rows``: the queues as they were then, where that is known."""
    queues = None
    if rows is not None:
        known = {
            row.id: {"name": row.name, "cursor": row.cursor, "mark": row.mark, "done": row.acked + row.purged}
            for row in rows
            if row.deleted_at is None
        }
        queues = json.dumps(known)
    with session.transaction():
        session.execute(_LIGHTLY.replace("SET", "SET LOCAL"))
        session.execute(_NOTICE, (term, n, found.n, queues))


def accept(session: psycopg.Connection[Any], who: str) -> Recovered:
    """Let the ledger go on without what is lost: whoever owns it next does, and passes over what was told.

    ``who`` has said so: the next owner has it among its actions.

    Raises:
        QueueConflict: nothing is lost, as far as is noted, or it goes on already.
    """
    with session.transaction():
        noted, found = newest(session), owner_of(session)
        if noted is None or noted.accepted is not None:
            raise QueueConflict("nothing is lost, as far as any server has noticed")
        if (found.term, found.n) >= (noted.term, noted.n):
            raise QueueConflict(
                f"nothing is to be accepted: the ledger stands at transaction {found.n} of term {found.term},"
                f" after what was lost ({noted.n} of term {noted.term})"
            )
        session.execute(_WHO)
        session.execute(_ACCEPT, {"term": noted.term, "who": who})
        noted = newest(session)
        assert noted is not None  # noqa: S101  # it was there in this transaction
    gone = None if noted.gone is None else tuple(json.loads(noted.gone))
    return Recovered(0, noted.n - noted.found, noted.passed, noted.again, gone)


def accept_at(url: str) -> Recovered:
    """Let the ledger at a URL go on without what is lost, while no server can be asked.

    Raises:
        ConfigError, LedgerUnavailable: it can't be reached, or it is none.
        QueueConflict: as in :func:`accept`.
    """
    import psycopg

    place = Place.of(url)
    try:
        with connect(place, purpose="recover") as session:
            return accept(session, "dibs recover --data")
    except EngineFailed as error:
        raise LedgerUnavailable(str(error)) from error
    except psycopg.Error as error:
        text = " ".join(str(error).split())
        raise LedgerUnavailable(f"the ledger in {place.shown} can't be read: {text}") from error


def went_on(term: int, number: int) -> list[Statement]:
    """The statements by which a term that begins without what was lost passes over what was told of it."""
    return [
        Statement(_LEAP, [array_of("int", [number])]),
        Statement(_NOTED, [array_of("int", [term])]),
        Statement(_WENT_ON, [array_of("int", [term])]),
    ]


def unchanged(term: int, standing: tuple[int, int]) -> Statement:
    """The statement, last in the transaction that begins a term, that fails where a loss forbids it.

    The ledger stood at a term and a number when its server looked. What was noted since is to be seen first.
    """
    return Statement(_UNCHANGED, [array_of("int", [term, *standing])])


def made_good(term: int) -> Statement:
    """The statement of a transaction after which nothing of this term is lost any more."""
    return Statement(_MADE_GOOD, [array_of("int", [term])])


def halts(loss: Loss | None, standing: tuple[int, int]) -> bool:
    """Whether a ledger that stands at a term and a number waits for somebody to say how it goes on."""
    return loss is not None and loss.accepted is None and standing < (loss.term, loss.n)


def words_of(loss: Loss | None, standing: tuple[int, int]) -> str | None:
    """What an operator should know of the newest loss, where the ledger stands at a term and a number."""
    if loss is None:
        return None
    if halts(loss, standing):
        known = f"{loss.n} of term {loss.term} was told"
        return f"Nothing is handed out: {lost(standing[1], standing[0], known)}"
    if not loss.recent:
        return None
    many = f"{loss.n - loss.found:,} transactions of term {loss.term:,} that were told to callers are lost"
    if loss.accepted is None:
        return (
            f"{many}, and another server went on without them, as it did not know of them: what they handed"
            " out may have gone out again. `dibs advance` passes over numbers"
        )
    when = f"since {loss.accepted:%Y-%m-%d %H:%M} UTC the ledger goes on without them"
    if loss.passed is None:
        return (
            f"{many}; {when}. Nobody knew what they did: what they handed out goes out again, unless"
            " `dibs advance` passes over it"
        )
    return (
        f"{many}; {when}. {loss.passed:,} numbers that they handed out or took in were passed over (jumped),"
        f" and up to {loss.again:,} items that were done since are handed out again"
    )
