"""The token of a client: shown to its server with each request, and to nobody else."""

import pickle

import httpx
import pytest
from dibs.client import AsyncClient, Client, Unauthenticated
from dibs.client.flow import Request
from dibs.client.wire import Wire

SECRET = "dibs_0123456789_a-secret"


@pytest.fixture(autouse=True)
def no_token(monkeypatch):
    monkeypatch.delenv("DIBS_TOKEN", raising=False)


def shown(client):
    return client.setup.wire.write(Request("POST", "/next", b""), {}).headers.get("authorization")


def test_it_is_given_or_of_the_environment(monkeypatch):
    assert shown(Client("http://x")) is None
    assert shown(Client("http://x", token=SECRET)) == f"Bearer {SECRET}"
    monkeypatch.setenv("DIBS_TOKEN", "of-the-environment")
    assert shown(Client("http://x")) == "Bearer of-the-environment"
    assert shown(AsyncClient("http://x", token=SECRET)) == f"Bearer {SECRET}"
    assert shown(Client("http://x", token="")) is None


def test_a_pickled_client_has_it(monkeypatch):
    client = pickle.loads(pickle.dumps(Client("http://x", token=SECRET)))
    assert shown(client) == f"Bearer {SECRET}"


def test_nothing_that_is_shown_of_a_client_has_it():
    client = Client("http://x", token=SECRET)
    told = [client, client.setup, client.setup.wire, client.queue("jobs"), client.setup.terms]
    assert not [each for each in told if SECRET in repr(each) or SECRET in str(each)]


@pytest.mark.parametrize("token", ["two words", "é", "a\n", "x" * 256])
def test_what_can_be_none_is_refused_and_not_repeated(monkeypatch, token):
    with pytest.raises(ValueError, match="token: a token has 1 to 255") as refused:
        Client("http://x", token=token)
    assert token not in str(refused.value)
    monkeypatch.setenv("DIBS_TOKEN", token)
    with pytest.raises(ValueError, match="DIBS_TOKEN"):
        Client("http://x")


def test_a_secret_has_no_place_in_a_url():
    with pytest.raises(ValueError, match="no place in a URL") as refused:
        Wire("http://user:hidden@x", 1.0)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(("status", "name"), [(401, "unauthenticated"), (429, "too-many-tries")])
def test_a_refusal_is_an_error_of_its_own(status, name):
    def refuse(request):
        problem = {"type": f"urn:dibs:problem:{name}", "status": status, "detail": "no", "handed_out": "no"}
        told = "idempotency-key", "idempotency-sequence"
        headers = {name: request.headers[name] for name in told if name in request.headers}
        headers |= {"dibs-queue": "default", "content-type": "application/problem+json"}
        return httpx.Response(status, json=problem, headers=headers)

    client = Client("http://x", token=SECRET, transport=httpx.MockTransport(refuse), patience=0)
    with pytest.raises(Unauthenticated) as refused:
        client.queue("default").next()
    assert isinstance(refused.value, PermissionError)
    assert SECRET not in repr(refused.value) + str(refused.value)
