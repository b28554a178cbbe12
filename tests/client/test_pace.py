"""How much is fetched at once."""

import pytest
from dibs.client.pace import MOST, Pace


def work(pace, seconds, jobs):
    """The consumer was away with so many jobs, for so long each."""
    pace.away += seconds * jobs
    pace.jobs += jobs


def fetch(pace, times, per_job=None):
    """So many fetches, each when the batch before was done; the sizes."""
    sizes = []
    for _ in range(times):
        if per_job is not None:
            work(pace, per_job, pace.batch)
        pace.fetched(pace.batch, pace.batch)
        sizes.append(pace.batch)
    return sizes


def measured(per_job, trip, ttl=30.0):
    pace = Pace(None, None, ttl)
    work(pace, per_job, 1)
    pace.travelled(trip)
    return pace


def test_begins_with_one_and_without_a_prefetch():
    pace = Pace(None, None, 30.0)
    assert (pace.batch, pace.prefetch) == (1, 0)
    assert fetch(pace, 5) == [1] * 5  # nothing is known yet


def test_doubles_while_round_trips_are_a_large_share():
    pace = measured(0.001, trip=0.005)
    assert fetch(pace, 9, 0.001) == [2, 4, 8, 16, 32, 64, 100, 100, 100]
    assert fetch(measured(0.000001, trip=0.005), 20, 0.000001)[-1] == MOST


def test_never_more_than_a_quarter_of_a_second_of_work():
    assert fetch(measured(0.001, trip=0.1), 20, 0.001)[-1] == 250


def test_a_slow_wire_needs_more_to_be_at_work_meanwhile():
    assert fetch(measured(0.001, trip=0.5), 20, 0.001)[-1] == 1_000


def test_never_more_than_a_tenth_of_the_ttl():
    assert fetch(measured(0.1, trip=10.0), 20, 0.1)[-1] == 30  # 3 s
    assert fetch(measured(0.001, trip=0.1, ttl=1.0), 20, 0.001)[-1] == 100


def test_long_work_is_fetched_one_by_one():
    pace = measured(5.0, trip=0.005)
    assert fetch(pace, 5, 5.0) == [1] * 5
    assert pace.prefetch == 0


def test_shrinks_at_once_when_the_work_becomes_slow():
    pace = measured(0.001, trip=0.005)
    fetch(pace, 10, 0.001)
    work(pace, 1.0, 2)
    assert fetch(pace, 1) == [1]


def test_one_slow_job_among_many_changes_little():
    pace = measured(0.00001, trip=0.005)
    fetch(pace, 20, 0.00001)
    work(pace, 0.00001, 5_000)
    pace.away += 0.05
    assert fetch(pace, 1)[0] >= MOST // 2


def test_nothing_grows_before_as_much_was_begun():
    """A prefetch comes while the batch before is at work: it says nothing of the consumer."""
    pace = measured(0.001, trip=0.005)
    assert fetch(pace, 3) == [2, 2, 2]
    work(pace, 0.001, 1)
    assert fetch(pace, 1) == [2]
    work(pace, 0.001, 1)
    assert fetch(pace, 1) == [4]


def test_a_short_answer_does_not_let_it_grow():
    pace = measured(0.001, trip=0.005)
    pace.fetched(1, 0)
    assert pace.batch == 1


def test_what_stays_too_long_begins_again_with_one():
    pace = measured(0.001, trip=0.005)
    fetch(pace, 10, 0.001)
    pace.overstayed()
    assert pace.batch == 1


@pytest.mark.parametrize(
    ("per_job", "trip", "stay"), [(0.00001, 0.001, 1.0), (0.001, 0.5, 4.0), (5.0, 0.001, 20.0)]
)
def test_a_job_may_stay_for_four_batches_and_a_second_at_least(per_job, trip, stay):
    pace = measured(per_job, trip)
    fetch(pace, 20, per_job)
    assert pace.stay == pytest.approx(stay)


def test_an_explicit_batch_wins():
    pace = Pace(50, None, 30.0)
    assert (pace.batch, pace.prefetch, pace.stay) == (50, 50, None)
    pace.travelled(0.001)
    assert set(fetch(pace, 10, 10.0)) == {50}
    assert pace.prefetch == 0  # a round trip is nothing beside 500 seconds of work
    assert Pace(50, 7, 30.0).prefetch == 7


def test_an_explicit_prefetch_wins():
    pace = Pace(None, 7, 30.0)
    assert (pace.batch, pace.prefetch, pace.stay) == (1, 7, None)
    assert Pace(None, 0, 30.0).stay is not None  # nothing is fetched ahead, but a batch may be too large
