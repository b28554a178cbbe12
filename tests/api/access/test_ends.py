"""Tokens that are revoked, have expired, are wrong again and again; and values that are hidden."""

import asyncio

import pytest

from .conftest import ADMIN, Owner, as_admin, bearer, push

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
