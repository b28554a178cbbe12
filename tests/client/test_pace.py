"""How much is fetched at once."""

from app.client.pace import MOST, Pace


def fetch(pace, times):
    for _ in range(times):
        pace.fetched(pace.batch, pace.batch)
    return pace.batch


def measured(work, trip, ttl=30.0):
    pace = Pace(None, None, ttl)
    pace.worked(work)
    pace.travelled(trip)
    return pace


def test_begins_with_one_and_without_a_prefetch():
    pace = Pace(None, None, 30.0)
    assert (pace.batch, pace.prefetch) == (1, 0)
    assert fetch(pace, 5) == 1  # nothing is known yet


def test_doubles_while_round_trips_are_a_large_share():
    pace = measured(work=0.001, trip=0.005)
    assert [fetch(pace, 1) for _ in range(9)] == [2, 4, 8, 16, 32, 64, 128, 128, 128]
    assert fetch(measured(work=0.000001, trip=0.005), 20) == MOST


def test_long_work_is_fetched_one_by_one():
    pace = measured(work=5.0, trip=0.005)
    assert fetch(pace, 5) == 1
    assert pace.prefetch == 0


def test_never_more_than_a_tenth_of_the_ttl():
    assert fetch(measured(work=0.1, trip=10.0), 20) == 32  # 3.2 s


def test_shrinks_when_the_work_becomes_slow():
    pace = measured(work=0.001, trip=0.005)
    fetch(pace, 10)
    for _ in range(50):
        pace.worked(1.0)
    assert fetch(pace, 20) == 1


def test_a_short_answer_does_not_let_it_grow():
    pace = measured(work=0.001, trip=0.005)
    pace.fetched(1, 0)
    assert pace.batch == 1


def test_an_explicit_batch_wins():
    pace = Pace(50, None, 30.0)
    assert (pace.batch, pace.prefetch) == (50, 50)
    pace.worked(10.0)
    pace.travelled(0.001)
    assert fetch(pace, 10) == 50
    assert pace.prefetch == 0  # a round trip is nothing beside 500 seconds of work
    assert Pace(50, 7, 30.0).prefetch == 7
