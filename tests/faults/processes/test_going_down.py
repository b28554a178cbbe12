"""The end of a server while a source sleeps: who waits for it is told in time; nothing was handed out."""

import threading

import pytest

pytestmark = pytest.mark.slow


def test_a_request_inside_a_slow_source_is_answered_when_the_server_goes_down(serve, tmp_path):
    queue = ("--queue", f"default=sources:gated(path='{tmp_path / 'go'}')")
    server = serve(*queue)
    assert server.post("/next?count=2").json()["items"][-1]["value"] == 2
    replies = []
    asking = [
        threading.Thread(target=lambda key=key: replies.append(server.post("/next?wait=25", key=key)))
        for key in (None, "a-key", "another")
    ]
    for thread in asking:
        thread.start()
    while server.get("/stats").json()["in_flight"] < 3:
        pass
    assert server.stop() == 0
    for thread in asking:
        thread.join()
    assert [(reply.status_code, reply.json()["handed_out"]) for reply in replies] == [(503, "no")] * 3
    assert all(reply.headers["content-type"] == "application/problem+json" for reply in replies)
    assert "Traceback" not in server.process.stderr.read()
    (tmp_path / "go").touch()
    assert serve(*queue).post("/next?wait=5", key="a-key").json()["value"] == 3
