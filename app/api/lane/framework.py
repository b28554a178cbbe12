"""The requests of a connection that the framework answers, one at a time, with their bodies as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ..problems import RequestRefused
from .exchange import LITTLE, Exchange, Peer

if TYPE_CHECKING:
    from .budget import Budget
    from .framing import RequestHead
    from .intake import Intake
    from .responses import Responses


class Framework:
    """Gives requests to the framework. ``exchange`` is the one that it has.

    Their bodies come from the ``intake``. ``go_on`` is called when an answer is out, and all of its body that
    has to be read.
    """

    def __init__(
        self, peer: Peer, responses: Responses, intake: Intake, budget: Budget, go_on: Callable[[], None]
    ) -> None:
        self.exchange: Exchange | None = None
        self._peer = peer
        self._responses = responses
        self._intake = intake
        self._budget = budget
        self._go_on = go_on

    def ask(self, head: RequestHead) -> None:
        """Give a request to the framework."""
        exchange = self.exchange = Exchange(self._peer, head, self._answered, self.feed)
        if self._intake.ended:
            exchange.wait.end()
        self.feed()
        task = self._peer.loop.create_task(exchange.run(self._peer.app))
        self._peer.state.tasks.add(task)
        task.add_done_callback(partial(self._done, exchange))

    def _done(self, exchange: Exchange, task: asyncio.Task[None]) -> None:
        self._peer.state.tasks.discard(task)
        self._budget.let_go(exchange.held)

    @property
    def reading(self) -> bool:
        """Whether a body is being read."""
        return self.exchange is not None and self.exchange.incoming is not None

    @property
    def missing(self) -> bool:
        """Whether the client may still be sending a body."""
        return self.exchange is not None and (self.exchange.incoming is not None or self.exchange.failed)

    def feed(self) -> None:
        """Read the body, as much as there is room for; go on behind its end."""
        exchange, intake = self.exchange, self._intake
        if self._responses.gone:
            return
        if exchange is None or exchange.incoming is None or not intake.size:
            self._bound()
            return
        intake.since = self._peer.loop.time()
        data, at = intake.take()
        try:
            at = exchange.feed(data, at)
        except RequestRefused as error:
            self.fail(error)
            return
        intake.put(data, at)
        if exchange.incoming is not None:
            if exchange.has_room and intake.size:
                self._peer.loop.call_soon(self.feed)
        elif exchange.response_complete:
            self._go_on()
            return
        elif exchange.size > LITTLE:
            self._bound()  # it is no longer kept, but held
            if not self._budget.hold(exchange.size):
                self.fail(self._budget.overloaded())
                return
            exchange.held = exchange.size
        self._bound()

    def fail(self, error: RequestRefused) -> None:
        """The body is none, or does not come."""
        exchange = self.exchange
        assert exchange is not None  # noqa: S101  # it is being read
        exchange.fail(error)
        self._responses.last = True
        self._intake.clear()
        if exchange.response_complete:
            self._go_on()
        else:
            self._bound()

    def _answered(self) -> None:
        """The answer is out."""
        exchange, responses = self.exchange, self._responses
        assert exchange is not None  # noqa: S101  # it was asked
        responses.last = responses.last or not exchange.keep_alive
        if exchange.incoming is None or responses.last:
            self._go_on()
        else:
            exchange.forget()  # the little that is missing of the body comes first
            self.feed()

    def _bound(self) -> None:
        exchange = self.exchange
        self._intake.more = 0 if exchange is None else exchange.kept
        self._intake.bound(
            full=exchange is not None and exchange.incoming is not None and not exchange.has_room
        )

    def over(self) -> None:
        """The answer is out, and its body was read."""
        self.exchange = None
        self._intake.more = 0

    def lost(self) -> None:
        """Tell the application that the client has gone."""
        self._intake.more = 0
        if self.exchange is not None:
            self.exchange.disconnect()
