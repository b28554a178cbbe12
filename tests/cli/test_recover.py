"""`dibs recover` where nothing is lost, and what it says; tests/faults/cluster does it with real losses."""

import pytest
from dibs.cli.recover import _told


def test_a_server_that_has_lost_nothing_says_so(run, server):
    for options in ([], ["--accept-loss"]):
        code, out, err = run("recover", *options, "--url", server.url)
        assert (code, out) == (1, "")
        assert "has lost nothing that could be written back" in err


def test_only_a_server_can_write_back(run):
    code, _, err = run("recover", "--data", "postgresql://nobody@127.0.0.1:1/d")
    assert (code, "say --accept-loss, too" in err) == (2, True)


@pytest.mark.parametrize("data", ["postgresql://nobody@127.0.0.1:1/d", "dibs-data"])
def test_a_database_that_can_not_be_reached_is_said(run, data):
    code, out, err = run("recover", "--accept-loss", "--data", data)
    assert (code in (2, 4), out) == (True, "")
    assert err.startswith("dibs: ")
    assert "Traceback" not in err


def test_what_is_given_up_is_told_as_far_as_it_is_known():
    known = {"written": 0, "lost": 1000, "passed": 5, "again": 2, "gone": ["a", "b"]}
    assert _told(known) == [
        "1,000 transactions are given up; the next owner goes on without them.",
        "5 numbers that they handed out or took in are passed over, and count as jumped.",
        "Up to 2 items that were done since are handed out again.",
        "Queues that were made since are gone: a, b.",
    ]
    unknown = _told({"written": 0, "lost": 1, "passed": None, "again": None, "gone": None})
    assert "Nobody knows what they did" in unknown[1]
