"""Work that is counted by the ledger: a lease of nothing is a 2xx too, so answers alone count nothing."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
from peers import VALUE
from service import Server, wrk

SETTLE = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
tokens = {}
lease = '"lease":{"max":MANY,"ttl":60}}'
request = function()
  local token = table.remove(tokens)
  if token == nil then return wrk.format(nil, nil, nil, "{" .. lease) end
  return wrk.format(nil, nil, nil, '{"acks":[{"token":"' .. token .. '"}],' .. lease)
end
response = function(status, headers, body)
  local token = string.match(body, '"token":"([^"]+)"')
  if token then tokens[#tokens + 1] = token end
end
"""
MANY_QUEUES = """
n = 0
request = function()
  n = n % QUEUES + 1
  return wrk.format("POST", "/queues/q" .. n .. "/next")
end
"""
PUSH = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = BODY
"""


def define_queues(server: Server, many: int) -> None:
    """Queues q1, q2 … that count."""
    with httpx.Client(timeout=30) as client:
        for number in range(1, many + 1):
            client.put(f"{server.url}/queues/q{number}", json={"source": "count"}).raise_for_status()


def audit(server: Server, queue: str) -> dict[str, int]:
    found = httpx.get(f"{server.url}/queues/{queue}/audit", timeout=120).json()
    if not found["balanced"]:
        raise SystemExit(f"the counters do not add up: {found}")
    return found


def worked(
    server: Server, queue: str, many: int, seconds: int, fill: Callable[[Server, int], None] | None = None
) -> float:
    """Items a second that were acked, each with the lease of another, while there always was one to lease.

    ``fill`` pushes so many more; where all were gone in the end that was no measurement, and it is made again
    with twice as many.
    """
    script, connections = SETTLE.replace("MANY", str(many)), 64 if many == 1 else 16
    need = seconds * (40_000 if many == 1 else 500_000)
    while True:
        before = audit(server, queue)
        if fill is not None and before["waiting"] < need:
            fill(server, need - before["waiting"])
            before = audit(server, queue)
        url = f"{server.url}/queues/{queue}/settle"
        rate, _ = wrk(url, seconds, script=script, connections=connections)
        after = audit(server, queue)
        if fill is None or after["waiting"]:
            return min(many * rate, (after["acked"] - before["acked"]) / seconds)
        need *= 2


def push_hundreds(server: Server, items: int) -> None:
    """At least so many, or ``worked`` comes again; pushed a hundred at a time, 42 bytes each."""
    body = json.dumps({"items": [{"value": VALUE[1:-1].decode()}] * 100})
    script = PUSH.replace("BODY", json.dumps(body))
    wrk(f"{server.url}/queues/jobs/items", items // 150_000 + 1, script=script, connections=16)
