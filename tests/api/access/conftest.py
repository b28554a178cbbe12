"""A server that asks for tokens, through both ways in."""

import asyncio

import pytest
from dibs.config import Settings
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
