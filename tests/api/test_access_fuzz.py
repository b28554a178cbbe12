"""Random requests over all routes, without a token, with wrong and limited ones: no answer is another's."""

import json
import random

import pytest
from dibs.api.plain import matrix
from dibs.config import Settings
from dibs.main import create_app

ADMIN = "a-secret-of-an-admin-that-is-long-enough"
MINE, OTHERS = "mine", "others"
SECRETS = ("others-value", "others-worker", "others-error", "others-key", "others-item-key")
"""What is only in the queue of others."""
ROUTES = [
    route
    for route in matrix(create_app(Settings(data=":memory:")))
    if route[1] not in {"/events", "/reload", "/accept", "/docs/{name}", "/backup", "/backup/kept"}
]
REQUESTS = 200


def bearer(token):
    return {"authorization": f"Bearer {token}"}


@pytest.fixture
def house(make, tmp_path):
    (tmp_path / "admin").write_text(ADMIN)
    house = make(admin_token_file=tmp_path / "admin")
    admin = bearer(ADMIN)
    for name in (MINE, OTHERS):
        house.ask("PUT", f"/queues/{name}", json={"settings": {"history": 60}}, headers=admin)
        items = [{"value": f"{name}-value", "key": f"{name}-item-key{number}"} for number in range(20)]
        house.ask("POST", f"/queues/{name}/items", json={"items": items}, headers=admin)
        asked = {"max": 3, "worker": f"{name}-worker"}
        keyed = {**admin, "idempotency-key": f"{name}-key"}
        token = house.ask("POST", f"/queues/{name}/lease", json=asked, headers=keyed).json()["token"]
        nack = {"token": token, "seqs": [[1, 1]], "error": f"{name}-error", "dead": True}
        house.ask("POST", f"/queues/{name}/nack", json=nack, headers=admin)
        if name == OTHERS:
            house.lease_of_others = token
    return house


class Fuzz:
    """Random requests, the same in each run."""

    def __init__(self, house, seed):
        self.house = house
        self.chance = random.Random(seed)

    def request(self):
        pick = self.chance.choice
        method, path = pick(ROUTES)
        queue = pick([MINE, OTHERS, OTHERS, "none", "default", "..%2fothers", "OTHERS", "others%00"])
        path = path.replace("{queue}", queue).replace("{seq}", pick(["1", "2", "19", "0", "x"]))
        path = path.replace("{token}", "0123456789").replace("{name}", "app.js")
        query = pick(["", "", "?count=2", "?size=2", "?confirm=others", "?limit=1000", "?after=a", "?seq=1"])
        return method, path + query, self.headers(), self.body(queue)

    def headers(self):
        pick = self.chance.choice
        more = {
            "idempotency-key": pick(["others-key", "k", ""]),
            "x-forwarded-user": "admin",
            "cookie": "dibs-8000=x",
        }
        return {name: value for name, value in more.items() if value and self.chance.random() < 0.3}

    def body(self, queue):
        token = self.house.lease_of_others
        results = [{"queue": OTHERS, "value": 1}]
        return self.chance.choice(
            [
                None,
                {},
                {"token": token},
                {"acks": [{"token": token}], "lease": {"max": 5}},
                {"acks": [{"token": token, "push": results}]},
                {"token": token[:-8], "ttl": 9},
                {"items": [{"value": "x", "key": "others-item-key1"}]},
                {"max": 5},
                {"confirm": queue},
                {"source": "count", "reset": True},
                {"to_seq": 10},
                {"roles": ["admin"]},
                {"token": "x"},
            ]
        )


def state_of_others(house):
    return [counters for counters in house.counters() if counters[0] == OTHERS]


@pytest.mark.parametrize(
    ("who", "roles"),
    [
        ("nobody", None),
        ("wrong", None),
        ("revoked", ["admin"]),
        ("consumer", ["consume:mine"]),
        ("producer", ["produce:mine", "read:mine"]),
        ("operator", ["operate:mi?e"]),
        ("admin of one", ["admin:mine"]),
    ],
)
def test_no_answer_belongs_to_somebody_else(house, who, roles):
    made = None
    if roles is not None:
        made = house.ask("POST", "/tokens", json={"roles": roles}, headers=bearer(ADMIN)).json()
    if who == "revoked":
        house.ask("DELETE", f"/tokens/{made['id']}", headers=bearer(ADMIN))
    token = made["token"] if made else "dibs_0123456789_wrong"
    shown = {} if who == "nobody" else bearer(token)
    before, fuzz = state_of_others(house), Fuzz(house, who)
    for _ in range(REQUESTS):
        method, path, headers, body = fuzz.request()
        options = {} if body is None or method in {"GET", "HEAD"} else {"json": body}
        answer = house.ask(method, path, headers={**headers, **shown}, **options)
        told = f"{method} {path} {json.dumps(body)} {headers}: {answer.status_code} {answer.text[:300]}"
        assert answer.status_code < 500, told
        assert not [secret for secret in SECRETS if secret in answer.text], told
        assert f'"queue":"{OTHERS}"' not in answer.text or '"refused"' in answer.text, told
        if who in {"nobody", "wrong", "revoked"} and answer.is_success:
            assert path.startswith(("/healthz", "/readyz", "/page/", "/?")) or path == "/", told
    assert state_of_others(house) == before
    audit = house.ask("GET", f"/queues/{OTHERS}/audit", headers=bearer(ADMIN)).json()
    assert (audit["balanced"], audit["waiting"], audit["leased"], audit["dead"]) == (True, 17, 2, 1)
    assert [token["id"] for token in house.ask("GET", "/tokens", headers=bearer(ADMIN)).json()["tokens"]] == (
        [] if made is None else [made["id"]]
    )
