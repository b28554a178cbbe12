"""What is set for a server of several, and what it says of itself."""

import gc
import weakref

import pytest
from dibs.api.member import url_of
from dibs.cli.banner import announce, announce_front
from dibs.config import Settings, load
from dibs.errors import ConfigError

DATA = "postgresql://ann:s3cr3t@host/db"


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "http://127.0.0.1:8123"),
        ({"host": "10.0.0.7"}, "http://10.0.0.7:8123"),
        ({"host": "0.0.0.0"}, "http://machine:8123"),
        ({"host": "::"}, "http://machine:8123"),
        ({"host": "::1"}, "http://[::1]:8123"),
        ({"host": "0.0.0.0", "advertise": "dibs-1.internal:80"}, "http://dibs-1.internal:80"),
        ({"advertise": "[fd00::7]:8000"}, "http://[fd00::7]:8000"),
    ],
)
def test_where_others_reach_a_server(settings, url):
    assert url_of(Settings(data=DATA, **settings), 8123, "machine") == url


@pytest.mark.parametrize("wrong", ["", "host", "host:", ":80", "host:0", "http://host:80", "a b:80", "a@b:8"])
def test_a_wrong_address_is_told(monkeypatch, wrong):
    monkeypatch.setenv("DIBS_ADVERTISE", wrong)
    with pytest.raises(ConfigError, match="DIBS_ADVERTISE: it is host:port, such as dibs-1"):
        load({})


def test_the_banner_says_the_role_and_no_password(cluster, capsys):
    async def test(made):
        owner, front = await made.pair()
        settings = Settings(data=DATA)
        announce(owner.url, settings, owner.context.queues)
        announce_front(front.url, settings, front.context.front.owner_url())
        announce_front(front.url, settings, None)
        first, second, third = capsys.readouterr().out.splitlines()
        shown = "data=postgresql://ann:********@host/db"
        assert first == f"dibs: serving {owner.url} {shown} role=owner queues=default (new)"
        assert second == f"dibs: serving {front.url} {shown} role=front owner={owner.url}"
        assert third == f"dibs: serving {front.url} {shown} role=front no server owns the ledger yet"

    cluster(test)


def test_config_over_http_has_no_password(cluster):
    async def test(made):
        _, front = await made.pair(data=DATA)
        for path in ("/config", "/stats", "/metrics"):
            answer = await front.ask("GET", path)
            assert answer.status_code == 200
            assert "s3cr3t" not in answer.text

    cluster(test)


def test_a_term_that_is_over_leaves_nothing_behind(cluster):
    """Lines, tokens, actions and heads of an old term would else be kept for as long as the server runs."""

    async def test(made):
        a, b = await made.pair()
        token = {"roles": ["admin"], "expires_in": 3600}
        secret = (await a.ask("POST", "/tokens", json=token)).json()["token"]
        bearer = {"Authorization": f"Bearer {secret}"}
        ended = []
        for turn in range(4):
            owner = a if a.seat.owns() else b
            await owner.ask("POST", "/next", headers=bearer)
            ended += [weakref.ref(owner.context.queues), weakref.ref(owner.context.callers.book)]
            await made.hand_over("b" if owner is a else "a")
            assert not owner.lane.heads.known
            assert (await owner.ask("POST", "/next", headers=bearer)).json()["seq"] == 2 * turn + 2
            assert (await owner.ask("POST", "/next")).status_code == 401
        actions = await a.ask("GET", "/queues/default", headers=bearer)
        assert actions.status_code == 200
        gc.collect()
        assert [each for each in ended if each() is not None] == []

    cluster(test)


def test_actions_and_tokens_of_the_ledger_are_those_of_whoever_owns(cluster):
    async def test(made):
        a, b = await made.pair()
        for number in range(3):
            owner = a if a.seat.owns() else b
            await b.ask("POST", f"/queues/default/{'resume' if number % 2 else 'pause'}")
            briefs = [action["brief"] for action in owner.context.actions.of(None, 10)]
            assert len(briefs) == number + 1
            await made.hand_over("b" if owner is a else "a")

    cluster(test)
