"""``dibs serve`` as it must not be: an owner whom the fence stops goes on all the same, from its memory."""

import sys

from dibs.cli import main
from dibs.ledger.postgres.engine import PostgresEngine
from dibs.ledger.postgres.fence import Fenced, Position
from dibs.ledger.postgres.pipeline import Broken, Failed, Unsafe
from dibs.ledger.postgres.sharing import OwnTerm, SharedLedger

step = Position.step


def step_or_pretend(position, clock, statements=(), *, changes=(), term=0):
    try:
        step(position, clock, statements, changes=changes, term=term)
    except (Fenced, Broken, Failed, Unsafe):
        if term:
            raise
        position.n += 1


Position.step = step_or_pretend
PostgresEngine._fenced = lambda engine, why: None
OwnTerm.trusted = lambda term: True
SharedLedger._told = lambda ledger, news: news()

if __name__ == "__main__":
    sys.exit(main())
