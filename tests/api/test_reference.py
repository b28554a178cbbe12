"""/docs and /openapi.json: from this server alone, and true."""

import re

import pytest


@pytest.fixture(scope="module")
def house(open_house):
    with open_house() as house:
        yield house


@pytest.fixture(scope="module")
def document(house):
    return house.ask("GET", "/openapi.json").json()


def operations(document):
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_every_operation_of_the_design_is_there(document):
    one = "/queues/{queue}"
    assert set(operations(document)) == {
        ("POST", "/next"),
        ("GET", "/next"),
        ("POST", f"{one}/next"),
        ("GET", f"{one}/next"),
        ("POST", f"{one}/block"),
        ("GET", "/queues"),
        ("GET", one),
        ("PUT", one),
        ("DELETE", one),
        *(("POST", f"{one}/{operation}") for operation in ("pause", "resume", "close", "retry", "advance")),
        *(("POST", f"{one}/{operation}") for operation in ("lease", "settle", "ack", "nack", "extend")),
        *(("POST", f"{one}/{operation}") for operation in ("release", "items", "redrive", "purge")),
        ("GET", f"{one}/items"),
        ("GET", f"{one}/keys"),
        ("GET", f"{one}/dead"),
        ("GET", f"{one}/history"),
        ("GET", f"{one}/items/{{seq}}"),
        ("GET", f"{one}/audit"),
        ("GET", "/stats"),
        ("GET", f"{one}/stats"),
        ("POST", "/backup"),
        ("GET", "/config"),
        ("POST", "/reload"),
        ("GET", "/backup"),
        ("GET", "/inbox"),
        ("POST", "/inbox/retry"),
        ("POST", "/backup/kept"),
        ("POST", "/accept"),
        ("POST", "/recover"),
        ("POST", "/tokens"),
        ("GET", "/tokens"),
        ("DELETE", "/tokens/{token}"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
    }


def test_what_changes_something_takes_a_key(document):
    with_key = {
        name
        for name, operation in operations(document).items()
        if {"Idempotency-Key", "Idempotency-Sequence"} <= {each["name"] for each in operation["parameters"]}
    }
    changes = {name for name in operations(document) if name[0] != "GET" or name[1].endswith("/next")}
    tokens = {("POST", "/tokens"), ("DELETE", "/tokens/{token}")}  # a secret is kept nowhere to be told again
    assert with_key == changes - tokens - {
        ("POST", path)
        for path in ("/backup", "/backup/kept", "/accept", "/recover", "/reload", "/inbox/retry")
    }


def test_every_operation_is_described(document):
    for name, operation in operations(document).items():
        assert operation["summary"], name
        assert operation["tags"] in (
            ["consume"],
            ["produce"],
            ["manage"],
            ["observe"],
            ["server"],
            ["access"],
        )
        created = {("POST", "/queues/{queue}/items"), ("POST", "/tokens")}
        success = "201" if name in created else "200"
        assert {success, "401", "403", "422", "500"} <= set(operation["responses"]), name
    ids = [operation["operationId"] for operation in operations(document).values()]
    assert len(set(ids)) == len(ids)


def test_references_point_somewhere(document):
    schemas = document["components"]["schemas"]
    for name in re.findall(r'"#/components/schemas/(\w+)"', str(document).replace("'", '"')):
        assert name in schemas


def test_the_limits_in_it_are_the_settings(open_house):
    with open_house(limits={"count": 7, "key_bytes": 36}) as house:
        parameters = house.ask("GET", "/openapi.json").json()["paths"]["/next"]["post"]["parameters"]
    assert parameters[0]["schema"] == {"type": "integer", "minimum": 1, "maximum": 7}
    (key,) = [each["schema"]["pattern"] for each in parameters if each["name"] == "Idempotency-Key"]
    assert re.search(key, "k" * 36)
    assert not re.search(key, "k" * 37)


def test_the_limits_of_bodies_are_the_settings(open_house):
    with open_house(limits={"count": 7, "ttl": 60, "error_bytes": 1024}) as house:
        schemas = house.ask("GET", "/openapi.json").json()["components"]["schemas"]
    assert schemas["AskLease"]["properties"]["max"]["maximum"] == 7
    assert schemas["AskLease"]["properties"]["ttl"]["maximum"] == 60
    assert schemas["NackItems"]["properties"]["error"]["maxLength"] == 1024
    assert schemas["PushItems"]["properties"]["items"]["maxItems"] == 7


def test_the_examples_are_taken_as_they_stand(open_house):
    with open_house() as house:
        document = house.ask("GET", "/openapi.json").json()
        for (method, path), operation in operations(document).items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body is None or path == "/tokens":  # from the first one on it asks for them: access
                continue
            house.pushed("jobs", "something to lease")
            house.pushed("done")
            name = body["schema"]["$ref"].rpartition("/")[2]
            for number, example in enumerate(document["components"]["schemas"][name]["examples"]):
                queue = f"new{number}" if method == "PUT" else "default" if name == "Advance" else "jobs"
                answer = house.ask(method, path.replace("{queue}", queue), json=example)
                assert answer.status_code in {200, 201, 204, 409}, (name, answer.text)
                usual = (
                    ":conflict"
                    if name in {"BackupKept", "AcceptRestored", "RetryRefused", "RecoverLedger"}
                    else ":stale-lease"
                )
                assert not answer.is_error or answer.json()["type"].endswith(usual), answer.text


def test_the_page_needs_no_other_host(house):
    page = house.ask("GET", "/docs")
    assert "://" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    for name in re.findall(r'(?:src|href)="(docs/[^"]+)"', page.text):
        answer = house.ask("GET", f"/{name}")
        assert (answer.status_code, bool(answer.content)) == (200, True)


@pytest.mark.parametrize("name", ["nope.js", "favicon.png", "redoc.standalone.js"])
def test_only_its_own_files_are_served(house, name):
    assert house.ask("GET", f"/docs/{name}").status_code == 404
