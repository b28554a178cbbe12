"""Every seed is another order of steps, with requests and replies lost, outages, bad items and crashes.

Whatever happens: nothing is lost, nothing is settled twice, and who closes leaves nothing behind.
"""

import random

import pytest


def faulty(rng, share):
    def fault(number, request):
        return rng.choice(["request", "reply"]) if rng.random() < share else None

    return fault


def scene(sim, seed, **how):
    rng = random.Random(seed)
    lab = sim.Sim(rng.choice, faulty(rng, rng.choice([0.0, 0.1, 0.4])), rng.random)
    lab.trip = rng.choice([0.0, 0.01, 0.1])
    items = rng.randrange(1, 60)
    queue = lab.server.add("jobs", range(items), max_attempts=3, backoff=rng.choice([0.0, 1.0]))
    return rng, lab, queue, items


def options(rng):
    return {
        "batch": rng.choice([None, 1, 3, 50]),
        "prefetch": rng.choice([None, 0, 1, 7]),
        "in_hand": rng.choice([None, 1, 4]),
        "ttl": rng.choice([0.5, 3.0, 30.0]),
        "patience": 1e6,
        "wait": rng.choice([0.5, 20.0]),
    }


def pace(rng):
    """Seconds a job: always the same, or now so and now so."""
    return rng.choice([0.0, 0.01, 2.0, lambda job: rng.choice([0.0, 0.01, 5.0])])


def end(lab, made):
    for one in made:
        lab.close(one, grace=1e4)
    lab.run(limit=2e4)
    assert all(task.state == "over" for task in lab.tasks), [(t.name, t.state) for t in lab.tasks]


@pytest.mark.parametrize("seed", range(150))
def test_all_is_done_once(sim, seed):
    rng, lab, queue, items = scene(sim, seed)
    made = [lab.consumer(worker=f"w{number}", **options(rng)) for number in range(rng.randrange(1, 4))]
    work = pace(rng)
    bad = {seq for seq in range(1, items + 1) if rng.random() < 0.1}
    tasks = [
        lab.spawn(sim.worker(one, work, fail=lambda job: job.seq in bad))
        for one in made
        for _ in range(rng.randrange(1, 4))
    ]
    for task in tasks:
        lab.finish(task)
    end(lab, made)
    confirmed = [job.seq for one in made for job in set(one.seen) if job.outcome == "acked"]
    dead = {seq for seq, entry in queue.inside.items() if entry.dead}
    expired = {
        seq for seq in dead - bad if {one["error"] for one in queue.inside[seq].history} == {"expired"}
    }
    assert (
        sorted(confirmed) == sorted(seq for seq, _ in queue.done) == sorted(set(range(1, items + 1)) - dead)
    )
    assert set(queue.inside) == dead == bad | expired
    assert not lab.server.violations
    for one in made:
        counts, jobs = one.jobs.counts, one.jobs
        assert (jobs.begun, len(jobs.ready), jobs.outbox.unsaid, jobs.leases) == (0, 0, 0, [])
        assert counts.begun == len(one.seen) <= counts.acked + counts.nacked + counts.dead + counts.lost


@pytest.mark.parametrize("seed", range(150))
def test_who_closes_leaves_nothing_behind(sim, seed):
    """Close at a random step. What was confirmed is done; the rest waits again, with nobody's name on it."""
    rng, lab, queue, _ = scene(sim, seed)
    made = lab.consumer(**options(rng) | {"ttl": 43_200.0})
    task = lab.spawn(sim.worker(made, pace(rng)))
    steps = iter(range(rng.randrange(1, 400)))
    lab.run(lambda: next(steps, None) is None or task.state == "over")
    end(lab, [made])
    assert not [entry for entry in queue.inside.values() if entry.token]
    seen = getattr(made, "seen", [])
    acked = sorted(job.seq for job in seen if job.outcome == "acked")
    assert acked == [seq for seq, _ in sorted(queue.done)]
    assert len(queue.done) + len(queue.inside) == queue.cursor
    assert all(job.outcome is not None for job in seen)


@pytest.mark.parametrize("seed", range(60))
def test_crashed_workers_and_an_outage_lose_nothing(sim, seed):
    rng, lab, queue, items = scene(sim, seed)
    queue.settings["max_attempts"] = None
    made = [lab.consumer(worker=f"w{number}", **options(rng)) for number in range(3)]
    tasks = [lab.spawn(sim.worker(one, 0.5), group=one) for one in made]
    steps = iter(range(rng.randrange(1, 300)))
    lab.run(lambda: next(steps, None) is None or all(task.state == "over" for task in tasks))
    crashed = made[0]
    lab.tasks = [task for task in lab.tasks if task.group is not crashed]
    lab.down = True
    until = lab.now + rng.choice([0.1, 10.0, 100.0])
    lab.spawn(_back(lab, until))
    for task in tasks[1:]:
        lab.finish(task)
    assert sorted(seq for seq, _ in queue.done) == list(range(1, items + 1))
    assert not lab.server.violations
    end(lab, made[1:])


def _back(lab, until):
    from dibs.client.flow import Sleep

    yield Sleep(until - lab.now)
    lab.down = False
