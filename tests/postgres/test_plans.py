"""An owner's statements find rows by keys: no table is read whole, nor the versions of rows that are gone."""

import re

import pytest

psycopg = pytest.importorskip("psycopg")

from dibs.ledger.postgres import lookups, terms
from dibs.ledger.postgres.changes import deletion
from dibs.ledger.postgres.fence import STEP
from dibs.ledger.postgres.ledger import Ledger
from dibs.ledger.postgres.tables import TABLES

KEYED = [name for name, table in TABLES.items() if table.key]
FINDS = {**{f"delete from {name}": deletion(name) for name in KEYED}, "step": STEP}
FINDS |= {"answers": lookups.ANSWERS, "item keys": lookups.ITEM_KEYS}
FINDS |= {"forget": lookups.FORGET, "sweep": lookups.SWEEP}
FINDS |= {f"prune {table}": text for table, text in lookups.PRUNE.items()}
LOOKS = {
    "left": (lookups.LEFT, {"queue": 1, "first": 1, "most": 1}),
    "expired": (lookups.EXPIRED, {"now": 1, "most": 1} | dict.fromkeys(lookups.EXPIRE, 1)),
}


def plan(session, explained, values=None):
    return "\n".join(line for (line,) in session.execute(f"EXPLAIN {explained}", values))


def known(session):
    """The planner knows that each table has next to nothing, as one of which each row is another one soon."""
    for (name,) in session.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'dibs'").fetchall():
        session.execute(f"VACUUM ANALYZE dibs.{name}")


def by_keys(found):
    """Whether each index is asked for the key of a row, and no table is read whole."""
    lines = found.splitlines()
    scans = [at for at, line in enumerate(lines) if "Index" in line and "Scan" in line]
    assert scans, found
    assert all("Index Cond" in lines[at + 1] for at in scans), found
    assert "Seq Scan" not in found, found


@pytest.mark.parametrize("counted", [False, True], ids=["new", "analyzed"])
@pytest.mark.parametrize("which", FINDS)
def test_what_a_transaction_changes_or_looks_up_is_found_by_keys(ledger_url, which, counted):
    """In a table that was empty, or had one row, when the statement was planned, as that plan is kept."""
    text = FINDS[which]
    with Ledger(ledger_url).connect(writes=True) as session:
        if counted:
            known(session)
        session.execute(f"PREPARE found AS {text}")
        nulls = ", ".join(["NULL"] * len(set(re.findall(r"\$\d+", text))))
        by_keys(plan(session, f"EXECUTE found ({nulls})"))


@pytest.mark.parametrize("which", LOOKS)
def test_what_it_counts_is_found_by_keys(ledger_url, which):
    text, values = LOOKS[which]
    with Ledger(ledger_url).connect(by_key=True) as session:
        found = plan(session, text, values)
    assert "Index" in found
    assert "Seq Scan" not in found


def test_the_newest_position_is_the_last_one_of_its_index(ledger_url):
    """Each server looks at it four times a second."""
    with Ledger(ledger_url).connect(by_key=True) as session:
        known(session)
        found = plan(session, terms._OWNER)
    assert "Index Scan Backward using position_pkey" in found
    assert "Seq Scan" not in found


def test_whoever_reads_all_plans_as_the_server_likes(ledger_url):
    """The control: without the settings some of these statements would read all of a table."""
    with Ledger(ledger_url).connect() as session:
        found = [plan(session, text, values) for text, values in LOOKS.values()]
        for which, text in enumerate(FINDS.values()):
            session.execute(f"PREPARE found_{which} AS {text}")
            session.execute("SET plan_cache_mode = force_generic_plan")
            nulls = ", ".join(["NULL"] * len(set(re.findall(r"\$\d+", text))))
            found.append(plan(session, f"EXECUTE found_{which} ({nulls})"))
    assert any("Seq Scan" in each for each in found)
