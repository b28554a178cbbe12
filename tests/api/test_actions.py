"""Who did what, since when, and one item's story: what a restart of the server must not forget."""

import re

from dibs.dashboard.recorder import Recorder

SITE = {"Sec-Fetch-Site": "same-origin"}


def told(house, queue=None):
    return [
        (each["who"].partition(" at ")[0], each["what"])
        for each in house.app.state.context.actions.of(queue, 50)
    ]


def test_actions_are_there_after_a_restart(open_house, tmp_path):
    expected = [("anybody", each) for each in ("purged 2 items of jobs", "paused jobs", "created jobs")]
    with open_house(data=tmp_path / "data") as house:
        house.pushed("jobs", 1, 2)
        house.ask("POST", "/queues/jobs/pause")
        house.ask("POST", "/queues/default/retry")  # it has not failed: nothing was done
        house.ask("POST", "/queues/jobs/purge", json={"confirm": "jobs"})
        assert told(house) == expected
    with open_house(data=tmp_path / "data") as house:
        assert told(house) == expected
        assert told(house, "default") == []
        house.ask("POST", "/queues/jobs/resume")
        assert told(house, "jobs")[0] == ("anybody", "resumed jobs")


def test_what_is_pushed_on_the_page_is_an_action_once_and_what_producers_push_is_none(make):
    house = make()
    house.pushed("jobs", 1)
    body = {"items": [{"value": 1, "key": "a"}, {"value": 2}]}
    for _ in range(2):
        answer = house.ask("POST", "/queues/jobs/items", json=body, headers=SITE | {"Idempotency-Key": "k"})
        assert answer.status_code == 201
    house.ask("POST", "/queues/jobs/items", json={"items": [body["items"][0]]}, headers=SITE)  # it is known
    assert told(house) == [("anybody", "pushed 2 items to jobs"), ("anybody", "created jobs")]


def test_the_words_say_which_error_was_redriven_and_which_items_were_dropped(make):
    house = make()
    house.pushed("jobs", *range(4), max_attempts=1)
    for error in ("exit 3: no\ndisk", "x" * 100, "other"):
        token = house.lease("jobs")["token"]
        house.ask("POST", "/queues/jobs/nack", json={"token": token, "error": error})
    for body in (
        {"error": "exit 3: no\ndisk", "rate": 2},
        {"error": "x" * 100},
        {"error": "nothing has it"},
        {},
    ):
        assert house.ask("POST", "/queues/jobs/redrive", json=body).status_code == 200
    house.ask("POST", "/queues/jobs/purge", json={"confirm": "jobs", "states": ["waiting"]})
    assert [what for _, what in told(house)][:4] == [
        "purged 4 waiting items of jobs",
        "redrove 1 dead letter of jobs",
        f"redrove 1 dead letter of jobs with the error '{'x' * 64}…'".replace("…", "\\u2026"),
        "redrove 1 dead letter of jobs with the error 'exit 3: no\\ndisk' at 2 a second",
    ]


def test_who_did_it_is_where_the_request_came_from(make):
    house = make()
    house.ask("POST", "/queues/default/pause")
    [action] = house.app.state.context.actions.of(None, 9)
    assert action["who"] == ("anybody at unix" if house.wire else "anybody at 127.0.0.1")


def test_the_story_of_an_item(make):
    house = make()
    house.pushed("jobs", "a", max_attempts=3, backoff=0)
    token = house.lease("jobs", worker="w1")["token"]
    held = house.ask("GET", "/queues/jobs/items/1").json()
    assert held["kept_at"] <= held["began_at"] < held["due_at"]
    assert (held["pushed_by"], held["key"]) == ("", None)  # nobody is known
    house.ask("POST", "/queues/jobs/extend", json={"token": token, "ttl": 60})
    house.ask("POST", "/queues/jobs/nack", json={"token": token, "error": "no", "delay": 0})
    found = house.ask("GET", "/queues/jobs/items/1").json()
    assert (found["began_at"], found["kept_at"]) == (None, held["kept_at"])
    [attempt] = found["history"]
    assert attempt.pop("at") >= attempt["began_at"]
    assert attempt == {"attempt": 1, "worker": "w1", "error": "no", "began_at": held["began_at"]}
    house.lease("default")
    fresh = house.ask("GET", "/queues/default/items/1").json()
    assert (fresh["kept_at"], fresh["pushed_by"], fresh["key"], fresh["history"]) == (None, "", None, [])
    assert fresh["began_at"] is not None


def since(house):
    """State, and since when, as the page shows them of a queue that it has not looked at before."""
    recorder = Recorder(0)
    track = recorder.track(house.queues.get("ids"), 0)
    return track.state, track.since


def test_a_changed_setting_is_told_from_what_to_what_and_large_numbers_are_in_groups(make):
    house = make()
    house.pushed("jobs", *range(1200))
    for settings in (
        {"max_attempts": 5, "key_ttl": None},
        {"max_attempts": 5, "backoff": 0.25},
        {"jitter": 0.1},
    ):
        assert house.ask("PUT", "/queues/jobs", json={"settings": settings}).status_code == 200
    house.ask("POST", "/queues/jobs/purge", json={"confirm": "jobs"})
    assert [what for _, what in told(house)][:4] == [
        "purged 1,200 items of jobs",
        "changed jobs",
        "changed jobs: backoff from 1 to 0.25",
        "changed jobs: key_ttl from 86400 to null, max_attempts from 10 to 5",
    ]


def test_since_when_an_item_waits_is_known_after_a_restart_though_nobody_claims(open_house, tmp_path):
    metric = re.compile(r'^dibs_oldest_waiting_seconds\{queue="(?:jobs|held)"\} (.+)$', re.MULTILINE)
    with open_house(data=tmp_path / "data") as house:
        for name in ("jobs", "held"):
            house.pushed(name, 1)
        house.ask("POST", "/queues/held/pause")
    with open_house(data=tmp_path / "data") as house:
        ages = [float(age) for age in metric.findall(house.ask("GET", "/metrics").text)]
        assert len(ages) == 2
        assert min(ages) > 0
        for name in ("jobs", "held"):
            assert house.ask("GET", f"/queues/{name}/stats").json()["oldest_waiting"] > 0
        house.ask("POST", "/queues/held/purge", json={"confirm": "held"})
        assert house.ask("GET", "/queues/held/stats").json()["oldest_waiting"] is None


def test_since_when_a_queue_is_paused_is_known_after_a_restart(open_house, tmp_path):
    settings = {"data": tmp_path / "data", "queues": {"ids": "count"}}
    with open_house(**settings) as house:
        house.ask("POST", "/queues/ids/pause")
        paused = house.queues.get("ids").browser.on_disk().paused_at
    with open_house(**settings) as house:
        assert since(house) == ("paused", paused)


def test_since_when_a_queue_has_failed_is_known_after_a_restart(open_house, tmp_path):
    path = tmp_path / "gone.txt"
    path.write_text("1\n")
    settings = {"data": tmp_path / "data", "queues": {"ids": f"lines({path})", "other": "count"}}
    with open_house(**settings) as house:
        assert house.ask("POST", "/queues/ids/next").status_code == 200
    path.unlink()
    with open_house(**settings) as house:
        failed = house.queues.get("ids").browser.on_disk().ended_at
        assert failed
    with open_house(**settings) as house:
        assert since(house) == ("failed", failed)
