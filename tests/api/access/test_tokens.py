"""Tokens: what is one, how it is made, shown, listed."""

import pytest

from .conftest import ADMIN, Owner, as_admin, bearer, new

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
    assert made["token"].split("_", 2)[2] not in repr(stored)


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
