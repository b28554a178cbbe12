"""Sources that sleep, fail or change, behind a real server."""

import threading

import pytest

pytestmark = pytest.mark.slow


def test_a_source_that_sleeps_stalls_its_own_queue_only(serve, tmp_path):
    gate = tmp_path / "go"
    (tmp_path / "dibs.toml").write_text("[limits]\npull_patience = 2\n")
    server = serve("--queue", f"slow=sources:gated(path='{gate}')", "--queue", "quick=count()")
    assert [server.post("/queues/slow/next").json()["value"] for _ in range(2)] == [1, 2]
    waiting = [threading.Thread(target=server.post, args=("/queues/slow/next?wait=3",)) for _ in range(8)]
    for thread in waiting:
        thread.start()
    assert [server.post("/queues/quick/next").json()["seq"] for _ in range(100)] == list(range(1, 101))
    busy = server.post("/queues/slow/next")
    assert (busy.status_code, busy.json()["type"]) == (503, "urn:dibs:problem:source-busy")
    assert busy.json()["handed_out"] == "no"
    assert int(busy.headers["retry-after"]) >= 1
    for thread in waiting:
        thread.join(60)
    assert server.post("/queues/slow/pause").json()["state"] == "paused"  # the source still sleeps
    server.post("/queues/slow/resume").raise_for_status()
    gate.touch()
    values = [server.post("/queues/slow/next?wait=5").json()["value"] for _ in range(3)]
    assert values == [3, 4, 5]  # what was drawn for nobody goes to the next


def test_a_source_that_fails_stays_failed_until_it_is_retried(serve, tmp_path):
    mended = tmp_path / "mended"
    queue = ("--queue", f"default=sources:fails_at(path='{mended}', k=6)")
    server = serve(*queue)
    short = server.post("/next?count=100").json()
    assert ([item["value"] for item in short["items"]], short["state"]) == ([1, 2, 3, 4, 5], "failed")
    for _ in range(2):
        refused = server.post()
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:dibs:problem:source-failed")
        assert refused.json()["cause"] == {"type": "RuntimeError", "message": "no item 6 today"}
        assert server.get("/stats").json()["queues"][0]["failure"]["seq"] == 6
        server.kill()
        server = serve(*queue)
    mended.touch()
    server.post("/queues/default/retry").raise_for_status()
    assert server.post("/next?wait=5").json() == {"queue": "default", "seq": 6, "value": 6}
    assert server.audit()["balanced"]


def test_a_file_that_changed_under_its_cursor(serve, tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("ann\nbob\ncid\n")
    queue = ("--queue", f"default=lines({file})")
    server = serve(*queue)
    assert [server.post().json()["value"] for _ in range(2)] == ["ann", "bob"]
    server.kill()
    for changed in ("ann\nBOB\ncid\n", "ann\n", None):
        file.unlink() if changed is None else file.write_text(changed)
        server = serve(*queue)
        refused = server.post("/next?wait=5").json()
        assert (refused["type"], refused["cause"]["type"]) == (
            "urn:dibs:problem:source-failed",
            "source-changed",
        )
        server.kill()
    file.write_text("ann\nbob\ncid\n")
    server = serve(*queue)
    server.post("/queues/default/retry").raise_for_status()
    assert server.post("/next?wait=5").json()["value"] == "cid"
