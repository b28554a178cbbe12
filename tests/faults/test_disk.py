"""EIO and a full disk at every possible call, a kill and a loss of power at every possible call.

``harness/matrix.py`` lives through a fixed story on several queues (takes with and without keys, blocks,
endings, a pause, a jump, a deletion, restarts) once for each call that the ledger makes to its files. Another
story is of work: pushes, leases, settlings with the next lease, results, burials, a redrive, a purge.
"""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1820)]


@pytest.mark.parametrize(
    "mode",
    [
        "crash",
        "eio",
        "eio-look",
        "eio-shm",
        "eio-shm-while",
        "eio-landed",
        "eio-while",
        "full",
        "full-while",
        "checkpoint-crash",
        "checkpoint-eio",
        "work-crash",
        "work-eio",
        "work-eio-while",
        "work-full",
    ],
)
def test_what_was_answered_stands_and_what_was_not_is_drawn_again(harness, mode):
    ended = harness("matrix.py", mode)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.endswith(" 0 broken promises\n")


def test_control_a_disk_that_lies_about_its_syncs_is_found_out(harness):
    ended = harness("matrix.py", "lying")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "power lost" in ended.stdout
    assert "killed" not in ended.stdout  # a kill loses nothing of what the kernel has
