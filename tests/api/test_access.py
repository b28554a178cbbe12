"""Who may ask: tokens, through both ways in."""

import asyncio
import json

import pytest
from dibs.config import Settings
from dibs.errors import ConfigError
from dibs.main import create_app

ADMIN = "a-secret-of-an-admin-that-is-long-enough"


@pytest.fixture
def house(make, tmp_path):
    """A server that asks for tokens; ``ADMIN`` is in the admin's file."""
    (tmp_path / "admin").write_text(f"{ADMIN}\n")
    house = make(admin_token_file=tmp_path / "admin")
    as_admin(house, "PUT", "/queues/jobs-1", json={})
    as_admin(house, "PUT", "/queues/jobs-2", json={})
    as_admin(house, "PUT", "/queues/ids", json={"source": "count"})
    return house


def bearer(token, **headers):
    return {"authorization": f"Bearer {token}", **headers}


def as_admin(house, method, url, *, headers=None, **options):
    answer = house.ask(method, url, headers=bearer(ADMIN, **(headers or {})), **options)
    assert answer.is_success, answer.text
    return answer


def new(house, *given, **more):
    """A new token; all that is told of it."""
    return as_admin(house, "POST", "/tokens", json={"roles": given, **more}).json()


class Owner:
    """The owner of a token."""

    def __init__(self, house, *roles, **more):
        self.house = house
        self.made = new(house, *roles, **more)
        self.token = self.made["token"]

    def ask(self, method, url, *, headers=None, **options):
        return self.house.ask(method, url, headers=bearer(self.token, **(headers or {})), **options)

    def problem(self, status, method, url, **options):
        answer = self.ask(method, url, **options)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        return {name: member for name, member in answer.json().items() if name != "request_id"}


def start(**settings):
    """Start an application, and end it."""
    app = create_app(Settings(**{"data": ":memory:", **settings}))

    async def started():
        async with app.router.lifespan_context(app):
            pass

    asyncio.run(started())


def push(house, queue, *values):
    as_admin(house, "POST", f"/queues/{queue}/items", json={"items": [{"value": value} for value in values]})


# -- with or without


def test_without_a_token_nothing_is_told_but_health_and_the_page_itself(house):
    paths = ["/queues", "/queues/jobs-1", "/stats", "/next", "/tokens", "/metrics", "/docs", "/openapi.json"]
    for path in [*paths, "/nothing", "/page/session", "/events", "/queues/none"]:
        answer = house.ask("GET", path)
        assert (answer.status_code, answer.json()["type"]) == (401, "urn:dibs:problem:unauthenticated"), path
        assert answer.headers["www-authenticate"].startswith("Bearer")
    for path in ("/healthz", "/readyz", "/", "/page/static/login.js"):
        assert house.ask("GET", path).status_code == 200, path
    for path in ("/next", "/queues/jobs-1/lease", "/queues/jobs-1/items", "/queues/none/next"):
        assert house.ask("POST", path).status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        f"Basic {ADMIN}",
        f"Bearer {ADMIN}x",
        f"Bearer {ADMIN[:-1]}",
        f"Bearer {ADMIN} {ADMIN}",
        f"bearer\t{ADMIN}",
        "Bearer dibs_0123456789_",
        "Bearer dibs_0123456789_" + "x" * 43,
        f"Bearer {ADMIN}é".encode("latin-1"),
        f"Bearer {ADMIN}é".encode(),
        b"Bearer " + b"\xff" * 60,
        "Bearer " + "x" * 4000,
    ],
)
def test_what_is_no_valid_token_is_401(house, header):
    sent = header if isinstance(header, bytes) else header.encode()
    for method, path in (("POST", "/queues/ids/next"), ("GET", "/queues")):
        [start, *_], _ = house.run(house.call(method, path, headers=[(b"authorization", sent)]))
        assert start["status"] == 401
        assert (b"www-authenticate", b'Bearer realm="dibs"') in start["headers"]
    assert house.cursor("ids") == 0


def test_the_scheme_is_read_in_any_case(house):
    for scheme in ("bearer", "BEARER", "Bearer  "):
        assert house.ask("GET", "/queues", headers={"authorization": f"{scheme} {ADMIN}"}).status_code == 200


def test_a_token_is_shown_once_and_nowhere_else(house):
    made = new(house, "read", name="ann", expires_in=3600)
    assert made["token"].startswith(f"dibs_{made['id']}_")
    assert (made["name"], made["roles"], made["state"], made["made_by"]) == (
        "ann",
        ["read:*"],
        "valid",
        "admin",
    )
    listed = as_admin(house, "GET", "/tokens")
    assert made["token"] not in listed.text
    assert listed.json() == {"tokens": [{k: v for k, v in made.items() if k != "token"}], "next": None}
    secret = made["token"].encode()
    stored = house.queues.access_tokens()
    assert [token.name for token in stored] == ["ann"]
    assert secret not in repr(stored).encode()
    assert made["token"].rpartition("_")[2] not in repr(stored)


def test_the_example_of_the_reference_is_taken_and_the_reference_says_how_to_show_it(house):
    document = as_admin(house, "GET", "/openapi.json").json()
    for example in document["components"]["schemas"]["NewToken"]["examples"]:
        assert new(house, **example)["state"] == "valid"
    assert document["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    take, health = (document["paths"][path] for path in ("/queues/{queue}/next", "/healthz"))
    assert take["post"]["security"] == [{"token": []}, {}]
    assert "Needs the role `consume` for the queue." in take["post"]["description"]
    assert "security" not in health["get"]
    assert "401" in take["post"]["responses"]


def test_the_list_has_pages(house):
    made = [new(house, "read")["id"] for _ in range(5)]
    found, after = [], {}
    while after is not None:
        page = as_admin(house, "GET", "/tokens", params={"limit": 2, **after}).json()
        found += [token["id"] for token in page["tokens"]]
        after = {"after": page["next"]} if page["next"] else None
    assert found == made
    assert as_admin(house, "GET", "/tokens", params={"after": "none"}).json()["tokens"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "roles"),
        ({"roles": []}, "roles"),
        ({"roles": ["king"]}, "roles.0"),
        ({"roles": ["read", "consume:JOBS"]}, "roles.1"),
        ({"roles": ["read:"]}, "roles.0"),
        ({"roles": ["read"], "name": "-x"}, "name"),
        ({"roles": ["read"], "name": "user:x"}, "name"),
        ({"roles": ["read"], "name": ""}, "name"),
        ({"roles": ["read"], "expires_in": 0}, "expires_in"),
        ({"roles": ["read"], "expires": 5}, "expires"),
    ],
)
def test_a_wrong_token_to_make_is_refused_by_its_field(house, body, field):
    answer = house.ask("POST", "/tokens", json=body, headers=bearer(ADMIN))
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert house.queues.access_tokens() == []


def test_only_an_admin_of_all_queues_makes_lists_and_revokes(house):
    made = new(house, "read")
    for owner in (Owner(house, "admin:jobs*"), Owner(house, "operate", "read", "consume", "produce")):
        owner.problem(403, "POST", "/tokens", json={"roles": ["admin"]})
        owner.problem(403, "GET", "/tokens")
        owner.problem(403, "DELETE", f"/tokens/{made['id']}")
    assert Owner(house, "admin").ask("DELETE", f"/tokens/{made['id']}").json()["state"] == "revoked"


def test_what_is_not_there_is_not_revoked(house):
    answer = house.ask("DELETE", "/tokens/0123456789", headers=bearer(ADMIN))
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:dibs:problem:token-unknown")


# -- the first one


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.com"])
def test_beyond_loopback_only_with_a_token_or_when_it_is_meant(make, tmp_path, host):
    with pytest.raises(ConfigError, match=r"--allow-anonymous.*127\.0\.0\.1") as refused:
        start(host=host)
    assert "dibs token new --role admin" in str(refused.value)
    (tmp_path / "admin").write_text(ADMIN)
    assert make(host=host, admin_token_file=tmp_path / "admin").ask("GET", "/queues").status_code == 401
    assert make(host=host, trusted_proxies=("10.0.0.1",)).ask("GET", "/queues").status_code == 401
    assert make(host=host, allow_anonymous=True).ask("GET", "/queues").status_code == 200


def test_a_server_that_has_had_a_token_may_listen_anywhere(open_house, tmp_path):
    with open_house(data=tmp_path / "data") as first:
        token = first.ask("POST", "/tokens", json={"roles": ["admin"]}).json()["token"]
    with open_house(data=tmp_path / "data", host="0.0.0.0") as again:
        assert again.ask("POST", "/next").status_code == 401
        assert again.ask("POST", "/next", headers=bearer(token)).status_code == 200


@pytest.mark.parametrize("content", ["", "  \n", "short", "é" * 40, "a" * 256, f"{ADMIN}\nshort"])
def test_an_admins_file_without_good_tokens_is_refused_and_shows_nothing(make, tmp_path, content):
    (tmp_path / "admin").write_text(content)
    with pytest.raises(ConfigError, match="admin_token_file") as refused:
        start(admin_token_file=tmp_path / "admin")
    assert not any(word in str(refused.value) for word in content.split())
    with pytest.raises(ConfigError, match="No such file"):
        start(admin_token_file=tmp_path / "none")


def test_an_admins_file_may_have_two_while_one_takes_the_place_of_the_other(make, tmp_path):
    (tmp_path / "admin").write_text(f"{ADMIN}\r\n{ADMIN[::-1]}")
    house = make(admin_token_file=tmp_path / "admin")
    for token in (ADMIN, ADMIN[::-1]):
        assert house.ask("GET", "/queues", headers=bearer(token)).status_code == 200


def test_without_tokens_anybody_asks_until_there_is_the_first_which_is_an_admins(make):
    house = make()
    assert house.ask("POST", "/next").status_code == 200
    refused = house.ask("POST", "/tokens", json={"roles": ["consume"]})
    assert (refused.status_code, refused.json()["field"]) == (422, "roles")
    refused = house.ask("POST", "/tokens", json={"roles": ["admin:jobs*"]})
    assert refused.status_code == 422
    assert house.ask("POST", "/next").status_code == 200
    made = house.ask("POST", "/tokens", json={"roles": ["admin"]}).json()
    assert made["made_by"] == "anybody"
    assert house.ask("POST", "/next").status_code == 401
    assert house.ask("POST", "/next", headers=bearer(made["token"])).json()["seq"] == 3


def test_where_other_machines_ask_nobody_makes_the_first_one(make):
    house = make(host="0.0.0.0", allow_anonymous=True)
    answer = house.ask("POST", "/tokens", json={"roles": ["admin"]})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:dibs:problem:forbidden")
    assert house.ask("POST", "/next").status_code == 200


def test_a_server_whose_last_token_is_revoked_is_not_open(make):
    house = make()
    made = house.ask("POST", "/tokens", json={"roles": ["admin"]}).json()
    assert house.ask("DELETE", f"/tokens/{made['id']}", headers=bearer(made["token"])).status_code == 200
    assert house.ask("POST", "/next", headers=bearer(made["token"])).status_code == 401
    assert house.ask("POST", "/next").status_code == 401


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
    assert as_admin(house, "GET", "/stats").json()["pushed"] == 3
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


# -- at once


def test_a_revoked_token_counts_no_more_on_a_connection_that_is_open(house):
    ann, bob = Owner(house, "consume", name="ann"), Owner(house, "consume", name="bob")
    for _ in range(3):  # its head is known by now
        assert ann.ask("POST", "/queues/ids/next").status_code == 200
    as_admin(house, "DELETE", f"/tokens/{ann.made['id']}")
    for _ in range(3):
        ann.problem(401, "POST", "/queues/ids/next")
        ann.problem(401, "GET", "/queues")
    assert bob.ask("POST", "/queues/ids/next").json()["seq"] == 4


def test_a_token_expires(house, monkeypatch):
    book = house.app.state.context.callers.book
    ann = Owner(house, "consume", expires_in=60)
    now, ends = book._shelf.now, house.queues.access_tokens()[0].expires
    assert ann.ask("POST", "/queues/ids/next").status_code == 200
    monkeypatch.setattr(book._shelf, "now", lambda: ends - 1)
    assert ann.ask("POST", "/queues/ids/next").status_code == 200
    monkeypatch.setattr(book._shelf, "now", lambda: ends)
    for _ in range(2):
        ann.problem(401, "POST", "/queues/ids/next")
        ann.problem(401, "GET", "/queues")
    assert [token["state"] for token in as_admin(house, "GET", "/tokens").json()["tokens"]] == ["expired"]
    monkeypatch.setattr(book._shelf, "now", now)


def test_whoever_waits_under_a_token_that_is_revoked_is_cut_off_and_gets_nothing(house):
    if house.wire is None:
        pytest.skip("connections are cut where there are some")
    ann = Owner(house, "consume", name="ann")

    async def waits_while_revoked(method):
        waiting = asyncio.ensure_future(
            house.send(method, "/queues/jobs-1/lease", json={"wait": 20}, headers=bearer(ann.token))
        )
        await house.until(lambda: house.queues.get("jobs-1").line.parked)
        await house.send("DELETE", f"/tokens/{ann.made['id']}", headers=bearer(ADMIN))
        with pytest.raises(Exception, match=r".*"):
            await waiting
        await house.until(lambda: not house.queues.get("jobs-1").line.parked)

    house.run(waits_while_revoked("POST"))
    push(house, "jobs-1", 1)
    assert as_admin(house, "GET", "/queues/jobs-1").json()["waiting"] == 1


# -- wrong ones


def test_heads_with_wrong_tokens_are_not_remembered_in_the_place_of_others(house):
    if house.wire is None:
        pytest.skip("heads are known on the wire")
    heads = house.wire.lane.heads
    assert house.ask("POST", "/queues/ids/next", headers=bearer(ADMIN)).status_code == 200
    assert [call[0].queue for call in heads.known.values() if call] == ["ids"]
    before = dict(heads.known)
    for number in range(5):
        assert house.ask("POST", "/queues/ids/next", headers=bearer(f"wrong{number}")).status_code == 401
    assert {head: call for head, call in heads.known.items() if call} == {
        h: c for h, c in before.items() if c
    }


def test_who_shows_many_wrong_tokens_is_slowed_and_a_right_one_is_taken_all_the_same(house):
    wrong = [house.ask("GET", "/queues", headers=bearer(f"wrong-{number}")) for number in range(12)]
    assert [answer.status_code for answer in wrong] == [401] * 10 + [429] * 2
    assert 1 <= int(wrong[-1].headers["retry-after"]) <= 6
    assert wrong[-1].json()["type"] == "urn:dibs:problem:too-many-tries"
    assert as_admin(house, "GET", "/queues")
    assert house.ask("GET", "/queues").status_code == 401


# -- hidden values


@pytest.mark.parametrize("path", ["/queues/jobs-1/items", "/queues/jobs-1/items/1"])
def test_hidden_values_are_for_those_who_may_take_or_operate(house, path):
    push(house, "jobs-1", "a-secret")
    context = house.app.state.context
    context.settings = context.settings.model_copy(update={"show_values": False})
    for roles, seen in (
        (["read"], False),
        (["read", "produce"], False),
        (["read", "consume:ids"], False),
        (["read", "consume:jobs*"], True),
        (["operate"], True),
        (["admin"], True),
    ):
        owner = Owner(house, *roles)
        answer = owner.ask("GET", path)
        assert answer.status_code == 200
        assert ("a-secret" in answer.text, '"value":null,"bytes":10' in answer.text) == (seen, not seen), (
            roles
        )
        page = owner.ask("GET", path, headers={"Sec-Fetch-Site": "same-origin"})
        assert page.status_code == 200
        assert "a-secret" not in page.text


def test_the_values_of_items_that_are_done_are_hidden_too(house):
    as_admin(house, "PUT", "/queues/ids", json={"settings": {"history": 60}})
    as_admin(house, "POST", "/queues/ids/next")
    owner = Owner(house, "read")
    assert owner.ask("GET", "/queues/ids/items/1").json()["value"] == 1
    context = house.app.state.context
    context.settings = context.settings.model_copy(update={"show_values": False})
    done = owner.ask("GET", "/queues/ids/items/1").json()
    assert (done["value"], done["bytes"]) == (None, 1)
