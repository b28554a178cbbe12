"""The log of a server in a process of its own: its levels, its two forms, and what no line has."""

import json
import re

import httpx
import pytest


def lines(server):
    return [json.loads(line) for line in server.stderr.splitlines()]


def ask(server):
    with httpx.Client(base_url=server.url) as client:
        client.post("/queues/default/lease", headers={"Idempotency-Key": "a-secret"}).raise_for_status()
        client.post("/queues/default/pause").raise_for_status()
        assert client.post("/queues/default/lease").status_code == 503
        return client.get("/nowhere").headers["x-request-id"]


@pytest.mark.parametrize("options", [("--log-level", "info"), ()])
def test_json_off_a_terminal_and_a_line_a_request_at_info_alone(serve, options):
    server = serve(*options)
    last = ask(server)
    assert server.end() == 0
    found = lines(server)
    assert all({"event", "level", "logger", "timestamp"} <= line.keys() for line in found)
    actions = [(line["level"], line["event"]) for line in found if line["logger"] == "dibs.actions"]
    assert actions == [("notice", "anybody at 127.0.0.1 paused default")]
    requests = [line for line in found if line["logger"] == "dibs.access"]
    told = [(each["method"], each["path"], each["status"]) for each in requests]
    lease = "POST", "/queues/default/lease"
    expected = [
        (*lease, 200),
        ("POST", "/queues/default/pause", 200),
        (*lease, 503),
        ("GET", "/nowhere", 404),
    ]
    assert told == (expected if options else [])
    assert not options or requests[-1]["request_id"] == last
    assert "a-secret" not in server.stderr


def test_for_people_and_above_notice_nothing_of_what_is_well(serve):
    server = serve("--log-format", "human", env={"DIBS_LOG_LEVEL": "info"})
    ask(server)
    assert server.end() == 0
    found = server.stderr
    assert re.search(
        r"^\S+Z \[info +\] request \[dibs.access\] .*method=GET path=/nowhere status=404", found, re.M
    )
    assert re.search(
        r"^\S+Z \[notice +\] anybody at 127\.0\.0\.1 paused default \[dibs.actions\]$", found, re.M
    )
    assert "\x1b" not in found
    quiet = serve("--log-level", "warning")
    ask(quiet)
    assert (quiet.end(), quiet.stderr) == (0, "")


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--log-level", "loud", "debug, info, notice, warning or error"),
        ("--log-format", "x", "auto, json or human"),
    ],
)
def test_a_wrong_one_is_told_with_those_there_are(run, option, value, told):
    code, _, err = run("serve", option, value)
    assert code == 2
    assert f"option {option}" in err
    assert told in err


def test_a_source_that_can_not_be_loaded_is_named_once(run):
    code, _, err = run("serve", "--port", "0", "--data", ":memory:", "--queue", "sweep=nomod:x")
    assert code == 2
    assert err.count("nomod:x") == 1, err


def test_a_reload_changes_the_level_of_a_server_that_runs(serve, tmp_path):
    settings = tmp_path / "dibs.toml"
    settings.write_text('log_level = "warning"\n')
    server = serve()
    with httpx.Client(base_url=server.url) as client:
        client.post("/next").raise_for_status()
        settings.write_text('log_level = "info"\n')
        client.post("/reload").raise_for_status()
        client.post("/next").raise_for_status()
        settings.write_text('log_level = "error"\n')
        client.post("/reload").raise_for_status()
        client.post("/next").raise_for_status()
    assert server.end() == 0
    paths = [line["path"] for line in lines(server) if line["logger"] == "dibs.access"]
    assert paths == ["/reload", "/next"]
