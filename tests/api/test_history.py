"""What is kept: in a backup, over a restart, of items that are done."""

import pytest


def keyed(key):
    return {"Idempotency-Key": key}


class TestBackup:
    def test_a_copy_in_the_data_folder(self, make, tmp_path):
        house = make(data=tmp_path / "data")
        house.ask("POST", "/next?count=7")
        answer = house.ask("POST", "/backup").json()
        copy = tmp_path / "restored" / "dibs.db"
        copy.parent.mkdir()
        copy.write_bytes((tmp_path / "data" / "backups" / answer["path"].rpartition("/")[2]).read_bytes())
        assert copy.stat().st_size == answer["bytes"]
        restored = make(data=copy.parent)
        assert restored.ask("POST", "/accept", json={"advance": 0}).json() == {"advanced": []}
        assert restored.ask("POST", "/next").json()["seq"] == 8

    def test_not_of_memory(self, refused):
        refused("POST", "/backup", 403, "forbidden")


def test_keys_survive_a_restart(open_house, tmp_path):
    with open_house(data=tmp_path) as house:
        first = house.ask("POST", "/next?count=3", headers=keyed("k"))
    with open_house(data=tmp_path) as house:
        again = house.ask("POST", "/next?count=3", headers=keyed("k"))
        assert again.json() == first.json()
        assert again.headers["idempotent-replayed"] == "true"
        assert house.ask("POST", "/next").json()["seq"] == 4


class TestHistory:
    @pytest.fixture
    def ids(self, house, ask):
        house.define("ids", "count", start=100)
        assert ask("PUT", "/queues/ids", json={"settings": {"history": None}}).status_code == 200
        return "/queues/ids"

    def rows(self, ask, path="/queues/ids/history"):
        found = ask("GET", path).json()["history"]
        return [(row["verb"], row["first"], row["last"], row["key"], row["worker"]) for row in found]

    def test_every_way_of_taking_is_told_and_a_replay_is_not(self, ids, house, ask):
        for _ in range(2):
            ask("POST", f"{ids}/next", headers=keyed("order-4711"))
            ask("POST", f"{ids}/next?count=2", headers=keyed("two"))
            ask("POST", f"{ids}/block?size=5", headers=keyed("block"))
        ask("POST", f"{ids}/next")
        assert self.rows(ask) == [
            ("taken", 1, 1, "order-4711", ""),
            ("taken", 2, 3, "two", ""),
            ("taken", 4, 8, "block", ""),
            ("taken", 9, 9, None, ""),
        ]
        [row] = ask("GET", f"{ids}/history?seq=5").json()["history"]
        assert row == {
            **{"generation": 1, "first": 4, "last": 8, "verb": "taken", "caller": "", "key": "block"},
            **{"worker": "", "at": row["at"]},
        }
        back = [ask("GET", f"{ids}/history?seq=5&before={n}").json()["history"] for n in (2**53 - 1, 1)]
        assert back == [[row], []]
        item = ask("GET", f"{ids}/items/5").json()
        assert item == {"queue": "ids", "seq": 5, "value": 104, "state": "taken", "done": row}

    def test_every_way_of_acking_is_told_and_a_replay_is_not(self, ids, house, ask):
        first, second, third = (
            house.lease("ids", max=2, worker=name)["token"] for name in ("ann", "ben", "cid")
        )
        for _ in range(2):
            ask("POST", f"{ids}/ack", json={"token": first}, headers=keyed("a"))
            body = {"acks": [{"token": second, "seqs": [[4, 4]]}], "lease": {"max": 1}}
            ask("POST", f"{ids}/settle", json=body, headers=keyed("s"))
        ask("POST", f"{ids}/settle", json={"acks": [{"token": third}], "lease": {"max": 1}})
        assert self.rows(ask) == [
            ("acked", 1, 2, "a", "ann"),
            ("acked", 4, 4, "s", "ben"),
            ("acked", 5, 6, None, "cid"),
        ]
        assert ask("GET", f"{ids}/items/3").json()["state"] == "leased"
        assert ask("GET", f"{ids}/items/4").json()["done"]["worker"] == "ben"

    def test_it_outlives_the_queue_and_comes_in_pages(self, ids, ask):
        for _ in range(3):
            ask("POST", f"{ids}/next")
        ask("DELETE", ids)
        page = ask("GET", f"{ids}/history?limit=2").json()
        assert [row["first"] for row in page["history"]] == [1, 2]
        page = ask("GET", f"{ids}/history?limit=2&after={page['next']}").json()
        assert ([row["first"] for row in page["history"]], page["next"]) == ([3], None)

    def test_what_has_none(self, house, ask, refused):
        house.define("quiet", "count")
        ask("POST", "/queues/quiet/next")
        assert ask("GET", "/queues/quiet/history").json() == {"queue": "quiet", "history": [], "next": None}
        refused("GET", "/queues/quiet/items/1", 404, "item-unknown")
        refused("GET", "/queues/nowhere/history", 404, "queue-unknown")
        refused("GET", "/queues/quiet/history?seq=0", 422, "limit-exceeded")
