"""The queue of a work load: made before it, audited and cleared away after it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from ..errors import HarnessFault
from ..target import Endpoint, counter
from .plan import WorkPlan
from .records import Inside, WorkAudit, WorkHeader

_PAGE = 1_000
_COUNTED = [field.name for field in fields(WorkAudit) if field.name != "balanced"]


class WorkTarget(Endpoint):
    """Asks the server about the test's own queue, which producers push to."""

    def __init__(self, plan: WorkPlan) -> None:
        super().__init__(plan.url, None, timeout=plan.timeout, patience=plan.patience)
        self.plan = plan
        self._opened = 0.0

    def open(self) -> WorkHeader:
        """Make the queue.

        Raises:
            HarnessFault: there is no server, or its answer can't be understood.
        """
        body = {"source": None, "settings": self.plan.settings}
        response = self.send("PUT", self.path, body, first=True)
        state = self.json(response)
        self._opened = time.monotonic()
        return WorkHeader(
            queue=self.queue,
            url=self.url,
            instance=response.headers.get("dibs-instance"),
            server=response.headers.get("dibs-version"),
            started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            max_attempts=self.plan.max_attempts,
            cursor=counter(state, "cursor"),
            acked=counter(state, "acked"),
        )

    def audit(self) -> WorkAudit:
        """The server's own counters."""
        body = self.json(self.send("GET", f"{self.path}/audit"))
        counters = {name: counter(body, name) for name in _COUNTED}
        return WorkAudit(**counters, balanced=body.get("balanced") is True)

    def left(self) -> int:
        """How many items wait or are leased."""
        audit = self.audit()
        return audit.waiting + audit.leased

    def inside(self) -> tuple[Inside, ...]:
        """Every item that is still in the queue, page by page."""
        return tuple(self._pages())

    def _pages(self) -> Iterator[Inside]:
        after = 0
        while True:
            page = self.json(self.send("GET", f"{self.path}/items?after={after}&limit={_PAGE}"))
            try:
                yield from (Inside(one["seq"], one["state"], one["attempt"]) for one in page["items"])
                follows = page["next"]
            except (KeyError, TypeError) as error:
                raise HarnessFault(f"a page of items can't be read: {error!r}") from None
            if follows is None:
                return
            if type(follows) is not int or follows <= after:
                raise HarnessFault(f"a page of items after {after} says that the next is {follows!r}")
            after = follows

    def is_steady(self) -> bool:
        """Whether the server has been up since the queue was made."""
        body: Mapping[str, Any] = self.json(self.send("GET", "/stats"))
        uptime = body.get("uptime")
        return isinstance(uptime, (int, float)) and uptime >= time.monotonic() - self._opened
