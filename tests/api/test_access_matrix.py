"""Which role may do what: every route, with every role, through both ways in."""

import asyncio
import re
from importlib.resources import files

import pytest
from dibs.access.roles import HOLDS, ROLES
from dibs.api.access import OPEN, OPEN_FILES
from dibs.api.plain import Plain, matrix
from dibs.config import Settings
from dibs.main import create_app
from starlette.routing import Route

ADMIN = "a-secret-of-an-admin-that-is-long-enough"
MATRIX = matrix(create_app(Settings(data=":memory:")))
PLACES = {"{queue}": "jobs", "{seq}": "1", "{token}": "0123456789", "{name}": "login.js"}
BODIES = {"/purge": {"confirm": "jobs"}, "/advance": {"to_seq": 5}, "/page/login": {"token": "x"}}


def bearer(token):
    return {"authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def house(open_house, tmp_path_factory):
    folder = tmp_path_factory.mktemp("admin")
    (folder / "admin").write_text(ADMIN)
    with open_house(admin_token_file=folder / "admin", data=folder / "data") as house:
        house.ask("PUT", "/queues/jobs", json={}, headers=bearer(ADMIN))
        yield house


@pytest.fixture(scope="module")
def owners(house):
    """A token of each role: for all queues, for the one that is asked about, for another one."""

    def made(role, pattern):
        answer = house.ask("POST", "/tokens", json={"roles": [f"{role}:{pattern}"]}, headers=bearer(ADMIN))
        return answer.json()["token"]

    return {(role, pattern): made(role, pattern) for role in ROLES for pattern in ("*", "jo?s", "other*")}


def place(path):
    return re.sub(r"\{\w+\}", lambda found: PLACES[found[0]], path)


def problem(house, method, path, token):
    """The status, and the problem's name, of a request on a queue that is there."""
    body = next((body for end, body in BODIES.items() if path.endswith(end)), {})
    options = {"json": body} if method in {"POST", "PUT"} else {}
    if path.endswith(("/next", "/block", "/pause", "/resume", "/close", "/retry", "/backup")):
        options = {}
    headers = {} if token is None else bearer(token)
    if path == "/events":  # its answer has no end
        return first_of_events(house, headers)
    answer = house.ask(method, place(path), headers=headers, **options)
    if method == "DELETE":  # it has to be there for the next one
        house.ask("PUT", "/queues/jobs", json={}, headers=bearer(ADMIN))
    told = answer.json()["type"].rpartition(":")[2] if answer.status_code >= 400 and method != "HEAD" else ""
    return answer.status_code, told


def first_of_events(house, headers):
    async def first():
        left = asyncio.Event()
        asyncio.get_running_loop().call_later(0.05, left.set)
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        [start, *_], _ = await house.call("GET", "/events", headers=sent, hold=left)
        return start["status"], "unauthenticated" if start["status"] == 401 else ""

    return house.run(first())


@pytest.mark.parametrize(("method", "path"), MATRIX, ids=" ".join)
def test_every_role_may_do_what_the_matrix_says_and_no_more(house, owners, method, path):
    need, named = MATRIX[method, path], "{queue}" in path or path == "/next"
    status, told = problem(house, method, path, None)
    if path == "/page/login":  # a token is what it is about
        assert told in {"unauthenticated", "too-many-tries"}
        return
    assert (status == 401) == (need != "none"), told
    for (role, pattern), token in owners.items():
        matches = pattern == "*" or ("{queue}" in path and pattern == "jo?s")
        has = HOLDS[role] if matches else frozenset()
        may = need in has or need == "none" or (need == "any" and (bool(has) or not named))
        status, told = problem(house, method, path, token)
        if may:
            assert told not in {"unauthenticated", "forbidden", "queue-unknown"}, (role, pattern, told)
        elif named and not has:
            assert told == "queue-unknown", (role, pattern, status)
        else:
            assert told == "forbidden", (role, pattern, status)


def test_what_needs_no_token_is_known_at_the_front_door():
    free = {path for (_, path), need in MATRIX.items() if need == "none"}
    assert free == OPEN | {OPEN_FILES + "{name}"}


def test_a_path_that_says_no_role_is_none_of_the_matrix():
    app = create_app(Settings(data=":memory:"))

    async def endpoint(request): ...

    app.router.routes.append(Plain("/said", endpoint, "read"))
    assert matrix(app)["GET", "/said"] == "read"
    app.router.routes.append(Route("/unsaid", endpoint))
    with pytest.raises(TypeError, match="unsaid"):
        matrix(app)


def test_the_manual_has_the_matrix():
    manual = files("dibs").joinpath("MANUAL.md").read_text("utf-8")
    table = {}
    for roles, paths in re.findall(r"^\| (`\w+`|any|none) \| (`[A-Z, ]+ /.*) \|$", manual, re.M):
        for methods, path in re.findall(r"`([A-Z, ]+) (/\S*)`", paths):
            table |= {(method, path): roles.strip("`") for method in methods.split(", ")}
    assert table == MATRIX
