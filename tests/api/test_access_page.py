"""Who looks at the page: a cookie in place of a token, and the users of a proxy; through both ways in."""

import pytest

ADMIN = "a-secret-of-an-admin-that-is-long-enough"
OWN = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def house(make, tmp_path):
    (tmp_path / "admin").write_text(ADMIN)
    house = make(admin_token_file=tmp_path / "admin")
    assert house.ask("PUT", "/queues/jobs", json={}, headers=bearer()).status_code == 201
    return house


def bearer(token=ADMIN):
    return {"authorization": f"Bearer {token}"}


def log_in(house, token=ADMIN, **headers):
    answer = house.ask("POST", "/page/login", json={"token": token}, headers=headers)
    house._client.cookies.clear()  # each request says which it sends
    return answer


def cookie(answer):
    pair, *attributes = answer.headers["set-cookie"].split("; ")
    return pair, attributes


def test_the_cookie_is_for_this_page_alone_and_is_not_the_token(house):
    pair, attributes = cookie(log_in(house))
    assert pair.startswith("dibs-8000=file-")
    assert ADMIN not in pair
    assert attributes == ["Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Strict"]
    session = house.ask("GET", "/page/session", headers={"cookie": f"other=1; {pair}; x=y"}).json()
    assert (session["who"], session["role"], session["login"]) == ("admin", "admin", True)
    pair, attributes = cookie(house.ask("POST", "/page/logout", headers={"cookie": pair, **OWN}))
    assert (pair, attributes[1]) == ("dibs-8000=", "Max-Age=0")


@pytest.mark.parametrize("change", [-1, 0, 20, "expires", "port", "empty"])
def test_a_cookie_that_is_not_ours_shows_nobody(house, change):
    pair, _ = cookie(log_in(house))
    name, _, value = pair.partition("=")
    token, expires, code = value.split(".")
    wrong = {
        -1: f"{name}={value[:-1]}{'0' if value[-1] != '0' else '1'}",
        0: f"{name}=x{value[1:]}",
        20: f"{name}={token}.{expires}.{code[:20]}\u00e9{code[21:]}".encode(),
        "expires": f"{name}={token}.{int(expires) + 1}.{code}",
        "port": f"dibs-8001={value}",
        "empty": f"{name}=",
    }[change]
    for headers in ({"cookie": wrong}, {"cookie": wrong, **OWN}):
        assert house.ask("GET", "/queues", headers=headers).status_code == 401
        assert house.ask("POST", "/queues/jobs/pause", headers=headers).status_code == 401


def test_a_change_by_the_cookie_has_to_come_from_the_page(house):
    pair, _ = cookie(log_in(house))
    pause = "/queues/jobs/pause"
    for wrong in (
        {},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:9000"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://localhost:8000"},
    ):
        answer = house.ask("POST", pause, headers={"cookie": pair, **wrong})
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:dibs:problem:forbidden"), wrong
    assert house.ask("GET", "/queues/jobs", headers={"cookie": pair}).json()["state"] == "open"
    for right in (OWN, {"origin": "http://localhost:8000"}):
        assert house.ask("POST", pause, headers={"cookie": pair, **right}).status_code == 200


def test_the_cookie_ends_with_its_token_with_its_time_and_with_the_server(house, make, tmp_path, monkeypatch):
    made = house.ask("POST", "/tokens", json={"roles": ["read"]}, headers=bearer()).json()
    pair, _ = cookie(log_in(house, made["token"]))
    assert house.ask("GET", "/queues", headers={"cookie": pair}).status_code == 200
    house.ask("DELETE", f"/tokens/{made['id']}", headers=bearer())
    assert house.ask("GET", "/queues", headers={"cookie": pair}).status_code == 401

    pair, _ = cookie(log_in(house))
    other = make(admin_token_file=tmp_path / "admin")
    assert other.ask("GET", "/queues", headers={"cookie": pair}).status_code == 401
    sessions = house.app.state.context.callers.sessions
    ends = int(pair.split(".")[1]) * 1000
    monkeypatch.setattr(sessions, "_now", lambda: ends - 1)
    assert house.ask("GET", "/queues", headers={"cookie": pair}).status_code == 200
    monkeypatch.setattr(sessions, "_now", lambda: ends)
    assert house.ask("GET", "/queues", headers={"cookie": pair}).status_code == 401


def test_who_may_not_look_gets_no_cookie_nor_who_shows_a_wrong_token(house):
    made = house.ask("POST", "/tokens", json={"roles": ["consume", "produce"]}, headers=bearer()).json()
    refused = log_in(house, made["token"])
    assert (refused.status_code, "set-cookie" in refused.headers) == (403, False)
    for number in range(12):
        refused = log_in(house, f"wrong-{number}")
        assert "set-cookie" not in refused.headers
    assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
    assert house.ask("POST", "/page/login", json={"token": ADMIN, "more": 1}).status_code == 422
    assert log_in(house, ADMIN, origin="http://evil.example").status_code == 403


def test_without_tokens_the_page_is_anybodys_and_a_login_changes_nothing(make):
    house = make()
    session = house.ask("GET", "/page/session").json()
    assert (session["who"], session["role"], session["login"]) == ("anybody", "admin", False)
    answer = house.ask("POST", "/page/login", json={"token": "x"})
    assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)


# -- a proxy that logs users in


def asked(house, path="/page/session", **headers):
    """A request from 127.0.0.1, as a proxy there sends it."""
    if house.wire is not None:
        pytest.skip("a Unix socket has no address")
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    messages, _ = house.run(house.call("GET", path, headers=sent))
    return messages[0]["status"], b"".join(message.get("body", b"") for message in messages[1:]).decode()


def test_a_user_is_believed_from_the_addresses_of_the_setting_alone(make):
    house = make(trusted_proxies=("127.0.0.0/8",))
    status, told = asked(house, x_forwarded_user="ann")
    assert (status, '"who":"user:ann","role":"read"' in told) == (200, True)
    assert asked(house, path="/metrics", x_forwarded_user="ann")[0] == 200
    for wrong in ("", " ", "\x1b[31m", "x" * 300):
        assert asked(house, x_forwarded_user=wrong)[0] == 401
    assert asked(house)[0] == 401
    elsewhere = make(trusted_proxies=("10.0.0.1", "::1"))
    assert asked(elsewhere, x_forwarded_user="ann")[0] == 401


def test_a_proxy_is_known_where_the_server_listens_for_both_kinds_of_addresses(make):
    callers = make(trusted_proxies=("10.1.0.0/16", "::1")).app.state.context.callers
    for address, trusted in (
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("::ffff:10.2.2.3", False),
        ("::10.1.2.3", False),
        ("::1", True),
        ("a socket's file", False),
    ):
        assert callers.trusts({"client": (address, 1)}) == trusted, address


def test_the_users_have_the_roles_of_the_setting(make):
    house = make(trusted_proxies=("127.0.0.1",), proxied_roles=("consume:jobs", "read:mail*"))
    assert asked(house, path="/metrics", x_forwarded_user="ann")[0] == 403
    assert asked(house, path="/queues/other", x_forwarded_user="ann")[0] == 404
    assert '"role":"read"' in asked(house, x_forwarded_user="ann")[1]


def test_a_wrong_token_is_not_a_user_and_counts_against_the_address_that_the_proxy_tells(make):
    house = make(trusted_proxies=("127.0.0.1",))
    for _ in range(11):
        status, _ = asked(
            house, x_forwarded_user="ann", authorization="Bearer x", x_forwarded_for="9.9.9.9, 1.1.1.1"
        )
    assert status == 429
    assert asked(house, authorization="Bearer x", x_forwarded_for="1.1.1.2")[0] == 401
    assert asked(house, authorization="Bearer x", x_forwarded_for="1.1.1.1")[0] == 429


def test_behind_a_proxy_with_tls_the_cookie_is_secure(make, tmp_path):
    (tmp_path / "admin").write_text(ADMIN)
    house = make(admin_token_file=tmp_path / "admin", trusted_proxies=("127.0.0.1",))
    if house.wire is not None:
        pytest.skip("a Unix socket has no address")
    assert cookie(log_in(house, **{"x-forwarded-proto": "https"}))[1][-1] == "Secure"
    assert cookie(log_in(house))[1][-1] == "SameSite=Strict"
