"""Backups over HTTP: fetched whole, told as kept, and a restored one that hands nothing out unasked."""

import asyncio
import json
import re
import sqlite3

import pytest

NAMED = re.compile(r'attachment; filename="(dibs-\d{8}T\d{6}\.\d{6}Z\.db)"')
TAKES = [
    ("POST", "/next", None),
    ("POST", "/queues/default/next?count=3", None),
    ("POST", "/queues/default/block?size=10", None),
    ("POST", "/queues/jobs/lease", {"max": 2}),
    ("POST", "/queues/jobs/items", {"items": [{"value": 1}]}),
    ("POST", "/queues/jobs/settle", {"acks": [{"token": "t"}]}),
]


@pytest.fixture
def served(make, tmp_path):
    """A server with a data folder: 7 of ``default`` were taken, two jobs were pushed."""
    house = make(data=tmp_path / "data")
    house.ask("POST", "/next?count=7")
    house.ask("PUT", "/queues/jobs", json={})
    house.ask("POST", "/queues/jobs/items", json={"items": [{"value": "a"}, {"value": "b"}]})
    return house


@pytest.fixture
def copy(served, tmp_path):
    """A data folder with a copy that was put there by hand, as a file."""
    file = tmp_path / "restored" / "dibs.db"
    file.parent.mkdir()
    file.write_bytes(served.ask("GET", "/backup").content)
    served.ask("POST", "/next?count=5")
    return file.parent


@pytest.fixture
def restored(make, copy):
    """A server of a copy."""
    return make(data=copy)


def metric(house, name):
    found = re.search(rf"^{name} (\S+)$", house.ask("GET", "/metrics").text, re.MULTILINE)
    return None if found is None else float(found[1])


class TestFetching:
    def test_a_copy_is_sent_whole_and_the_server_keeps_none(self, served, tmp_path):
        answer = served.ask("GET", "/backup")
        assert answer.status_code == 200
        assert NAMED.fullmatch(answer.headers["content-disposition"])
        assert int(answer.headers["content-length"]) == len(answer.content)
        file = tmp_path / "fetched.db"
        file.write_bytes(answer.content)
        assert sqlite3.connect(file).execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert not [path.name for path in (tmp_path / "data" / "backups").iterdir() if "dibs-" in path.name]

    def test_it_counts_when_it_is_said_to_be_kept(self, served):
        name = NAMED.fullmatch(served.ask("GET", "/backup").headers["content-disposition"])[1]
        assert metric(served, "dibs_backup_last_success_timestamp_seconds") is None
        told = served.ask("POST", "/backup/kept", json={"name": name}).json()
        assert (told["name"], told["bytes"] > 0) == (name, True)
        assert served.ask("POST", "/backup/kept", json={"name": name}).json() == told  # sent again
        assert metric(served, "dibs_backup_last_success_timestamp_seconds") > 1.7e9

    def test_the_last_one_is_known_after_a_restart(self, open_house, tmp_path):
        with open_house(data=tmp_path) as house:
            house.ask("POST", "/backup")
            at = metric(house, "dibs_backup_last_success_timestamp_seconds")
        with open_house(data=tmp_path) as house:
            assert metric(house, "dibs_backup_last_success_timestamp_seconds") == at > 1.7e9

    def test_a_name_that_was_not_sent_is_refused(self, served):
        answer = served.ask("POST", "/backup/kept", json={"name": "dibs-1.db"})
        assert (answer.status_code, answer.json()["field"]) == (409, "name")

    def test_one_in_the_data_folder_counts_at_once(self, served):
        made = served.ask("POST", "/backup").json()
        assert metric(served, "dibs_backup_last_size_bytes") == made["bytes"]

    def test_what_a_killed_server_left_goes(self, served, tmp_path):
        folder = tmp_path / "data" / "backups"
        folder.mkdir(exist_ok=True)
        (folder / "dibs-1.db.partial").write_text("half")
        served.ask("POST", "/backup")
        assert not list(folder.glob("*.partial"))

    def test_not_of_memory(self, refused):
        refused("GET", "/backup", 403, "forbidden")


class TestRestored:
    @pytest.mark.parametrize(("method", "path", "body"), TAKES)
    def test_nothing_goes_out_and_nothing_comes_in(self, restored, method, path, body):
        answer = restored.ask(method, path, **({} if body is None else {"json": body}))
        problem = answer.json()
        assert (answer.status_code, problem["type"]) == (503, "urn:dibs:problem:restored")
        assert problem["handed_out"] == "no"
        assert "dibs accept" in problem["detail"]
        assert "retry-after" in answer.headers

    def test_it_says_what_it_is(self, restored):
        told = restored.ask("GET", "/stats").json()["restored"]
        assert (told["held"], told["backup"][:5]) == (True, "dibs-")
        ready = restored.ask("GET", "/readyz")
        assert (ready.status_code, ready.json()["type"]) == (503, "urn:dibs:problem:restored")
        assert "dibs accept" in ready.json()["detail"]
        assert metric(restored, "dibs_restored_held") == 1
        assert metric(restored, "dibs_ready") == 0
        hello = restored.ask("GET", "/page/session").json()
        assert hello["restored"].startswith("restored from the backup of 20")

    def test_operators_may_look_and_mend(self, restored):
        assert restored.ask("POST", "/queues/jobs/purge", json={"confirm": "jobs"}).json()["purged"] == 2
        assert restored.ask("POST", "/queues/default/pause").status_code == 200
        assert restored.ask("GET", "/queues/default/audit").json()["balanced"]

    def test_advanced_nothing_is_handed_out_again(self, restored):
        answer = restored.ask("POST", "/accept", json={"advance": 5, "queues": {"jobs": 100}})
        assert answer.json() == {
            "advanced": [
                {"queue": "default", "cursor_before": 7, "cursor": 12},
                {"queue": "jobs", "cursor_before": 2, "cursor": 102},
            ]
        }
        assert restored.ask("POST", "/next").json()["seq"] == 13
        assert restored.ask("POST", "/queues/jobs/items", json={"items": [{"value": "c"}]}).status_code == 201
        leased = restored.ask("POST", "/queues/jobs/lease", json={"max": 5}).json()
        assert [item["seq"] for item in leased["items"]] == [1, 2, 103]
        for queue in ("default", "jobs"):
            assert restored.ask("GET", f"/queues/{queue}/audit").json()["balanced"]
        assert restored.ask("GET", "/stats").json()["restored"]["held"] is False
        assert restored.ask("GET", "/readyz").status_code == 200

    def test_held_and_accepted_are_so_after_a_restart_too(self, open_house, copy):
        for _ in range(2):
            with open_house(data=copy) as house:
                assert house.ask("POST", "/next").status_code == 503
        with open_house(data=copy) as house:
            assert house.ask("POST", "/accept", json={"advance": 0}).json() == {"advanced": []}
            assert house.ask("POST", "/accept", json={"advance": 9}).json() == {"advanced": []}  # sent again
        with open_house(data=copy) as house:
            assert house.ask("POST", "/next").json()["seq"] == 8

    def test_a_backup_of_an_accepted_one_is_held_again(self, restored, make, tmp_path):
        restored.ask("POST", "/accept", json={"advance": 5})
        copy = tmp_path / "second" / "dibs.db"
        copy.parent.mkdir()
        copy.write_bytes(restored.ask("GET", "/backup").content)
        assert make(data=copy.parent).ask("POST", "/next").status_code == 503

    def test_a_queue_that_nobody_knows_is_refused_and_nothing_is_moved(self, restored):
        answer = restored.ask("POST", "/accept", json={"advance": 5, "queues": {"nope": 1}})
        assert (answer.status_code, answer.json()["field"]) == (404, "queues")
        assert restored.ask("GET", "/queues/default").json()["cursor"] == 7
        assert restored.ask("POST", "/next").status_code == 503

    @pytest.mark.parametrize("body", [{}, {"advance": -1}, {"advance": "5"}, {"advance": 1, "queues": []}])
    def test_what_is_no_answer_is_refused(self, restored, body):
        assert restored.ask("POST", "/accept", json=body).status_code == 422
        assert restored.ask("POST", "/next").status_code == 503

    def test_whoever_waits_is_served_when_it_is_accepted(self, restored):
        async def both():
            waiting = asyncio.ensure_future(restored.send("POST", "/queues/default/next?wait=20"))
            await restored.until(lambda: restored.queues.get("default").line.parked)
            await restored.send("POST", "/accept", json={"advance": 5})
            return (await waiting).json()["seq"]

        assert restored.run(both()) == 13


def test_a_ledger_that_is_no_copy_has_nothing_to_accept(house):
    answer = house.ask("POST", "/accept", json={"advance": 5})
    assert (answer.status_code, "no restored backup" in json.dumps(answer.json())) == (409, True)
