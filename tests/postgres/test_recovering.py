"""Transactions that were told to callers are gone: they are written back, or given up, and that is told."""

from __future__ import annotations

import json

import pytest

psycopg = pytest.importorskip("psycopg")

from asks import seqs, settle, take
from dibs.errors import LedgerLost, LedgerMoved, LedgerUnavailable, OutcomeUnknown, QueueConflict
from dibs.ledger.inbox import Arrival, Place, TakeIn, Unfit
from dibs.ledger.ops import Define
from dibs.ledger.postgres import losses
from dibs.ledger.postgres.fence import Fenced, Position
from dibs.ledger.postgres.pipeline import Pipeline
from dibs.ledger.postgres.shipped import Sent, Shipped, Statement
from dibs.ledger.postgres.tables import TABLES
from dibs.ledger.postgres.terms import owner_of
from dibs.ledger.serve import Ask, HandOut, Holder, Key, Serve
from dibs.ledger.work import Ack, Parcel, Push, Release
from support.ledgers import begin_term

PUSHED = "INSERT INTO inbox (queue, value, priority) VALUES ('jobs', %s, 0)"
EVERYTHING = [*TABLES, "position", "term", "inbox", "inbox_refused"]


def takes(queue, *asks):
    return Serve(queue, 1, asks, length=1_000_000)


def lease(token="t", most=9):
    return Ask(HandOut(most, 1 << 20, Holder(token, 30_000, "")))


class Before:
    """All rows as they are now, to which the database can be set back, as by the promotion of a standby."""

    def __init__(self, owner):
        self._owner = owner
        with owner.ledger.connect() as session:
            self._rows = {name: self._read(session, name) for name in EVERYTHING}

    def _read(self, session, name):
        with session.cursor().copy(f"COPY {name} TO STDOUT (FORMAT binary)") as copy:
            return b"".join(copy)

    def back(self):
        """The owner's session ends, too; what the servers note later is theirs."""
        backend = self._owner.engine._session.info.backend_pid
        self._owner.do("SELECT pg_terminate_backend(%s, 60000)", backend)
        with self._owner.ledger.connect() as session, session.transaction():
            for name, rows in self._rows.items():
                session.execute(f"DELETE FROM {name}")
                with session.cursor().copy(f"COPY {name} FROM STDIN (FORMAT binary)") as copy:
                    copy.write(rows)


def finds_out(owner):
    """The owner finds out what is lost by an op, which may have been done for all that it knows."""
    op = takes(owner.numbers, take(1))
    assert isinstance(owner.recovery.apply([op]), OutcomeUnknown)
    assert isinstance(owner.recovery.apply([op]), LedgerLost)


def loses(owner, *, before=lambda: None, work=lambda: None):
    """Do something that is lost; the owner has noticed."""
    owner.engine.apply([takes(owner.numbers, take(2, Key("a", "d")))])
    owner.engine.apply([Push(owner.jobs, (Parcel(('"1"', '"2"'), keys=("a", "b")),))])
    before()
    there = Before(owner)
    work()
    there.back()
    finds_out(owner)
    assert owner.engine.lost


def busy(owner):
    """Work of all kinds, with beats between."""
    owner.engine.apply([takes(owner.numbers, take(3, Key("k", "d")))])
    owner.engine.keep_time()
    [[leased]] = owner.engine.apply([Serve(owner.jobs, 1, (lease("t", 1),))]).outcomes
    assert seqs(leased) == [1]
    owner.engine.apply([Serve(owner.jobs, 1, (settle(Ack("t")),))])
    owner.engine.apply([Push(owner.jobs, (Parcel(('"3"',), keys=("c",)),))])
    owner.engine.apply([Define("later", "", "{}")])
    owner.engine.keep_time()


def test_what_is_lost_is_written_back_and_the_owner_goes_on_with_its_memory(owner):
    loses(owner, work=lambda: busy(owner))
    n, term = owner.engine.position, owner.engine.term
    assert owner.n < n
    recovered = owner.engine.recover(accept_loss=False)
    assert (recovered.written, recovered.lost) == (5, 0)
    assert owner.recovery.still_down() is None
    assert owner.do("SELECT n, term FROM position") == [(n, term)]
    assert owner.do("SELECT count(*) FROM loss") == [(0,)]
    owner.same()
    [[again], [more]] = owner.recovery.apply(
        [takes(owner.numbers, take(3, Key("k", "d"))), Serve(owner.jobs, 1, (lease("u"),))]
    ).outcomes
    assert (again.replayed, seqs(again), seqs(more)) == (True, [3, 4, 5], [2, 3])
    [[fresh]] = owner.recovery.apply([takes(owner.numbers, take(1))]).outcomes
    assert seqs(fresh) == [6]
    owner.same()
    assert owner.do("SELECT name FROM queue WHERE name = 'later'") == [("later",)]


def test_it_is_lost_twice_and_written_back_twice(owner):
    for _ in range(2):
        there = Before(owner)
        owner.engine.apply([takes(owner.numbers, take(2))])
        there.back()
        finds_out(owner)
        assert owner.engine.recover(accept_loss=False).written == 1
        assert owner.recovery.still_down() is None
    owner.same()
    [[fresh]] = owner.recovery.apply([takes(owner.numbers, take(1))]).outcomes
    assert seqs(fresh) == [5]


def test_what_was_not_answered_when_it_was_lost_may_have_been_done(behind, proxy):
    there = Before(behind)
    behind.engine.apply([takes(behind.numbers, take(2))])
    there.back()
    proxy.losing = ["transaction"]
    told = behind.recovery.apply([takes(behind.numbers, take(3))])
    assert isinstance(told, OutcomeUnknown)
    assert isinstance(behind.recovery.apply([takes(behind.numbers, take(3))]), LedgerLost)
    proxy.losing.clear()
    behind.engine.recover(accept_loss=False)
    assert behind.recovery.still_down() is None
    [[fresh]] = behind.recovery.apply([takes(behind.numbers, take(1))]).outcomes
    assert seqs(fresh) == [3]
    behind.same()


@pytest.mark.parametrize("way", ["transaction", "answer"])
def test_what_was_found_or_sent_again_is_kept_as_well(behind, proxy, way):
    there = Before(behind)
    proxy.losing = [way]
    [[served]] = behind.recovery.apply([takes(behind.numbers, take(2))]).outcomes
    assert (seqs(served), proxy.losing) == ([1, 2], [])
    there.back()
    finds_out(behind)
    assert behind.engine.recover(accept_loss=False).written == 1
    assert behind.recovery.still_down() is None
    behind.same()


def test_writing_back_goes_on_after_a_failure_where_it_was(behind, proxy):
    there = Before(behind)
    for _ in range(4):
        behind.engine.apply([takes(behind.numbers, take(1))])
    there.back()
    finds_out(behind)
    proxy.losing = ["nothing", "answer"]
    with pytest.raises(LedgerUnavailable, match="try again"):
        behind.engine.recover(accept_loss=False)
    assert behind.engine.lost
    assert behind.engine.recover(accept_loss=False).written == 2
    assert behind.recovery.still_down() is None
    behind.same()


def test_what_is_older_than_what_is_kept_is_refused_and_given_up(owner, ledger_url, own):
    owner.engine._keeping.shipped._most = 3_000
    loses(owner, work=lambda: [owner.engine.apply([takes(owner.numbers, take(1))]) for _ in range(9)])
    with pytest.raises(QueueConflict, match=r"keeps those after .* `dibs recover --accept-loss`"):
        owner.engine.recover(accept_loss=False)
    assert owner.engine.lost
    accepted = owner.engine.recover(accept_loss=True, who="ann")
    assert (accepted.lost, accepted.passed, accepted.again, accepted.gone) == (9, 9, 0, ())
    assert isinstance(owner.engine.trouble(), LedgerMoved)
    assert owner.moves == [None]
    other = own(ledger_url)
    assert other.engine.term == owner.engine.term + 1
    row = other.engine.row(other.numbers)
    assert (row.cursor, row.taken, row.jumped) == (11, 2, 9)
    [[fresh]] = other.engine.apply([takes(other.numbers, take(1))]).outcomes
    assert seqs(fresh) == [12]
    other.same()
    assert other.do("SELECT went_on, passed FROM loss") == [(other.engine.term, 9)]
    [noted] = other.engine.actions()
    told = f"let the ledger go on without 9 transactions that were lost, in term {other.engine.term}"
    assert (noted.who, noted.queue, noted.what, noted.brief) == ("ann", "", told, "accepted loss")


def test_who_gives_up_what_is_lost_hears_what_goes_out_again_and_what_is_gone(owner, ledger_url, own):
    loses(owner, work=lambda: busy(owner))
    accepted = owner.engine.recover(accept_loss=True)
    assert accepted.lost == owner.engine.position - owner.n
    assert (accepted.passed, accepted.again, accepted.gone) == (4, 1, ("later",))  # 3 numbers, an item
    other = own(ledger_url)
    other.same()
    [[leased]] = other.engine.apply([Serve(other.jobs, 1, (lease("u"),))]).outcomes
    assert seqs(leased) == [1, 2]
    other.engine.apply([Push(other.jobs, (Parcel(('"4"',)),))])
    row = other.engine.row(other.jobs)
    assert (row.cursor, row.jumped) == (4, 1)


def test_rows_that_somebody_has_changed_meanwhile_are_told(owner):
    loses(owner, work=lambda: busy(owner))
    owner.do("DELETE FROM run")
    with pytest.raises(QueueConflict, match="can't be written back, since the database has other rows"):
        owner.engine.recover(accept_loss=False)
    assert owner.engine.lost


def test_pushes_by_sql_that_are_lost_too_keep_nothing_back(owner):
    def taken_in(*values):
        rows = [row for value in values for row in owner.do(f"{PUSHED} RETURNING tx::text::int8, n", value)]
        arrivals = [Arrival(Place(*row), "jobs", value) for row, value in zip(rows, values, strict=True)]
        owner.engine.apply([TakeIn(tuple(arrivals))])

    loses(owner, work=lambda: taken_in("1", "2"))
    assert owner.engine.recover(accept_loss=False).written == 1
    assert owner.recovery.still_down() is None
    [[leased]] = owner.recovery.apply([Serve(owner.jobs, 1, (lease("t"),))]).outcomes
    assert seqs(leased) == [1, 2, 3, 4]
    owner.same()


@pytest.mark.parametrize("refused", [False, True])
def test_another_push_that_has_the_place_of_one_that_is_lost_stays(owner, refused):
    add = "INSERT INTO inbox (tx, n, queue, value, priority, at) OVERRIDING SYSTEM VALUE"
    add += " VALUES (%s::text::xid8, %s, 'jobs', %s, 0, now() - make_interval(secs => %s))"

    def take_in():
        look = owner.engine.inbox.look(str, owner.engine.now)
        unfit = tuple([Unfit(each.place, "it is bad") for each in look.arrivals])
        owner.engine.apply([TakeIn((), unfit) if refused else TakeIn(look.arrivals)])

    owner.do(f"{PUSHED} RETURNING 1", "1")  # this one is there still
    there = Before(owner)
    owner.do(add, "9", 77, "2", 0)
    take_in()
    there.back()
    owner.do(add, "9", 77, "3", 5)  # by a clock that is slow
    finds_out(owner)
    assert owner.engine.recover(accept_loss=False).written == 1
    assert owner.do("SELECT value FROM inbox") == [("3",)]
    owner.engine.inbox.close()
    assert owner.do("SELECT value FROM inbox_refused") == ([("1",)] if refused else [])


def test_a_server_that_has_begun_on_what_is_left_is_named(owner):
    there = Before(owner)
    owner.engine.apply([takes(owner.numbers, take(2))])
    there.back()
    finds_out(owner)
    owner.do("DELETE FROM loss")
    other = begin_term(owner.ledger)
    for accept_loss in (False, True):
        with pytest.raises(QueueConflict, match=r"127\.0\.0\.1:2 has begun term 2"):
            owner.engine.recover(accept_loss=accept_loss)
    other.close()


def test_another_server_that_has_begun_a_term_of_the_same_number_is_not_taken_for_this_one(owner):
    """The promoted standby lacked the beginning of our term, and nobody knew of it."""
    owner.engine.apply([takes(owner.numbers, take(2))])
    owner.do("UPDATE position SET n = 0, term = 0")
    owner.end_session()
    owner.do("DELETE FROM term")
    other = begin_term(owner.ledger)
    assert other.term == owner.engine.term
    for _ in range(9):
        other.keep_time()
    assert other.position > owner.engine.position
    owner.recovery.apply([takes(owner.numbers, take(1))])
    assert isinstance(owner.engine.trouble(), LedgerMoved)
    [(noted,)] = owner.do("SELECT n FROM loss")
    assert noted == owner.engine.position
    other.close()


def test_nothing_is_recovered_where_nothing_is_lost(owner):
    for accept_loss in (False, True):
        with pytest.raises(QueueConflict, match="has lost nothing"):
            owner.engine.recover(accept_loss=accept_loss)
    with owner.ledger.connect() as session, pytest.raises(QueueConflict, match="nothing is lost"):
        losses.accept(session, "ann")


# -- what others know of it


def test_a_server_that_comes_later_does_not_go_on_by_itself(owner):
    loses(owner, work=lambda: busy(owner))
    with owner.ledger.connect() as session:
        with pytest.raises(LedgerLost, match="`dibs recover` writes back"):
            losses.check_whole(session, (0, 0))
        accepted = losses.accept(session, "ann")  # while its owner can't be asked
        assert (accepted.passed, accepted.again, accepted.gone) == (4, 1, ("later",))
        losses.check_whole(session, (0, 0))
        losses.check_whole(session, (owner.engine.term, owner.engine.position))
        with pytest.raises(LedgerLost):
            losses.check_whole(session, (owner.engine.term + 1, 1))


def test_who_has_only_seen_a_position_notes_that_nobody_knows_the_rest(owner):
    owner.engine.apply([takes(owner.numbers, take(2))])
    seen = owner.engine.term, owner.n
    there = Before(owner)
    owner.engine.apply([takes(owner.numbers, take(2))])
    there.back()
    with owner.ledger.connect() as session:
        losses.check_whole(session, seen)
        with pytest.raises(LedgerLost):
            losses.check_whole(session, (seen[0], seen[1] + 1))
        accepted = losses.accept(session, "ann")
        assert (accepted.lost, accepted.passed, accepted.again, accepted.gone) == (1, None, None, None)
        told = losses.words_of(losses.newest(session), seen)
    assert "Nobody knew what they did" in told
    other = begin_term(owner.ledger)
    assert (other.term, other.row(owner.numbers).cursor) == (seen[0] + 1, 2)
    other.close()


def test_an_operator_reads_what_is_lost_and_what_was(owner):
    loses(owner, work=lambda: busy(owner))
    with owner.ledger.connect() as session:
        standing = owner.engine.term, owner.n
        assert losses.words_of(None, standing) is None
        assert losses.words_of(losses.newest(session), standing).startswith("Nothing is handed out: ")
        losses.accept(session, "ann")
        told = losses.words_of(losses.newest(session), standing)
        assert "4 numbers that they handed out or took in were passed over (jumped)" in told
        assert "up to 1 items" in told
        session.execute("UPDATE loss SET accepted = accepted - interval '8 days'")
        assert losses.words_of(losses.newest(session), standing) is None


def test_an_owner_gives_way_once_somebody_has_said_that_the_ledger_goes_on(owner):
    loses(owner, work=lambda: busy(owner))
    assert isinstance(owner.recovery.still_down(), LedgerLost)
    with owner.ledger.connect() as session:
        losses.accept(session, "ann")
    owner.recovery.still_down()
    assert isinstance(owner.recovery.still_down(), LedgerMoved)
    assert owner.moves == [None]


def test_an_owner_goes_on_by_itself_when_the_former_primary_is_back(owner):
    whole = []
    loses(owner, work=lambda: (busy(owner), whole.append(Before(owner))))
    assert isinstance(owner.recovery.still_down(), LedgerLost)
    whole[0].back()
    owner.recovery.still_down()
    assert owner.recovery.still_down() is None
    owner.same()
    [[fresh]] = owner.recovery.apply([takes(owner.numbers, take(1))]).outcomes
    assert seqs(fresh) == [6]


def undecided(owner, proxy, op):
    """The answer to an op is lost, then a transaction before it; with the former primary both are back."""
    there, whole, reopen = Before(owner), [], owner.engine.reopen
    owner.engine.apply([takes(owner.numbers, take(2))])

    def promoted():
        if not whole:
            whole.append(Before(owner))
            there.back()
        reopen()

    owner.engine.reopen = promoted
    proxy.losing = ["answer"]
    told = owner.recovery.apply([op])
    owner.engine.reopen = reopen
    assert isinstance(told, OutcomeUnknown)
    assert isinstance(owner.recovery.still_down(), LedgerLost)
    whole[0].back()
    return there


def goes_on(owner):
    owner.recovery.still_down()
    assert owner.recovery.still_down() is None
    owner.same()


def test_what_was_undecided_is_known_when_the_former_primary_is_back(behind, proxy):
    undecided(behind, proxy, takes(behind.numbers, take(3, Key("k", "d"))))
    goes_on(behind)
    [[again, fresh]] = behind.recovery.apply(
        [takes(behind.numbers, take(3, Key("k", "d")), take(1))]
    ).outcomes
    assert (again.replayed, seqs(again), seqs(fresh)) == (True, [3, 4, 5], [6])
    behind.same()


def test_an_item_that_was_pushed_undecided_is_not_pushed_again_under_its_key(behind, proxy):
    push = Push(behind.jobs, (Parcel(('"1"',), keys=("c",)),))
    undecided(behind, proxy, push)
    goes_on(behind)
    behind.engine.apply([push])
    [[leased]] = behind.engine.apply([Serve(behind.jobs, 1, (lease(),))]).outcomes
    assert seqs(leased) == [1]
    behind.same()


def test_what_was_leased_undecided_is_not_leased_again(behind, proxy):
    behind.engine.apply([Push(behind.jobs, (Parcel(('"1"', '"2"', '"3"')),))])
    behind.engine.apply([Serve(behind.jobs, 1, (lease("t0", 3),))])
    behind.engine.apply([Serve(behind.jobs, 1, (settle(Release("t0")),))])
    undecided(behind, proxy, Serve(behind.jobs, 1, (lease("t", 1),)))
    goes_on(behind)
    [[leased]] = behind.engine.apply([Serve(behind.jobs, 1, (lease("u", 3),))]).outcomes
    assert seqs(leased) == [2, 3]
    behind.same()


def test_what_is_lost_after_it_is_not_written_back_without_what_was_undecided(behind, proxy):
    there = undecided(behind, proxy, takes(behind.numbers, take(3)))
    goes_on(behind)
    later = Before(behind)
    behind.engine.apply([takes(behind.numbers, take(1))])
    later.back()
    finds_out(behind)
    assert behind.engine.recover(accept_loss=False).written == 1
    assert behind.recovery.still_down() is None
    behind.same()
    there.back()
    finds_out(behind)
    with pytest.raises(QueueConflict, match="keeps those after"):
        behind.engine.recover(accept_loss=False)


def test_an_owner_does_not_go_on_before_it_has_loaded_what_it_doubts(behind, proxy, monkeypatch):
    undecided(behind, proxy, takes(behind.numbers, take(3)))

    def fails(*_):
        raise psycopg.OperationalError("gone")

    with monkeypatch.context() as patched:
        patched.setattr("dibs.ledger.postgres.engine.load", fails)
        with pytest.raises(LedgerUnavailable, match="can't be loaded: gone; try again"):
            behind.engine.recover(accept_loss=False)
        assert isinstance(behind.recovery.apply([takes(behind.numbers, take(1))]), LedgerLost)
    goes_on(behind)
    [[fresh]] = behind.recovery.apply([takes(behind.numbers, take(1))]).outcomes
    assert seqs(fresh) == [6]


# -- a server that begins a term


@pytest.fixture
def noted(owner, monkeypatch):
    """Let something be noted once a server that begins a term has looked at what is."""

    def noted(note):
        looked, newest = [], losses.newest

        def look(session):
            found = newest(session)
            if not looked:
                looked.append(found)
                with owner.ledger.connect() as other:
                    note(other)
            return found

        monkeypatch.setattr(losses, "newest", look)

    return noted


def notice(session, owner, *, terms=0):
    n, term = owner.n + 3, owner.engine.term + terms
    losses.notice(session, term, n, owner_of(session), owner.engine.rows())


def test_no_term_begins_on_a_ledger_of_which_a_loss_is_noted(owner):
    with owner.ledger.connect() as session:
        notice(session, owner)
    with pytest.raises(LedgerLost, match="`dibs recover` writes back"):
        begin_term(owner.ledger)
    assert owner.do("SELECT max(term) FROM term") == [(owner.engine.term,)]


@pytest.mark.parametrize("terms", [0, 4])
def test_nor_where_it_is_noted_while_the_term_begins(owner, noted, terms):
    noted(lambda session: notice(session, owner, terms=terms))
    with pytest.raises(LedgerLost):
        begin_term(owner.ledger)
    assert owner.do("SELECT max(term) FROM term") == [(owner.engine.term,)]


def test_what_is_accepted_while_a_term_begins_is_passed_over_by_it(owner, noted):
    def accept(session):
        owner.engine.apply([takes(owner.numbers, take(2))])
        notice(session, owner)
        session.execute("UPDATE loss SET accepted = now()")

    noted(accept)
    other = begin_term(owner.ledger)
    assert owner.do("SELECT went_on FROM loss") == [(other.term,)]
    other.close()


# -- what is kept


def test_as_many_bytes_are_kept_as_was_said_and_beats_cost_nothing():
    shipped = Shipped(10, 4_000)
    for n in range(11, 21):
        shipped.add(Sent(n, n, (Statement("", [b"x" * 500]),)))
        shipped.add(Sent(n, n, ()))
    assert shipped.after == 16
    assert [sent.n for sent in shipped.above(16)] == [17, 18, 19, 20]
    assert [sent.n for sent in shipped.above(18)] == [19, 20]
    assert shipped.above(25) == []
    assert shipped.above(15) is None
    none = Shipped(10, 0)
    assert none.above(10) == []
    none.add(Sent(12, 1, (Statement("", [b"x"]),)))
    assert (none.above(11), none.above(12)) == (None, [])


def test_a_leap_is_fenced_like_a_step(owner):
    with owner.ledger.connect() as session:
        position = Position(Pipeline(session), owner.n - 1, owner.engine.term, 0)
        with pytest.raises(Fenced):
            position.step(1, to=owner.n + 5)
        position.n += 1
        position.step(1, to=owner.n + 5)
        assert owner.n == position.n


def test_what_is_noted_has_the_queues_that_there_are(owner):
    loses(owner, work=lambda: busy(owner))
    [(noted,)] = owner.do("SELECT queues FROM loss")
    known = {each["name"]: (each["cursor"], each["done"]) for each in json.loads(noted).values()}
    assert known == {"numbers": (5, 0), "jobs": (3, 1), "later": (0, 0)}
