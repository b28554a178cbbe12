"""The load of HTTP servers: wrk on one core, with a script for each kind of request.

wrk does not tell a script whose turn it is. A session, a lease or a turn belongs to whichever connection of
the thread asks next, and an answer gives it back: to have one of its own a connection needs a thread.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import tempfile
from typing import NamedTuple

from servers import LOAD_CORE, Server

TAKE = 'wrk.method = "POST"\n'
THREADS = """
wrk.method = "POST"
local threads = 0
function setup(thread) threads = threads + 1; thread:set("id", threads) end
"""
FRESH = (
    THREADS
    + """
local n = 0
request = function()
  n = n + 1
  return wrk.format(nil, nil, {["Idempotency-Key"] = SESSION .. "-" .. id .. "-" .. n})
end
"""
)
SESSIONS = (
    THREADS
    + """
local free, busy, made = {}, {}, 0
local plain = {["Content-Type"] = "application/json"}
local function sequenced(kind)
  local session = table.remove(free)
  if session == nil then
    made = made + 1
    local key = SESSION .. "-" .. id .. "-" .. made
    session = {n = START, headers = {["Content-Type"] = kind, ["Idempotency-Key"] = key}}
    busy[key] = session
  end
  session.n = session.n + 1
  session.headers["Idempotency-Sequence"] = string.format("%d", session.n)
  return session.headers
end
local function answered(headers)
  free[#free + 1] = busy[headers["idempotency-key"]]
end
"""
)
SEQUENCED = (
    SESSIONS
    + """
request = function() return wrk.format(nil, nil, sequenced()) end
response = function(status, headers, body) answered(headers) end
"""
)
SETTLE = (
    SESSIONS
    + """
local tokens = {}
local lease = '"lease":{"max":MANY,"ttl":600,"wait":20}}'
request = function()
  local token = table.remove(tokens)
  local body = token and '{"acks":[{"token":"' .. token .. '"}],' .. lease or '{' .. lease
  return wrk.format(nil, nil, KEYED and sequenced(plain["Content-Type"]) or plain, body)
end
response = function(status, headers, body)
  tokens[#tokens + 1] = string.match(body, '"token":"([^"]+)"')
  if KEYED then answered(headers) end
end
"""
)
PUSH_AND_LEASE = (
    SESSIONS
    + """
local turns, started = {}, 0
request = function()
  started = started + 1
  local turn = table.remove(turns) or (started <= FIRST_LEASE and "lease" or "push")
  if turn == "push" then
    return wrk.format(nil, "/queues/QUEUE/items", plain, '{"items":[{"value":1}]}')
  end
  return wrk.format(nil, "/queues/QUEUE/lease", plain, '{"max":1,"ttl":600,"wait":20}')
end
response = function(status, headers, body)
  turns[#turns + 1] = string.find(body, '"token"') and "push" or "lease"
end
"""
)
IN_TURN = """
local n = 0
request = function()
  n = n % QUEUES + 1
  return wrk.format("POST", "/queues/q" .. n .. "/next")
end
"""
PUSH = TAKE + 'wrk.headers["Content-Type"] = "application/json"\nwrk.body = BODY\n'
VALUE = "x" * 40  # 42 bytes of JSON
HUNDRED = json.dumps(json.dumps({"items": [{"value": VALUE}] * 100}))

sessions = itertools.count(1)


class Load(NamedTuple):
    """What a load did: ``rate`` a second, ``p99`` in ms, ``micros`` of the server's processor for one."""

    requests: int
    rate: float
    p99: float
    micros: float


def script(text: str, **names: object) -> str:
    """A script with its names filled in; unless they say otherwise it uses keys that no other has used."""
    filled = {"SESSION": f'"{os.getpid()}-{next(sessions)}"', "START": 0, "KEYED": "false", **names}
    return re.sub(rf"\b({'|'.join(filled)})\b", lambda found: str(filled[found[0]]), text)


def wrk(
    server: Server, path: str, seconds: int, lua: str = TAKE, *, connections: int = 64, threads: int = 1
) -> Load:
    """So many seconds of load. RuntimeError: some answer was no 2xx, or some connection broke."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(lua)
        file.flush()
        command = ["taskset", "-c", LOAD_CORE, "wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s"]
        command += ["--timeout", "30s", "--latency", "-s", file.name, server.url + path]
        before = server.cpu()
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60)
        used = server.cpu() - before
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"{path}: {done.stdout} {done.stderr}")
    requests = int(re.search(r"(\d+) requests in", done.stdout)[1])
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1])
    p99, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", done.stdout).groups()
    return Load(
        requests, rate, float(p99) * {"us": 0.001, "ms": 1, "s": 1000}[unit], used / max(requests, 1) * 1e6
    )


def each(server: Server, path: str, seconds: int, lua: str = TAKE, *, connections: int = 64) -> Load:
    """The same, with a thread for each connection."""
    return wrk(server, path, seconds, lua, connections=connections, threads=connections)


def push(server: Server, queue: str, items: int) -> None:
    """Push at least so many items, a hundred at a time."""
    lua = script(PUSH, BODY=HUNDRED)
    while items > 0:
        items -= 100 * wrk(server, f"/queues/{queue}/items", 1, lua, connections=16).requests
