"""Flows: the logic of requests, written once as generators that yield the steps to be done.

A flow yields ``Send``, ``Sleep``, ``Listen`` or ``Gather``; the drivers (``threads.py``, ``aio.py``) do the
step and send its answer back in. So every rule stands in one place, for threads, for asyncio, and for tests
that turn the clock by hand.
"""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from ..iterators import fork
from .errors import ClientError, ForkedClient
from .keys import Key, Sessions

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

JSON: Final = "application/json"
_FIRST_STEP: Final = 0.05
_LAST_STEP: Final = 2.0
_DOUBLINGS: Final = 10
_UNKNOWN: Final = 5.0
"""Seconds for which a client tries to reach a server that it has never reached."""
log: Final = logging.getLogger("dibs.client")


class Request(NamedTuple):
    """One request as bytes.

    ``wait``: seconds that the server may take on purpose, beside the timeout. ``within``: a shorter timeout,
    where a connection that hangs would cost more than asking again. ``traceparent``: of what it pushes.
    """

    method: str
    path: str
    body: bytes = b""
    kind: str = JSON
    key: Key | None = None
    wait: float = 0.0
    within: float | None = None
    traceparent: str | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Reply(NamedTuple):
    """One answer as bytes; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Lost(NamedTuple):
    """No answer came. ``reached``: the request may have been sent. ``aborted``: the client gave it up."""

    error: Exception
    reached: bool = True
    aborted: bool = False


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """A request and the reader of its answer.

    ``keyed``: it changes something, so it is sent with a key. ``whole``: the reader takes the ``Reply``, not
    what its JSON says.
    """

    request: Request
    read: Callable[[Any], T_co]
    keyed: bool = False
    whole: bool = False


# -- what a flow asks of its driver


class Send(NamedTuple):
    """Send a request; the answer is a ``Reply`` or ``Lost``. ``abortable``: closing need not wait for it."""

    request: Request
    abortable: bool = False


class Sleep(NamedTuple):
    """Wait for so many seconds."""

    seconds: float


class Bell(Protocol):
    """Tells of changes. A reader that looks first at ``rings`` and then at the state misses no change."""

    rings: int

    @property
    def here(self) -> bool:
        """Whether it rings here: in this process, and on this event loop."""

    def ring(self) -> None:
        """Wake the listeners; any thread may call it."""


class Listen(NamedTuple):
    """Wait until the bell has rung since ``seen``, at most so many seconds."""

    bell: Bell
    seen: int
    seconds: float | None = None


class Gather(NamedTuple):
    """Give values of ``source`` to ``into`` until that returns True. The answer is False after the last."""

    source: Iterator[Any] | AsyncIterator[Any]
    into: Callable[[Any], bool]


Effect = Send | Sleep | Listen | Gather
Flow = Generator[Effect, Any, T]


_strays: Final[list[object]] = []
"""Flows of the parent that came to a child: kept, since their ends would take locks of its threads."""


class Steps(Generic[T]):
    """The steps of a flow, for its driver, until it has returned its ``result``.

    A flow that was begun in a process and finds itself in a child is refused: a callback forked, and the
    child came back from it. Both would send the same requests.
    """

    result: T

    def __init__(self, flow: Flow[T]) -> None:
        self._flow = flow
        self._process = fork.process()
        self._go_on: Callable[[], Effect] = partial(next, flow)

    def next(self) -> Effect | None:
        """What is to be done next; None: the flow has returned."""
        self._stay()
        try:
            effect = self._go_on()
        except StopIteration as end:
            self.result = end.value
            return None
        self._stay()
        return effect

    def done(self, answer: Any) -> None:
        """Note that a step is done, and its answer."""
        self._go_on = partial(self._flow.send, answer)

    def failed(self, error: BaseException) -> None:
        """Note that a step was interrupted: the flow leaves things as they should be."""
        self._go_on = partial(self._flow.throw, error)

    def _stay(self) -> None:
        if fork.process() is not self._process:
            _strays.append(self._flow)
            raise ForkedClient(
                "this request belongs to the parent process, which goes on with it; this process is its child"
            )


# -- time and chance


@dataclass(frozen=True, slots=True)
class Tempo:
    """Time and chance, so that tests can hold both. ``clock``: monotonic seconds; ``chance``: from 0 to 1."""

    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    new_key: Callable[[], str] = field(default=lambda: str(uuid.uuid4()))

    def step(self, tries: int, asked: float | None) -> float:
        """Seconds until the next try: full jitter under a doubling bound, after what the server asked for.

        (Exponential Backoff And Jitter, AWS Architecture Blog, 2015.)
        """
        bound = min(_LAST_STEP, _FIRST_STEP * (1 << min(tries, _DOUBLINGS)))
        return (asked or 0.0) + self.chance() * bound


OnWait = Callable[[float, str], None]


class Contact:
    """Whether the server was ever reached; one for all flows of a client."""

    made = False


class Stop:
    """When a lease iterator ends. Any thread or finalizer may set it, in the middle of anything: no lock.

    Args:
        bells: Ring for the iterator's flows; all at once, so that a pause listens to the first.

    Attributes:
        begun: Whether no further job is to be begun.
        deadline: The time by which all is to be said; None: no end is set.
    """

    def __init__(self, *bells: Bell) -> None:
        self.bells = bells
        self.begun = False
        self.deadline: float | None = None

    def set(self, deadline: float | None) -> None:
        """Begin nothing more. With a deadline: that is the end."""
        if deadline is not None and self.deadline is None:
            self.deadline = deadline
        self.begun = True
        for bell in self.bells:
            bell.ring()

    def pause(self, seconds: float, clock: Callable[[], float]) -> Flow[None]:
        """Wait, but not into a stop that begins meanwhile, nor beyond the deadline."""
        begun, until = self.begun, clock() + seconds
        while True:
            seen = self.bells[0].rings  # first: a stop between looking and this would be slept through
            left = (until if self.deadline is None else min(until, self.deadline)) - clock()
            if self.begun != begun or left <= 0:
                return
            yield Listen(self.bells[0], seen, left)


class Terms:
    """How long a flow sends a request again, and how it waits in between.

    ``on_wait`` is called before each such wait with its seconds and the reason.
    """

    def __init__(
        self,
        tempo: Tempo,
        patience: float,
        on_wait: OnWait | None = None,
        *,
        contact: Contact | None = None,
    ) -> None:
        self.tempo = tempo
        self.contact = contact or Contact()
        self.sessions = Sessions(tempo.new_key)
        self.patience = patience
        self.on_wait = on_wait
        self._stop: Stop | None = None

    def until(self, stop: Stop) -> Terms:
        """These terms, for the flows of a lease iterator."""
        made = copy(self)
        made._stop = stop
        return made

    def deadline(self, began: float) -> float:
        """The time until which a request that was first sent at ``began`` is sent again."""
        last = began + (self.patience if self.contact.made else min(self.patience, _UNKNOWN))
        ends = None if self._stop is None else self._stop.deadline
        return last if ends is None else min(last, ends)

    def pause(self, seconds: float) -> Flow[None]:
        """Wait before the next try."""
        if self._stop is None:
            yield Sleep(seconds)
        else:
            yield from self._stop.pause(seconds, self.tempo.clock)


class Aborted(ClientError):
    """A request was given up because its lease iterator is being closed. It never leaves the client.

    ``reached``: the server may have received the request.
    """

    def __init__(self, *, reached: bool) -> None:
        super().__init__("given up")
        self.reached = reached
