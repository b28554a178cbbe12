"""A warm copy of an owner's memory is what PostgreSQL has, row by row, or it is not used."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

psycopg = pytest.importorskip("psycopg")

from asks import lease, seqs, settle, take
from dibs.ledger.ops import OpFailed
from dibs.ledger.postgres import feed as feeds
from dibs.ledger.postgres import following
from dibs.ledger.postgres.changes import packed
from dibs.ledger.postgres.feed import Feed
from dibs.ledger.postgres.fence import Mark, Position
from dibs.ledger.postgres.filling import NOTICE
from dibs.ledger.postgres.following import Following
from dibs.ledger.postgres.pipeline import Failed, Pipeline, Statement
from dibs.ledger.postgres.shipments import Shipments, shipment
from dibs.ledger.postgres.warm import Gap, WarmCopy
from dibs.ledger.serve import Serve
from dibs.ledger.sqlite.recording import Changed
from dibs.ledger.work import Ack, Parcel, Push
from support.ledgers import Beside, assert_same_rows, owned

FED_OWNER = Path(__file__).with_name("fed_owner.py")
PATIENCE = 60.0
KILLS = 8


def takes(queue, count=1):
    return Serve(queue, 1, (take(count),), length=100)


def pushes(queue, *texts):
    return Push(queue, (Parcel(texts),))


def mark_of(owner):
    """The newest transaction in PostgreSQL."""
    return Mark(*owner.do("SELECT n, term, clock FROM position")[0])


def traced(first, *gone):
    """Changes that tell in the copy which of them were done: rows of traces."""
    return list(packed([Changed("trace", [(1, each) for each in gone], [(1, first, first, "t")])]))


class Told:
    """A copy that is told what a test says; numbers and clocks count from those that it began with."""

    def __init__(self, ledger):
        self.copy = WarmCopy(1)
        with ledger.connect() as reader:
            self.copy.load(reader)
        self._base = self.copy.mark

    def mark(self, n, clock):
        return Mark(self._base.n + n, 1, self._base.clock + clock)

    def hear(self, *said):
        """Each a number, its clock, the clock before, and changes."""
        data = [
            shipment(*self.mark(n, clock)[::2], self._base.clock + before, changes)
            for n, clock, before, changes in said
        ]
        self.copy.follow(Shipments().feed(b"".join(data)))

    @property
    def done(self):
        return [n for (n,) in self.copy.scratch.writer.execute("SELECT first FROM trace ORDER BY first")]


@pytest.fixture
def told(owner):
    told = Told(owner.ledger)
    yield told
    told.copy.close()


# -- what was sent, and what came of it


def test_the_last_one_is_done_only_once_it_is_known_to_be_there(told):
    told.hear((1, 5, 0, traced(1)))
    assert told.done == []
    told.hear((2, 9, 5, traced(2)))
    assert told.done == [1]
    assert told.copy.reaches(told.mark(1, 5))
    assert told.done == [1]
    assert told.copy.reaches(told.mark(2, 9))
    assert told.done == [1, 2]


def test_one_that_was_sent_in_vain_is_never_done(told):
    told.hear((1, 5, 0, traced(1)), (1, 6, 0, traced(2)), (2, 7, 6, ()))
    assert told.done == [2]


def test_one_that_followed_another_one_is_not_taken_for_the_other(told):
    """The owner was killed before it had sent what it tried after the first one had failed."""
    told.hear((1, 5, 0, traced(1)))
    assert not told.copy.reaches(told.mark(1, 6))
    assert told.done == []


@pytest.mark.parametrize(
    "later",
    [(3, 9, 5, ()), (2, 9, 6, ()), (4, 9, 7, ())],
    ids=["missing", "another before", "several missing"],
)
def test_a_gap_ends_the_copy(told, later):
    told.hear((1, 5, 0, ()))
    with pytest.raises(Gap):
        told.hear(later)


def test_what_was_in_the_snapshot_is_passed_by(told):
    told.hear((-1, -3, -9, traced(1)), (0, 0, -3, traced(2)), (1, 4, 0, traced(3)), (2, 5, 4, ()))
    assert told.done == [3]


@pytest.mark.parametrize("changes", [traced(2, 9), traced(1)], ids=["not there", "there already"])
def test_a_change_that_does_not_fit_is_noticed(told, changes):
    told.hear((1, 5, 0, traced(1)), (2, 6, 5, ()))
    with pytest.raises(OpFailed):
        told.hear((3, 7, 6, changes), (4, 8, 7, ()))


def test_a_copy_of_another_term_is_none(owner):
    copy = WarmCopy(7)
    try:
        with owner.ledger.connect() as reader, pytest.raises(Gap, match="term 1"):
            copy.load(reader)
    finally:
        copy.close()


def test_other_rows_are_noticed_by_the_check(owner, told):
    with owner.ledger.connect() as reader:
        assert told.copy.check(reader) is None
        told.copy.scratch.writer.execute("UPDATE counter SET cursor = cursor + 1 WHERE queue = 1")
        assert told.copy.check(reader) == "counter"
        told.copy.scratch.writer.execute("UPDATE counter SET cursor = cursor - 1 WHERE queue = 1")
        told.copy.scratch.writer.execute("INSERT INTO trace VALUES (1, 1, 1, '')")
        assert told.copy.check(reader) == "trace"


# -- the owner's end


def test_no_two_that_were_tried_with_one_number_have_the_same_clock(owner):
    sent = []

    class Noted:
        def send(self, n, clock, before, changes):
            sent.append((n - owner.n, clock, before))

        def close(self):
            sent.append("closed")

    with owner.ledger.connect(writes=True) as session:
        mark = mark_of(owner)
        position = Position(Pipeline(session), mark.n, mark.term, mark.clock)
        position.feed = Noted()
        clock = mark.clock + 10
        for _ in range(2):
            with pytest.raises(Failed):
                position.step(clock, [Statement("INSERT INTO action (id) VALUES (NULL)")])
        assert sent == [(1, clock, mark.clock), (1, clock + 1, mark.clock)]
        again = position.resumed(position.pipeline, mark.n)
        assert sent[2:] == ["closed"]
        again.step(clock)
        assert mark_of(owner) == (mark.n + 1, 1, clock + 2)
        assert again.clock == clock + 2


def test_an_owner_that_has_to_find_out_what_is_there_feeds_no_copy_any_more(behind, proxy):
    beside = Beside(behind.ledger, behind.engine)
    proxy.losing = ["answer"]
    behind.recovery.apply([takes(behind.numbers, 3)])
    assert beside.closed
    assert not beside.copy.reaches(mark_of(behind))
    beside.copy.close()


def test_who_does_not_read_is_fed_no_more_and_nobody_waits_for_him(monkeypatch):
    monkeypatch.setattr(feeds, "BEHIND_MOST", 1 << 20)
    ours, theirs = socket.socketpair()
    with theirs:
        feed = Feed(ours)
        n = 0
        while not feed.closed:
            n += 1
            feed.send(n, n, n - 1, traced(n))
            assert n < 1_000_000
        whole = b""
        while piece := theirs.recv(1 << 20):
            whole += piece
        found = [each.n for each in Shipments().feed(whole)]
        assert found == list(range(1, len(found) + 1))  # what came before is there, and in order


def test_a_transaction_that_is_larger_than_what_may_wait_does_not_end_the_feed(monkeypatch):
    monkeypatch.setattr(feeds, "BEHIND_MOST", 100_000)
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    feed, reader, found, n = Feed(ours), Shipments(), [], 1
    with theirs:
        feed.send(1, 1, 0, list(packed([Changed("trace", [], [(1, 1, 1, "t" * 500_000)])])))
        while not found and not feed.closed:
            found += reader.feed(theirs.recv(65_536))
            n += 1
            feed.send(n, n, n - 1, ())
        assert not feed.closed
        feed.close()


def test_whatever_fails_in_a_feed_ends_it_and_not_its_owner(caplog):
    class Odd(socket.socket):
        def send(self, *_):
            raise AttributeError("half closed")

    ours, theirs = socket.socketpair()
    with theirs:
        feed = Feed(Odd(fileno=ours.detach()))
        feed.send(1, 1, 0, ())
        assert feed.closed
        assert "the warm copy is fed no more" in caplog.text
        feed.send(2, 2, 1, ())
        assert theirs.recv(1) == b""


def test_a_feed_is_not_closed_in_the_middle_of_a_write():
    """Its socket's number may be another one's the moment that it is closed."""
    writing, go_on, seen = threading.Event(), threading.Event(), []

    class Slow(socket.socket):
        def send(self, data):
            writing.set()
            assert go_on.wait(60)
            seen.append(self.fileno())
            return super().send(data)

    ours, theirs = socket.socketpair()
    with theirs:
        feed = Feed(Slow(fileno=ours.detach()))
        writer = threading.Thread(target=feed.send, args=(1, 1, 0, ()))
        writer.start()
        assert writing.wait(60)
        closer = threading.Thread(target=feed.close)
        closer.start()
        closer.join(0.2)
        go_on.set()
        writer.join(60)
        closer.join(60)
        assert len(seen) == 1
        assert seen[0] >= 0
        assert feed.closed


def test_what_did_not_go_out_at_once_goes_with_the_next_one():
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    large = list(packed([Changed("trace", [], [(1, 1, 1, "t" * 300_000)])]))
    feed, reader, found, n = Feed(ours), Shipments(), [], 0
    with theirs:
        while len(found) < 5:
            n += 1
            feed.send(n, n, n - 1, large if n == 2 else ())
            found += reader.feed(theirs.recv(65_536))
        assert [each.n for each in found[:5]] == [1, 2, 3, 4, 5]
        assert found[1].changes == large
        feed.close()


# -- the thread


class Kept:
    """A thread that keeps a copy of an owner's memory, by a socket."""

    def __init__(self, owner):
        self.lost = threading.Event()
        self.following = Following(owner.ledger.connect, owner.engine.term, lost=self.lost.set)
        ours, self._theirs = socket.socketpair()
        self.feed = owner.engine.feed(ours)
        self.heard = threading.Event()
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    def _hear(self):
        while data := self._theirs.recv(65_536):
            self.following.hear(data)
            self.heard.set()
        self.following.end()

    def until_loaded(self, owner):
        """Wait until it has a snapshot; it begins with the first word of the owner."""
        owner.engine.keep_time()
        while self.following.lag is None:
            assert not self.lost.wait(0.01)

    def close(self):
        self.following.close("the test is over")
        self.feed.close()
        self._thread.join(PATIENCE)
        assert self.lost.wait(PATIENCE)
        self._theirs.close()


@pytest.fixture
def kept(owner):
    kept = Kept(owner)
    yield kept
    kept.close()


def work(owner):
    """Some of everything that changes rows which an owner has in memory."""
    engine = owner.engine
    engine.apply([pushes(owner.jobs, *[f'"{n}"' for n in range(50)]), takes(owner.numbers, 5)])
    [[leased]] = engine.apply([Serve(owner.jobs, 1, (lease("a", 20),))]).outcomes
    first = seqs(leased)[0]
    engine.apply([Serve(owner.jobs, 1, (settle(Ack("a", ((first, first + 3),))),))])


@pytest.fixture
def own_next(owner, caplog, monkeypatch):
    """A function that lets another owner take over with a copy: its engine, and whether it had to load."""
    caplog.set_level(NOTICE, "dibs.ledger")
    monkeypatch.setattr(following, "PATIENCE", PATIENCE)
    opened = []

    def own_next(warm):
        caplog.clear()
        opened.append(owned(owner.ledger, warm=warm))
        [said] = [text for text in caplog.messages if "loaded" in text and "wanted" not in text]
        assert_same_rows(owner.ledger, opened[-1])
        return opened[-1], not said.startswith("nothing is loaded")

    yield own_next
    for engine in opened:
        engine.close()


def test_the_next_owner_loads_nothing(owner, kept, own_next):
    kept.until_loaded(owner)
    work(owner)
    owner.end_session()
    kept.feed.close()
    engine, loaded = own_next(kept.following)
    assert not loaded
    [[more]] = engine.apply([takes(owner.numbers, 1)]).outcomes
    assert seqs(more) == [6]
    assert_same_rows(owner.ledger, engine)


def test_a_copy_that_lacks_the_last_one_is_not_used(owner, kept, own_next, caplog):
    kept.until_loaded(owner)
    work(owner)
    has = mark_of(owner).n - 1  # the last one that is heard waits for the word of the next one
    kept.feed.close()
    work(owner)
    lacks = mark_of(owner).n
    owner.end_session()
    _, loaded = own_next(kept.following)
    assert loaded
    assert f"it is at transaction {has} of term 1, and not at transaction {lacks} of term 1" in caplog.text


def test_a_copy_that_another_transaction_has_passed_is_not_used(owner, kept, own_next):
    """It has one that is not there: the owner was ended between the word to the copy and the commit."""
    kept.until_loaded(owner)
    work(owner)
    mark = mark_of(owner)
    kept.feed.send(mark.n + 1, mark.clock + 1, mark.clock, traced(1))
    owner.end_session()
    kept.feed.close()
    _, loaded = own_next(kept.following)
    assert not loaded  # nor is that one in the copy: its rows were compared


def test_a_copy_is_not_waited_for_while_it_is_loaded(owner, own_next, monkeypatch):
    waits = threading.Event()
    copied = WarmCopy.load

    def load(copy, reader, paced):
        def slowly(rows):
            for row in rows:
                waits.set()
                while not kept.following._wanted:
                    threading.Event().wait(0.01)
                yield from paced([row] * following.PIECE)

        copied(copy, reader, slowly)

    monkeypatch.setattr(WarmCopy, "load", load)
    kept = Kept(owner)
    owner.engine.keep_time()
    assert waits.wait(PATIENCE)
    owner.end_session()
    _, loaded = own_next(kept.following)
    assert loaded
    kept.close()


def test_a_copy_that_does_not_fit_ends_and_says_so(owner, kept, caplog):
    caplog.set_level(NOTICE, "dibs.ledger")
    kept.until_loaded(owner)
    mark = mark_of(owner)
    kept.feed.send(mark.n + 7, mark.clock + 1, mark.clock, traced(1))
    assert kept.lost.wait(PATIENCE)
    assert kept.following.lag is None
    assert (
        f"the warm copy has ended: transaction {mark.n + 7} was sent, and {mark.n + 1} is missing"
        in caplog.text
    )


def test_a_copy_that_is_too_far_behind_ends(owner, monkeypatch, caplog):
    caplog.set_level(NOTICE, "dibs.ledger")
    monkeypatch.setattr(following, "HEARD_MOST", 1_000)
    kept = Kept(owner)
    kept.following.hear(shipment(1, 1, 0, traced(1)) * 100)
    assert kept.lost.wait(PATIENCE)
    assert "too far behind" in caplog.text
    kept.close()


def test_a_copy_of_whose_owner_nothing_is_heard_ends(owner, monkeypatch, caplog):
    caplog.set_level(NOTICE, "dibs.ledger")
    monkeypatch.setattr(following, "SILENCE", 0.05)
    kept = Kept(owner)
    owner.engine.keep_time()
    assert kept.lost.wait(PATIENCE)
    assert "nothing was heard" in caplog.text
    kept.close()


def test_a_copy_with_other_rows_is_not_used(owner, kept, own_next, caplog):
    kept.until_loaded(owner)
    work(owner)
    owner.do("UPDATE run SET due = due + 1 WHERE queue = %s", owner.jobs)
    owner.end_session()
    kept.feed.close()
    _, loaded = own_next(kept.following)
    assert loaded
    assert "other rows than PostgreSQL in run" in caplog.text


def test_owners_are_killed_in_the_middle_of_their_work(owner, own_next):
    """Whatever each was about to do, the copy is what PostgreSQL has then, and nothing is loaded."""
    chance = random.Random(7)
    owner.engine.close()
    for _ in range(KILLS):
        ours, theirs = socket.socketpair()
        lost = threading.Event()
        [(last,)] = owner.do("SELECT max(term) FROM term")
        kept = Following(owner.ledger.connect, last + 1, lost=lost.set)
        command = [sys.executable, str(FED_OWNER), owner.url, str(ours.fileno()), str(chance.random())]
        child = subprocess.Popen(command, pass_fds=[ours.fileno()])
        ours.close()
        pieces = chance.randrange(20, 300)
        while pieces and (data := theirs.recv(65_536)):
            kept.hear(data)
            if kept.lag is not None:
                pieces -= 1
        child.kill()
        while data := theirs.recv(65_536):
            kept.hear(data)
        kept.end()
        theirs.close()
        assert child.wait(PATIENCE) == -signal.SIGKILL
        engine, loaded = own_next(kept)
        assert not loaded
        engine.close()
        assert lost.wait(PATIENCE)
