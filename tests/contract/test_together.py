"""Ops for several callers at once: what comes of them is what each alone would have got."""

from __future__ import annotations

import pytest
from dibs.ledger.ops import Delete, Pause, Remember, SourceEnd, Take
from dibs.ledger.together import Exchange, Exchanged, Share, Shares, Trade
from dibs.ledger.work import Ack, Claim, Claimed, Nack, Parcel, Push, QueueSettings, Settle, Span, Terms
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROOM = 1 << 22


# -- takes that share a draw


def shares(*parts, values, **options) -> Shares:
    return Shares(tuple(Share(*part) for part in parts), 60_000, values=values, **options)


def test_each_key_has_its_own_part_as_if_it_had_taken_alone(new_ledger):
    together, alone = new_ledger(), new_ledger()
    queue = together.define().id
    alone.define()
    parts = [
        ("a", "take 2", 2),
        (None, "take 3", 3),
        ("b", "take 1", 1),
        ("c", "take 9", 9),
        ("d", "take 1", 1),
    ]
    end = SourceEnd("exhausted")
    whole = Take(queue, 1, 8, "m", end, shares=shares(*parts, values=range(10, 26, 2)))
    assert together.do(whole) is None
    alone.do(Take(queue, 1, 2, "m", remember=Remember("a", "take 2", 60_000, values=range(10, 14, 2))))
    alone.do(Take(queue, 3, 3, "m"))
    alone.do(Take(queue, 6, 1, "m", remember=Remember("b", "take 1", 60_000, values=range(20, 22, 2))))
    last = Remember("c", "take 9", 60_000, values=range(22, 26, 2))
    alone.do(Take(queue, 7, 2, "m", end, remember=last))
    assert together.all() == alone.all()
    for key in "abcd":
        assert together.engine.recall(queue, 1, "", key) == alone.engine.recall(queue, 1, "", key)
    assert together.engine.recall(queue, 1, "", "c").outcome == {"first": 7, "ending": "exhausted"}
    assert together.engine.recall(queue, 1, "", "d") is None  # it got nothing, so it has no answer
    together.close()
    alone.close()


def test_wide_numbers_and_a_caller_of_its_own(ledger):
    queue = ledger.define().id
    part = ("k", "take 1", 1)
    ledger.do(Take(queue, 1, 1, shares=shares(part, values=range(2**60, 2**60 + 1), wide=True, caller="ann")))
    found = ledger.engine.recall(queue, 1, "ann", "k")
    assert (found.wide, found.values, found.request) == (True, range(2**60, 2**60 + 1), "take 1")
    assert ledger.engine.recall(queue, 1, "", "k") is None


def test_a_key_that_is_taken_undoes_all_of_them(ledger, under):
    queue = ledger.define().id
    ledger.do(Take(queue, 1, 1, remember=under("b", values=range(1, 2))))
    parts = [("a", "take 1", 1), ("b", "take 1", 1)]
    ledger.refuses(Take(queue, 2, 2, shares=shares(*parts, values=range(2, 4))))
    assert ledger.engine.recall(queue, 1, "", "a") is None


def test_an_expired_key_makes_room(ledger):
    queue = ledger.define().id
    ledger.do(Take(queue, 1, 1, shares=shares(("a", "take 1", 1), values=range(1, 2))))
    ledger.time.pass_(60_001)
    ledger.do(Take(queue, 2, 1, shares=shares(("a", "take 5", 1), values=range(2, 3))))
    assert ledger.engine.recall(queue, 1, "", "a").values == range(2, 3)


def test_which_keys_are_known(ledger, under):
    queue, other = ledger.define().id, ledger.define("other").id
    ledger.do(Take(queue, 1, 1, remember=under("a", values=range(1, 2))))
    ledger.do(Take(queue, 2, 1, remember=under("short", values=range(2, 3), ttl=10)))
    ledger.do(Take(other, 1, 1, remember=under("b", values=range(1, 2))))
    ledger.time.pass_(11)
    assert ledger.engine.known_keys(queue, 1, "", ["a", "b", "c", "short", "a"]) == {"a"}
    assert ledger.engine.known_keys(queue, 2, "", ["a"]) == set()
    assert ledger.engine.known_keys(queue, 1, "ann", ["a"]) == set()
    assert ledger.engine.known_keys(queue, 1, "", []) == set()


# -- workers that trade a lease for the next


def apart(ledger, op: Exchange) -> Exchanged:
    """The same, a settle for each trade."""
    acked, leases, first = [], [], op.take.first if op.take else 0
    left = op.take.count if op.take else 0
    for trade in op.trades:
        terms = Terms(trade.lease, trade.ttl, trade.worker)
        lease = None
        if op.take is not None and min(trade.count, left):
            size = min(trade.count, left)
            lease = Take(op.queue, first, size, op.take.mark, terms=terms)
            first, left = first + size, left - size
        elif op.take is None and trade.count:
            lease = Claim(op.queue, trade.count, op.most_bytes, terms)
        entries = (Ack(trade.token),) if trade.token else ()
        settlement = ledger.do(Settle(op.queue, entries, lease=lease))
        ranges = [part for entry in settlement.entries for part in entry if part.verdict == "acked"]
        acked.append(tuple((part.first, part.last) for part in ranges))
        leases.append(settlement.claimed or Claimed())
    if op.take is not None and op.take.end is not None:
        ledger.do(Take(op.queue, op.take.last + 1, 0, op.take.mark, op.take.end))
    due = next(
        (
            lease.next_due
            for lease, trade in zip(reversed(leases), reversed(op.trades), strict=True)
            if trade.count
        ),
        None,
    )
    return Exchanged(ledger.engine.now(), tuple(acked), tuple(leases), due)


def both(new_ledger, prepare, *trades, fresh=None, end=None):
    """An exchange, and the same apart on another ledger that was prepared alike."""
    together, alone = new_ledger(), new_ledger()
    queue = prepare(together)
    assert prepare(alone) == queue
    take = None
    if fresh is not None:
        take = Take(queue, together.engine.row(queue).cursor + 1, fresh, "m", end)
    op = Exchange(queue, trades, take, ROOM)
    outcome, expected = together.do(op), apart(alone, op)
    assert outcome.acked == expected.acked
    if take is None and any(trade.count for trade in trades):
        assert [(lease.spans, lease.values, lease.due) for lease in outcome.leases] == [
            (lease.spans, lease.values, lease.due) for lease in expected.leases
        ]
        told, due, now = outcome.next_due, together.engine.next_due(queue), together.engine.now()
        assert (told and max(told, now)) == (due and max(due, now))  # of the last claim, and exact
    else:
        assert outcome.leases == ()
        ends = [trade.ttl for trade, lease in zip(trades, expected.leases, strict=True) if lease.due]
        assert outcome.next_due == (outcome.now + min(ends) if ends else None)
    assert together.all() == alone.all()
    together.balanced(queue)
    failures = [[ledger.engine.failures(queue, seq) for seq in range(1, 30)] for ledger in (together, alone)]
    assert failures[0] == failures[1]
    together.close()
    alone.close()
    return outcome


def numbers(ledger) -> int:
    """A source of which a, b and c have leases."""
    queue = ledger.define().id
    for token, count in (("a", 1), ("b", 3), ("c", 1)):
        ledger.fresh(queue, count, token)
    return queue


def jobs(ledger) -> int:
    """Pushed items; a and b have some, others wait."""
    queue = ledger.jobs(*(f'"{n}"' for n in range(1, 11)), max_attempts=2)
    ledger.claim(queue, 1, "a")
    ledger.claim(queue, 3, "b")
    return queue


def test_fresh_items_go_to_the_workers_in_their_order(new_ledger):
    outcome = both(
        new_ledger,
        numbers,
        Trade("a", 1, "x", 5_000, "ann"),
        Trade(None, 2, "y", 9_000),
        Trade("b"),
        Trade("forged", 1, "z", 4_000),
        fresh=4,
    )
    assert outcome.acked == (((1, 1),), (), ((2, 4),), ())


def test_a_draw_that_was_short_leaves_the_last_ones_without(new_ledger):
    trades = [Trade("a", 1, "x", 5_000), Trade("c", 3, "y", 5_000), Trade(None, 1, "z", 5_000)]
    both(new_ledger, numbers, *trades, fresh=2, end=SourceEnd("exhausted"))


def test_a_token_that_two_show_is_stale_for_the_second(new_ledger):
    outcome = both(new_ledger, jobs, Trade("b", 1, "x", 5_000), Trade("b", 1, "y", 5_000))
    assert outcome.acked == (((2, 4),), ())


def test_single_items_of_long_and_short_runs(new_ledger):
    def prepare(ledger):
        queue = jobs(ledger)
        ledger.push(queue, '"urgent"', priority=0)
        ledger.push(queue, '"later"', priority=5)
        ledger.do(Push(queue, (Parcel(('"p"',)), Parcel(('"q"', '"r"'), 1_000), Parcel(('"s"',)))))
        return queue

    trades = [Trade("a" if n == 3 else None, 1, f"x{n}", 5_000 + n, f"w{n}") for n in range(12)]
    outcome = both(new_ledger, prepare, *trades)
    assert outcome.leases[0].values == ('"5"',)


def test_what_waits_longest_behind_others_can_go_now_too(new_ledger):
    """A claim looks no further than the first that it leaves, which is due later than one of low priority."""

    def prepare(ledger):
        queue = ledger.jobs()
        ledger.push(queue, '"later"', priority=9)
        ledger.time.pass_(150)
        ledger.push(queue, '"urgent"', '"urgent too"', priority=0)
        return queue

    outcome = both(new_ledger, prepare, Trade(None, 1, "x", 5_000))
    assert outcome.leases[0].values == ('"urgent"',)
    assert outcome.next_due == outcome.now


def test_what_failed_before_keeps_its_history(new_ledger):
    def prepare(ledger):
        queue = jobs(ledger)
        ledger.settle(queue, Nack("b", delay=0, error="no"))
        ledger.claim(queue, 2, "d", ttl=100)
        ledger.time.pass_(101)  # and expires
        return queue

    trades = [Trade(None, 1, f"x{n}", 5_000) for n in range(9)]
    both(new_ledger, prepare, *trades)


def test_what_is_spent_is_buried(new_ledger):
    def prepare(ledger):
        queue = ledger.jobs(*"12345", max_attempts=1)
        ledger.claim(queue, 2, "a", ttl=100)
        ledger.time.pass_(101)
        return queue

    both(new_ledger, prepare, *(Trade(None, 1, f"x{n}", 5_000) for n in range(4)))


@pytest.mark.parametrize("paused", [True, False])
def test_nothing_waits_or_nothing_may_go(new_ledger, paused):
    def prepare(ledger):
        queue = ledger.jobs(*"12") if paused else ledger.jobs()
        if paused:
            ledger.do(Pause(queue, True))
        return queue

    outcome = both(new_ledger, prepare, Trade("gone", 1, "x", 5_000), Trade(None, 1, "y", 5_000))
    assert outcome.leases == (outcome.leases[0],) * 2
    assert not outcome.leases[0].spans


def test_blocks_go_with_their_last_item(ledger):
    queue = ledger.jobs(*"123")
    ledger.do(Exchange(queue, tuple(Trade(None, 1, token, 5_000) for token in "abc"), None, ROOM))
    outcome = ledger.do(Exchange(queue, (Trade("a"), Trade("b"), Trade("c"))))
    assert outcome.acked == (((1, 1),), ((2, 2),), ((3, 3),))
    assert ledger.items(queue) == []
    assert ledger.engine.files.writer.execute("SELECT count(*) FROM block").get == 0


def test_the_room_for_values_is_for_all(ledger):
    queue = ledger.jobs(*(f'"{"v" * 98}"' for _ in range(9)))
    trades = tuple(Trade(None, 1, f"x{n}", 5_000) for n in range(9))
    outcome = ledger.do(Exchange(queue, trades, None, 450))
    assert [len(lease.spans) for lease in outcome.leases] == [1] * 4 + [0] * 5
    assert outcome.next_due <= ledger.engine.now()  # what is left waits
    assert outcome.leases[3].spans == (Span(4, 4, 1),)
    ledger.balanced(queue)


def test_what_was_pushed_in_the_same_transaction_waits_too(ledger):
    queue = ledger.jobs()
    trades = (Trade(None, 1, "x", 5_000), Trade(None, 1, "y", 5_000))
    _, outcome = ledger.engine.apply(
        [Push(queue, (Parcel(('"1"', '"2"', '"3"')),)), Exchange(queue, trades, None, ROOM)]
    )
    assert [lease.values for lease in outcome.leases] == [('"1"',), ('"2"',)]
    assert outcome.next_due == ledger.engine.next_due(queue)
    ledger.balanced(queue)


def test_of_a_queue_that_is_deleted_all_is_stale(ledger):
    queue = jobs(ledger)
    ledger.do(Delete(queue))
    outcome = ledger.do(Exchange(queue, (Trade("a", 1, "x", 5_000), Trade("b")), None, ROOM))
    assert (outcome.acked, [lease.spans for lease in outcome.leases]) == (((), ()), [(), ()])


def test_a_draw_follows_the_cursor_and_belongs_to_somebody(ledger):
    queue = numbers(ledger)
    trades = (Trade("a", 1, "x", 5_000),)
    for first, count in ((5, 1), (7, 1), (6, 2), (6, -1)):
        ledger.refuses(Exchange(queue, trades, Take(queue, first, count)))
    ledger.do(Delete(queue))
    ledger.refuses(Exchange(queue, trades, Take(queue, 6, 1)))


trade = st.builds(
    Trade,
    st.sampled_from([None, "a", "b", "c", "d", "forged"]),
    st.sampled_from([0, 1, 1, 1, 2, 5]),
    ttl=st.integers(1, 9_000),
    worker=st.sampled_from(["", "ann"]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_the_workers_want_it_is_what_each_would_have_got(new_ledger, data):
    trades = data.draw(st.lists(trade, max_size=8))
    trades = [each._replace(lease=f"x{at}") for at, each in enumerate(trades)]
    source = data.draw(st.booleans())
    steps = data.draw(st.lists(st.integers(0, 5), max_size=6))

    def prepare(ledger):
        queue = numbers(ledger) if source else jobs(ledger)
        for at, step in enumerate(steps):
            match step:
                case 0 if not source:
                    ledger.push(queue, f'"p{at}"', f'"q{at}"', priority=at % 3, delay=(at % 2) * 500)
                case 1:
                    ledger.claim(queue, 2, "cd"[at % 2], ttl=200)
                case 2:
                    ledger.settle(queue, Nack("bc"[at % 2], delay=0, error="no"))
                case 3:
                    ledger.time.pass_(150)
                case 4 if source:
                    ledger.fresh(queue, 2, "d", ttl=300)
                case 5:
                    ledger.define(
                        "q" if source else "jobs",
                        "count" if source else "",
                        settings=QueueSettings(max_attempts=1),
                    )
        return queue

    total = sum(each.count for each in trades)
    fresh = data.draw(st.integers(1, total)) if source and total and data.draw(st.booleans()) else None
    both(new_ledger, prepare, *trades, fresh=fresh)
