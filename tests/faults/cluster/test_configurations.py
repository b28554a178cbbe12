"""Servers with files of their own, which differ, on one PostgreSQL."""

import pytest
from dibs.proof.server import free_port

pytestmark = pytest.mark.slow


def write(path, attempts):
    path.write_text(f'[queues.jobs]\nsource = ""\nmax_attempts = {attempts}\n')
    return ("--config", str(path))


def attempts(server):
    return server.get("/queues/jobs").json()["settings"]["max_attempts"]


def test_two_files_undo_nothing_at_takeovers_and_a_changed_one_counts_at_a_start(fleet, database, tmp_path):
    run = fleet(database.url)
    a = run.add(options=(*write(tmp_path / "a.toml", 3), "--port", str(free_port())))
    b = run.add(options=(*write(tmp_path / "b.toml", 5), "--port", str(free_port())))
    assert attempts(a) == attempts(b) == 5  # the second one's came later
    for turn in range(2):
        term, owner = run.term()[0], run.owner()
        port = owner.address.rpartition(":")[2]
        owner.kill() if turn else owner.stop()
        run.owned_after(term)
        file = tmp_path / ("b.toml" if owner is b else "a.toml")
        again = run.add(options=("--config", str(file), "--port", port))
        a, b = (a, again) if owner is b else (again, b)
        assert attempts(a) == attempts(b) == 5
    port = a.address.rpartition(":")[2]
    a.stop()
    a = run.add(options=(*write(tmp_path / "a.toml", 7), "--port", port))
    assert attempts(a) == attempts(b) == 7


def test_a_server_without_queues_adds_none(fleet, database, tmp_path):
    run = fleet(database.url)
    a = run.add(options=("--queue", "ids=count"))
    run.add()
    assert [queue["queue"] for queue in a.get("/queues").json()["queues"]] == ["ids"]
