"""Servers without a token, and where they may listen; the first and the last one."""

import pytest
from dibs.errors import ConfigError

from .conftest import ADMIN, bearer, start

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
