"""The operations for monitoring: statistics and health."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from ...errors import LedgerCopied
from ...queue.restored import HELD
from ...queue.statistics import STATS_A_STEP
from ...queue.stats import Stats
from ..operation import Call, Operations, Spec
from ..problems import BY_NAME, TYPE, RequestRefused
from ..queries import QueuesPage
from ..records import answer, dumps
from ..reply import Reply

if TYPE_CHECKING:
    from ...cluster.office import Said

observe: Final = Operations("observe")


async def _text(stats: Stats) -> bytes:
    """As JSON, some queues at a time, for there may be a thousand."""
    fields = {name: value for name, value in asdict(replace(stats, queues=())).items() if name != "queues"}
    parts: list[str] = []
    for queue in stats.queues:
        parts.append(dumps(asdict(queue)))
        if len(parts) % STATS_A_STEP == 0:
            await asyncio.sleep(0)
    return f'{dumps(fields)[:-1]},"queues":[{",".join(parts)}]}}'.encode()


_HEALTH: Final = Spec(role="none", answer="Health")
_READY: Final = Spec(role="none", answer="Health", problems=("not-ready", "restored"))


@observe.add(
    "GET", "/stats", Spec(role="any", answer="Stats", problems=("limit-exceeded",), query=QueuesPage)
)
async def stats(call: Call) -> Reply:
    """The server's statistics.

    The statistics count from the start of the server, for all queues together and for a page of queues:
    `next` is the `after` of the next page. Durations are in seconds, rates in items per second. A caller with
    roles for some queues is told of these alone, and nothing of the `ledger` and the `cluster`; that is null
    as well where one server has the ledger for itself.
    """
    query, caller = call.query, call.caller
    after, limit = query.get("after", ""), query.get("limit", 100)
    found = await call.context.queues.stats(after, limit, caller.sees)
    whole = bool(caller.grants.everywhere)
    cluster = call.context.cluster() if whole else None
    return Reply(await _text(replace(found, ledger=found.ledger if whole else None, cluster=cluster)))


@observe.add("GET", "/queues/{queue}/stats", Spec(role="any", answer="QueueStats"))
async def queue_stats(call: Call) -> Reply:
    """A queue's statistics.

    The statistics count from the start of the server; the ledger keeps `cursor` and `taken` for ever.
    """
    return answer(asdict(call.queue.browser.stats()))


@observe.add("GET", "/healthz", _HEALTH)
@observe.add("HEAD", "/healthz", _HEALTH)
async def healthz(call: Call) -> Reply:
    """Say that the process answers."""
    return _ok(call)


@observe.add("GET", "/readyz", _READY)
@observe.add("HEAD", "/readyz", _READY)
async def readyz(call: Call) -> Reply:
    """Say whether the server can hand out items.

    It can if the ledger is open, its files are still in the data folder, its disk takes writes, and it is no
    restored backup that nobody has accepted. A server that does not own its ledger can if it reaches the one
    that does, and that can, for whom this server lets in; else the answer has the owner's reason.
    """
    front = call.context.front
    if call.context.elsewhere and front is not None:
        said = await front.reach()
        if said.status == HTTPStatus.OK:
            return _ok(call)
        raise _refused(said)
    if front is not None and not await front.seat.decides():
        raise front.refusal()
    queues = call.context.queues
    if queues.ready:
        return _ok(call)
    if queues.restored.held:
        raise LedgerCopied(f"the ledger is a restored backup: {HELD}")
    raise RequestRefused("not-ready", "the server is going down" if queues.down is None else str(queues.down))


def _refused(said: Said) -> RequestRefused:
    """What the owner has said of why nothing is handed out, as the reason of this server."""
    name, detail = "", f"the server that owns the ledger answers {said.status}"
    try:
        told = json.loads(said.body)
        name, detail = str(told["type"]).removeprefix(TYPE), str(told["detail"])
    except (ValueError, KeyError, TypeError):
        pass
    problem = BY_NAME.get(name)
    here = problem is not None and problem.status == HTTPStatus.SERVICE_UNAVAILABLE
    return RequestRefused(name if here else "not-ready", detail)


def _ok(call: Call) -> Reply:
    """HEAD has the headers of GET, and no body."""
    reply = answer({"status": "ok"})
    if call.request.method == "HEAD":
        reply.body = b""
    return reply
