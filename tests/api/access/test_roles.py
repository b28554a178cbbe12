"""What a caller may see and do, of queues and of what other callers have."""

import json
import sys

import pytest
from dibs.access.caller import Caller
from dibs.access.roles import Grant, Grants
from dibs.dashboard.streams import Streams

from .conftest import ADMIN, Owner, as_admin, bearer, push

# -- roles, and whose queue it is


def test_a_queue_of_somebody_else_is_as_one_that_is_not_there(house):
    owner = Owner(house, "admin:jobs-1")
    for method, rest, body in (
        ("GET", "", None),
        ("PUT", "", {}),
        ("DELETE", "", None),
        ("POST", "/next", None),
        ("POST", "/lease", {}),
        ("POST", "/items", {"items": [{"value": 1}]}),
        ("GET", "/history", None),
        ("POST", "/purge", {"confirm": "jobs-2"}),
        ("POST", "/ack", {"token": "x"}),
    ):
        told = []
        for name in ("jobs-2", "jobs-9"):
            options = {} if body is None else {"json": body}
            told.append(
                json.dumps(owner.problem(404, method, f"/queues/{name}{rest}", **options)).replace(name, "…")
            )
        assert told[0] == told[1]
        assert "queue-unknown" in told[0]
    assert house.counters()[-1][0] == "jobs-2"


def test_a_role_that_is_missing_is_named(house):
    owner = Owner(house, "consume:jobs*", "read:ids")
    problem = owner.problem(403, "POST", "/queues/jobs-1/items", json={"items": [{"value": 1}]})
    assert "produce" in problem["detail"]
    assert "consume" in problem["detail"]
    assert owner.problem(403, "POST", "/queues/ids/next")["type"] == "urn:dibs:problem:forbidden"
    assert owner.ask("POST", "/queues/jobs-1/next").status_code == 204
    assert owner.ask("GET", "/queues/ids/audit").status_code == 200
    owner.problem(403, "POST", "/backup")
    assert house.cursor("ids") == 0


def room_of(house, *roles):
    """How large the ledger is, as the page tells somebody with these roles; None: it does not."""
    context = house.app.state.context
    caller = Caller("ann", Grants([Grant.read(role) for role in roles]))

    async def nothing():
        return {}

    async def look():
        streams = Streams(house.queues, context.actions, settings=lambda: context.settings)
        told = {}
        async for event in streams.watch({"view": "overview"}, nothing, caller):
            if event.startswith("event: overview"):
                told = json.loads(event.partition("data: ")[2])
                streams.end()
        return told["totals"]["bytes"]

    return house.run(look())


def test_lists_have_only_what_the_caller_may_see(house):
    push(house, "jobs-2", 1, 2, 3)
    owner = Owner(house, "consume:jobs-1", "read:i?s")
    assert [queue["queue"] for queue in owner.ask("GET", "/queues").json()["queues"]] == ["ids", "jobs-1"]
    page = owner.ask("GET", "/queues", params={"limit": 1}).json()
    assert ([queue["queue"] for queue in page["queues"]], page["next"]) == (["ids"], "ids")
    assert owner.ask("GET", "/queues", params={"after": "ids", "limit": 1}).json()["next"] is None
    stats = owner.ask("GET", "/stats").json()
    assert ([queue["queue"] for queue in stats["queues"]], stats["queue_count"], stats["pushed"]) == (
        ["ids", "jobs-1"],
        2,
        0,
    )
    assert stats["ledger"] is None  # its path and size are nobody's who sees some queues
    assert "path" in Owner(house, "read").ask("GET", "/stats").json()["ledger"]
    assert [room_of(house, role) is None for role in ("read:jobs*", "read")] == [True, False]
    found = as_admin(house, "GET", "/stats").json()
    assert (found["pushed"], set(found["ledger"]) >= {"path", "bytes"}) == (3, True)
    owner.problem(403, "GET", "/metrics")


# -- keys and leases


def test_the_same_key_of_another_caller_is_another_key(house):
    ann, bob = Owner(house, "consume", name="ann"), Owner(house, "consume", name="bob")
    for extra in ({}, {"idempotency-sequence": "1"}):
        headers = {"idempotency-key": f"k{len(extra)}", **extra}
        first = ann.ask("POST", "/queues/ids/next", headers=headers)
        other = bob.ask("POST", "/queues/ids/next", headers=headers)
        again = ann.ask("POST", "/queues/ids/next", headers=headers)
        assert first.json()["seq"] + 1 == other.json()["seq"]
        assert (again.json(), again.headers["idempotent-replayed"]) == (first.json(), "true")
        different = bob.ask("POST", "/queues/ids/next?count=2", headers=headers)
        assert different.status_code == 422


def test_a_stream_under_a_key_of_another_caller_is_another_stream(house):
    ann, bob = Owner(house, "produce", name="ann"), Owner(house, "produce", name="bob")
    headers = {"idempotency-key": "k", "content-type": "application/x-ndjson"}
    for owner, seqs, replayed in ((ann, [[1, 1]], False), (bob, [[2, 2]], False), (ann, [[1, 1]], True)):
        answer = owner.ask("POST", "/queues/jobs-1/items", content=b'{"value": 1}\n', headers=headers)
        assert (answer.status_code, answer.json()["ranges"]) == (201, seqs), answer.text
        assert ("idempotent-replayed" in answer.headers) == replayed


def test_tokens_of_one_name_are_one_caller_so_that_one_takes_the_place_of_the_other(house):
    push(house, "jobs-1", 1)
    before, after = Owner(house, "consume", name="ann"), Owner(house, "consume", name="ann")
    headers = {"idempotency-key": "k"}
    leased = before.ask("POST", "/queues/jobs-1/lease", json={}, headers=headers).json()
    as_admin(house, "DELETE", f"/tokens/{before.made['id']}")
    before.problem(401, "POST", "/queues/jobs-1/lease", json={}, headers=headers)
    assert (
        after.ask("POST", "/queues/jobs-1/lease", json={}, headers=headers).json()["token"] == leased["token"]
    )
    acked = after.ask("POST", "/queues/jobs-1/ack", json={"token": leased["token"]})
    assert acked.json()["outcomes"] == [{"seqs": [1, 1], "outcome": "acked"}]


@pytest.mark.parametrize("verb", ["ack", "nack", "extend", "release"])
def test_the_lease_of_another_caller_is_as_one_that_is_not_there(house, verb):
    push(house, "jobs-1", 1, 2)
    ann, bob = Owner(house, "consume", name="ann"), Owner(house, "consume", name="bob")
    token = ann.ask("POST", "/queues/jobs-1/lease", json={"max": 2}).json()["token"]
    entry = {"token": token, **({"ttl": 60} if verb == "extend" else {})}
    refused = bob.problem(409, "POST", f"/queues/jobs-1/{verb}", json=entry)
    none = bob.problem(409, "POST", f"/queues/jobs-1/{verb}", json={**entry, "token": "none"})
    assert refused == none
    settled = bob.ask(
        "POST", "/queues/jobs-1/settle", json={f"{verb}s": [{**entry, "seqs": [[1, 1]]}]}
    ).json()
    assert settled[f"{verb}s"] == [[{"seqs": [1, 1], "outcome": "stale"}]]
    cut = bob.problem(409, "POST", f"/queues/jobs-1/{verb}", json={**entry, "token": token[:-8]})
    assert cut == none
    assert ann.ask("POST", f"/queues/jobs-1/{verb}", json=entry).status_code == 200


def test_a_lease_of_the_time_without_tokens_is_for_whoever_has_it(make):
    house = make()
    house.pushed("jobs", 1)
    token = house.lease("jobs")["token"]
    admin = house.ask("POST", "/tokens", json={"roles": ["admin"]}).json()["token"]
    acked = house.ask("POST", "/queues/jobs/ack", json={"token": token}, headers=bearer(admin))
    assert acked.status_code == 200


def test_a_result_goes_only_where_its_caller_may_push(house):
    push(house, "jobs-1", 1, 2)
    owner = Owner(house, "consume:jobs-1", "produce:jobs-2")
    token = owner.ask("POST", "/queues/jobs-1/lease", json={"max": 2}).json()["token"]
    entry = {"token": token, "seqs": [[1, 1]]}
    for target in ("ids", "none"):
        refused = {**entry, "push": [{"queue": target, "value": 5}]}
        problem = owner.problem(409, "POST", "/queues/jobs-1/ack", json=refused)
        assert (problem["reason"], problem["detail"]) == (
            "unknown",
            f"the result was refused, and the lease is as it was: there is no queue {target}",
        )
        settled = owner.ask("POST", "/queues/jobs-1/settle", json={"acks": [refused]}).json()
        assert settled["acks"] == [
            [{"seqs": [1, 1], "outcome": "refused", "reason": "unknown", "queue": target}]
        ]
    done = owner.ask("POST", "/queues/jobs-1/ack", json={**entry, "push": [{"queue": "jobs-2", "value": 5}]})
    assert done.status_code == 200
    assert as_admin(house, "GET", "/queues/jobs-2").json()["waiting"] == 1


def test_the_history_and_the_actions_say_who(house):
    as_admin(house, "PUT", "/queues/jobs-1", json={"settings": {"history": 60}})
    push(house, "jobs-1", 1, 2, 3)
    ann = Owner(house, "consume", "operate", name="ann")
    ann.ask("POST", "/queues/jobs-1/next")
    ann.ask("POST", "/queues/jobs-1/next", headers={"idempotency-key": "k"})
    token = ann.ask("POST", "/queues/jobs-1/lease", json={}).json()["token"]
    ann.ask("POST", "/queues/jobs-1/ack", json={"token": token})
    ann.ask("POST", "/queues/jobs-1/pause")
    rows = as_admin(house, "GET", "/queues/jobs-1/history").json()["history"]
    assert [(row["verb"], row["caller"]) for row in rows] == [
        ("taken", "ann"),
        ("taken", "ann"),
        ("acked", "ann"),
    ]
    actions = house.app.state.context.actions.of(None, 3)
    assert [(action["who"], action["what"]) for action in actions][:1] == [("ann", "paused jobs-1")]


def test_an_item_says_who_pushed_it_whichever_way_it_came(house):
    shop, cron = Owner(house, "produce", name="shop"), Owner(house, "produce", "consume", name="cron")
    lines = {"content-type": "application/x-ndjson"}
    shop.ask("POST", "/queues/jobs-1/items", json={"items": [{"value": 1, "key": "order-1"}]})
    shop.ask("POST", "/queues/jobs-1/items", json={"items": [{"value": 2}]}, headers={"idempotency-key": "k"})
    cron.ask("POST", "/queues/jobs-1/items", json={"items": [{"value": "x" * 100_000}]})
    cron.ask("POST", "/queues/jobs-1/items", content=b'{"value": 4}\n', headers=lines)
    push(house, "jobs-1", 5)
    cron.ask("POST", "/queues/jobs-1/items", json={"items": [{"value": 1, "key": "order-1"}]})
    token = cron.ask("POST", "/queues/jobs-1/lease", json={"max": 1}).json()["token"]
    result = {"queue": "jobs-2", "value": 5}
    cron.ask("POST", "/queues/jobs-1/nack", json={"token": token})
    token = cron.ask("POST", "/queues/jobs-1/lease", json={"max": 1}).json()["token"]
    cron.ask("POST", "/queues/jobs-1/ack", json={"token": token, "push": [result]})
    ann = Owner(house, "read", name="ann")
    found = [ann.ask("GET", f"/queues/jobs-1/items/{seq}").json() for seq in (1, 3, 4, 5)]
    assert [(item["pushed_by"], item["key"]) for item in found] == [
        ("shop", "order-1"),
        ("cron", None),
        ("cron", None),
        ("admin", None),
    ]
    assert ann.ask("GET", "/queues/jobs-2/items/1").json()["pushed_by"] == "cron"


def test_where_values_are_hidden_the_key_of_a_push_is_hidden_too(make, tmp_path):
    (tmp_path / "admin").write_text(f"{ADMIN}\n")
    house = make(admin_token_file=tmp_path / "admin", show_values=False)
    as_admin(house, "PUT", "/queues/jobs-1", json={})
    as_admin(house, "POST", "/queues/jobs-1/items", json={"items": [{"value": 1, "key": "order-1"}]})
    seen = Owner(house, "read").ask("GET", "/queues/jobs-1/items/1").json()
    assert (seen["value"], seen["pushed_by"], seen["key"]) == (None, "admin", None)
    assert as_admin(house, "GET", "/queues/jobs-1/items/1").json()["key"] == "order-1"


def test_where_a_source_failed_is_told_to_those_alone_who_may_operate_it(make, tmp_path, monkeypatch):
    (tmp_path / "fails_at_two.py").write_text("def rows(password):\n    yield 1\n    raise KeyError(2)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "fails_at_two", raising=False)
    (tmp_path / "admin").write_text(f"{ADMIN}\n")
    source = {"source": "fails_at_two:rows", "args": {"password": "hunter2"}}
    house = make(admin_token_file=tmp_path / "admin", queues={"jobs-1": source})
    as_admin(house, "POST", "/queues/jobs-1/next?count=2")
    failure = {"type": "KeyError", "message": "2", "seq": 2}
    told = {**failure, "where": "fails_at_two.py:3, in rows"}
    for role, shown in (("read", failure), ("operate:jobs-2,read", failure), ("operate:jobs-1", told)):
        owner = Owner(house, *role.split(","))
        assert owner.ask("GET", "/queues/jobs-1").json()["failure"] == shown, role
        [listed] = [each for each in owner.ask("GET", "/queues").json()["queues"] if each["failure"]]
        assert listed["failure"] == shown, role
    problem = Owner(house, "consume").problem(409, "POST", "/queues/jobs-1/next")
    assert "fails_at_two" not in str(problem)
