"""The fence: whoever is not the owner any more writes nothing, however far behind it is."""

from __future__ import annotations

import threading

import pytest

psycopg = pytest.importorskip("psycopg")

from asks import seqs, take
from dibs.errors import LedgerMoved
from dibs.ledger.ops import EngineFailed
from dibs.ledger.postgres.fence import STEP, Fenced, Position
from dibs.ledger.postgres.pipeline import Failed, Pipeline, Statement
from dibs.ledger.postgres.terms import end_holder, key_of
from dibs.ledger.serve import Serve
from support.ledgers import begin_term

WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dibs owner' AND wait_event_type = 'Lock'
"""


def one(owner):
    return Serve(owner.numbers, 1, (take(),), length=100)


@pytest.mark.parametrize("behind", [0, 1, 2, 5])
def test_an_owner_that_wakes_up_writes_nothing_however_far_behind(owner, behind):
    owner.engine.apply([one(owner)])
    other = begin_term(owner.ledger)
    for _ in range(behind):
        other.apply([one(owner)])
    n, cursor = other.position, other.row(owner.numbers).cursor
    with pytest.raises(EngineFailed, match="is not the newest one"):
        owner.engine.apply([one(owner)])
    assert isinstance(owner.engine.trouble(), LedgerMoved)
    assert (owner.moves, owner.engine.unheard(), owner.engine.sure) == ([None], None, False)
    assert isinstance(owner.recovery.apply([one(owner)]), LedgerMoved)
    assert owner.do("SELECT n, term FROM position") == [(n, 2)]
    assert owner.do("SELECT cursor FROM counter WHERE queue = %s", owner.numbers) == [(cursor,)]
    assert seqs(other.apply([one(owner)]).outcomes[0][0]) == [cursor + 1]
    other.close()


def test_an_insert_of_the_next_number_alone_would_be_no_fence(owner):
    """The control: without the row that has to be there, an owner two positions behind gets in."""
    n = owner.n
    for _ in range(2):
        owner.engine.apply([one(owner)])
    owner.do("INSERT INTO position (n, term, clock) VALUES (%s, 1, 0)", n + 1)
    assert owner.do("SELECT count(*) FROM position") == [(2,)]
    owner.do("DELETE FROM position WHERE n = %s", n + 1)


def test_what_was_not_made_by_this_server_is_not_read_either_once_it_is_unsure(owner):
    """An owner that was asleep answers nothing before it has stepped, not even what changes nothing."""
    other = begin_term(owner.ledger)
    other.apply([one(owner)])
    owner.engine._keeping._sent -= 2_000
    nothing = Serve(owner.jobs, 1, (take(),))
    with pytest.raises(EngineFailed, match="is not the newest one"):
        owner.engine.apply([nothing])
    other.close()


def test_a_transaction_that_stalled_holds_up_a_takeover_until_its_session_is_ended(owner):
    n = owner.n
    stalled = owner.ledger.connect(writes=True)
    owner.engine._disconnect()
    stalled.execute("SELECT pg_advisory_lock(%s)", (key_of(owner.ledger.schema),))
    stalled.execute("BEGIN")
    step = STEP.replace("$1", str(n)).replace("$2", "1").replace("$3", "1").replace("$4", "0")
    stalled.execute(step.encode())
    others = []
    thread = threading.Thread(target=lambda: others.append(begin_term(owner.ledger)))
    thread.start()
    while owner.do(WAITING) == [(0,)]:
        thread.join(0.01)
    assert others == []
    with owner.ledger.connect() as session:
        assert end_holder(session, owner.ledger.schema, 0.0)
    thread.join(60)
    [other] = others
    assert (other.term, owner.do("SELECT after FROM term WHERE term = 2")) == (2, [(n,)])
    stalled.close()
    other.close()


def test_only_the_step_itself_tells_of_another_owner(owner):
    """23502 is a null where none may be: in another statement it is that statement's fault."""
    with owner.ledger.connect(writes=True) as session:
        pipeline = Pipeline(session)
        position = Position(pipeline, owner.n, 1, 0)
        null = Statement("INSERT INTO action (id) VALUES (NULL)")
        with pytest.raises(Failed, match="23502"):
            position.step(1, [null])
        assert position.n == owner.n
        for n, term in ((owner.n - 1, 1), (owner.n + 1, 1), (owner.n, 2), (owner.n, 0)):
            with pytest.raises(Fenced):
                Position(pipeline, n, term, 0).step(1)
