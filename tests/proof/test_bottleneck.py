"""What a load test says of its rate: which of clients, server, disk and other programs was used up."""

from __future__ import annotations

import pytest
from dibs.proof.bottleneck import Reading, Used, read, told, used

BEFORE = Reading(clock=10.0, clients=3.0, machine=100.0, uptime=50.0, server=7.0, commits=1.0)
AFTER = Reading(clock=20.0, clients=12.7, machine=115.0, uptime=60.0, server=11.1, commits=2.2)


def test_the_line_names_the_clients_and_each_share():
    assert told(used(BEFORE, AFTER, cores=2)) == (
        "Bottleneck: the clients of this test, which are one Python process; the server could have done more"
        " (the clients used 0.97 of this machine's 2 cores, the server 0.41,"
        " commits to the disk took 12% of the time)."
    )


@pytest.mark.parametrize(
    ("load", "bottleneck"),
    [
        (Used(10, 0.76, 2, 1.9, 0.75, 0.9), "the clients of this test"),
        (Used(10, 0.75, 8, 2.0, 0.95, 0.9), "the server's processor"),
        (Used(10, 0.60, 1, 0.99, 0.35, 0.9), "this machine's processor"),
        (Used(10, 0.30, 2, 1.95, 0.20, 0.9), "other programs"),
        (Used(10, 0.30, 2, 0.60, 0.20, 0.6), "the server's disk"),
        (Used(10, 0.30, 2, None, 0.20, 0.6), "the server's disk"),
        (Used(10, 0.10, 2, 0.30, 0.20, 0.1), "nothing was used up"),
        (Used(10, 0.90, 2), "the clients of this test"),
        (Used(10, 0.30, 2, 0.40), "not the clients of this test"),
        (Used(0.1, 0.97, 2, 1.9, 0.2, 0.1), "not told, for the load was too short"),
        (Used(10, 0.97, 2, 1.9, restarted=True), "not told, for the server was restarted"),
    ],
)
def test_what_was_used_up_first(load, bottleneck):
    assert told(load).startswith(f"Bottleneck: {bottleneck}")


def test_a_share_that_nobody_knows_is_not_told():
    line = told(Used(10, 0.9, 1))
    assert line.endswith("(the clients used 0.90 of this machine's 1 core, the server's use is not known).")


def test_a_server_that_was_restarted_is_noticed():
    load = used(BEFORE, AFTER._replace(uptime=9.9, server=0.5, commits=0.1))
    assert (load.restarted, load.server, load.commits) == (True, None, None)


def test_the_first_commits_of_a_ledger_count():
    assert used(BEFORE._replace(commits=None), AFTER).commits == pytest.approx(0.22)


@pytest.mark.parametrize(
    ("stats", "server", "commits"),
    [
        ({"uptime": 5, "processor_time": 2.5, "ledger": {"syncs": 3, "commit_time": 1.5}}, 2.5, 1.5),
        ({"uptime": 5, "processor_time": 2.5, "ledger": {"syncs": 0, "commit_time": 1.5}}, 2.5, None),
        ({"uptime": 5, "ledger": 7}, None, None),
        ({}, None, None),
        (None, None, None),
    ],
)
def test_what_a_server_tells(stats, server, commits):
    """One in memory has no disk; an older one, or none, tells nothing."""
    reading = read(lambda: stats)
    assert (reading.server, reading.commits) == (server, commits)
    assert reading.clients > 0
