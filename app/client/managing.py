"""What an operator can ask of a server and of its queues. As ``operations.py``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Concatenate, Final, Literal, ParamSpec, TypeVar
from urllib.parse import urlencode

from . import calls
from .answers import Audit, Backup, HistoryEntry, QueueInfo, QueueItem, read_info, reader
from .calls import path_of
from .flow import Call, Flow, Request, Terms
from .operations import QueueOperations
from .persist import persist
from .records import UNCHANGED, QueueSettings, Seqs, Unchanged
from .setup import Setup
from .text import encode

P = ParamSpec("P")
T = TypeVar("T")
_PAGE: Final = 100

Pages = Iterator[Flow[Sequence[T]]]
"""The requests for one page of a list after the other; each is made when the one before has its answer."""


def _pages(
    terms: Terms, path: Callable[[Any], str], name: str, of: Callable[[Any], T], after: Any
) -> Pages[T]:
    """The pages of a list: ``path`` gives that of the page after a place, ``name`` has its entries."""

    def page() -> Flow[Sequence[T]]:
        nonlocal after
        answer = yield from persist(calls.get(path(after), dict), terms)
        after = answer["next"]
        return [of(entry) for entry in answer[name]]

    yield page()
    while after is not None:
        yield page()


class ServerOperations:
    """What can be asked of a server."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup

    def queues(self) -> Pages[QueueInfo]:
        """All queues, by name."""

        def path(after: str | None) -> str:
            return "/queues" if after is None else f"/queues?{urlencode({'after': after})}"

        return _pages(self.setup.terms, path, "queues", read_info, None)

    def define(
        self,
        name: str,
        source: str | Unchanged | None = UNCHANGED,
        args: Mapping[str, Any] | None = None,
        settings: QueueSettings | Mapping[str, Any] | None = None,
        *,
        reset: bool = False,
        confirm: str | None = None,
    ) -> Flow[QueueInfo]:
        """Define a queue, or change it: what is not named stays as it is.

        Args:
            name: Its name.
            source: One of the built-in sources. None: producers push. Not named: as it is; for a new queue,
                producers push.
            args: The source's arguments.
            settings: A mapping, such as ``{"max_attempts": 3, "backoff": 0.5}``, or a ``QueueSettings``. Each
                that is not named stays as it is; a new queue begins with the defaults.
            reset: Begin again at seq 1, also where a queue of this name was deleted.
            confirm: The queue's name once more, where the ``reset`` drops items that are inside.

        Raises:
            Conflict: It was defined with another source, and has handed out items; or a ``reset`` would drop
                items, and ``confirm`` is not given.
            Invalid: There is no such source, or it does not take these arguments.
        """
        body: dict[str, Any] = {} if isinstance(source, Unchanged) else {"source": source}
        if args:
            body["args"] = dict(args)
        if settings is not None:
            body["settings"] = settings.to_json() if isinstance(settings, QueueSettings) else dict(settings)
        if reset:
            body["reset"] = True
        request = Request("PUT", path_of(name, confirm=confirm), encode(body).encode())
        return persist(Call(request, read_info, keyed=True), self.setup.terms)

    def stats(self) -> Flow[dict[str, Any]]:
        """Totals and percentiles of the server, and its first 100 queues, as ``GET /stats`` gives them."""
        return self._get("/stats", dict)

    def backup(self) -> Flow[Backup]:
        """Copy the ledger into the server's data folder, consistent and online.

        Whoever serves a copy hands out again what was taken since.
        """
        # It has no key: sent again, it makes another file, which does no harm.
        return persist(Call(Request("POST", "/backup"), reader(Backup)), self.setup.terms)

    def _get(self, path: str, read: Callable[[Any], T]) -> Flow[T]:
        return persist(calls.get(path, read), self.setup.terms)


# -- of a queue


def _of_queue(
    operation: Callable[Concatenate[ServerOperations, str, P], Flow[T]], told: str
) -> Callable[Concatenate[QueueOperations, P], Flow[T]]:
    """The operation of a server that is told a queue's name, as one of that queue; ``told`` documents it."""

    def call(queue: QueueOperations, /, *args: P.args, **kwargs: P.kwargs) -> Flow[T]:
        return operation(ServerOperations(queue.setup), queue.name, *args, **kwargs)

    first, _, *others = inspect.signature(operation).parameters.values()
    vars(call)["__signature__"] = inspect.signature(operation).replace(parameters=[first, *others])
    call.__name__, call.__doc__ = operation.__name__, told
    return call


define = _of_queue(ServerOperations.define, "Define it, or change what is named; see ``Client.define``.")


def info(queue: QueueOperations) -> Flow[QueueInfo]:
    """The queue as it is on disk now."""
    return queue.get(read_info)


def audit(queue: QueueOperations) -> Flow[Audit]:
    """The independent counters of one moment."""
    return queue.get(reader(Audit), "audit")


def stats(queue: QueueOperations) -> Flow[dict[str, Any]]:
    """Rates and percentiles, as ``GET /queues/{q}/stats`` gives them."""
    return queue.get(dict, "stats")


def pause(queue: QueueOperations) -> Flow[QueueInfo]:
    """Hand nothing out until resumed. Pushes and settles go on."""
    return queue.post("pause", read_info)


def resume(queue: QueueOperations) -> Flow[QueueInfo]:
    """Hand out again."""
    return queue.post("resume", read_info)


def close(queue: QueueOperations) -> Flow[QueueInfo]:
    """No more pushes and draws, for good; what is inside still goes out."""
    return queue.post("close", read_info)


def retry(queue: QueueOperations) -> Flow[QueueInfo]:
    """Open a failed source again, after the cursor."""
    return queue.post("retry", read_info)


def advance(queue: QueueOperations, to_seq: int) -> Flow[QueueInfo]:
    """Move the cursor forward to ``to_seq``: what is passed over is never handed out.

    It counts as jumped.

    Raises:
        Conflict: The cursor is there already, or beyond it.
    """
    return queue.post("advance", read_info, {"to_seq": to_seq})


def delete(queue: QueueOperations, *, confirm: str | None = None) -> Flow[QueueInfo]:
    """Delete it; its name and cursor stay as a tombstone.

    Where something is inside, ``confirm`` is the queue's name: it is dropped, leased or not.

    Raises:
        Conflict: Something is inside, and ``confirm`` is not given.
    """
    request = Request("DELETE", path_of(queue.name, confirm=confirm))
    return persist(Call(request, read_info, keyed=True), queue.setup.terms)


def items(
    queue: QueueOperations, state: Literal["waiting", "leased", "dead"] | None = None, *, after: int = 0
) -> Pages[QueueItem]:
    """The items inside, by seq, those of one state or all; pages are asked for as they are needed."""

    def path(after: int) -> str:
        return path_of(queue.name, "items", state=state, after=after or None, limit=_PAGE)

    return _pages(queue.setup.terms, path, "items", reader(QueueItem), after)


def history(queue: QueueOperations, seq: int | None = None) -> Pages[HistoryEntry]:
    """Who took or acked what, from oldest to newest, where the queue's setting ``history`` keeps it.

    ``seq``: of this item only. Pages are asked for as they are needed. A deleted queue has one, too.
    """

    def path(after: int) -> str:
        return path_of(queue.name, "history", seq=seq, after=after or None, limit=_PAGE)

    return _pages(queue.setup.terms, path, "history", reader(HistoryEntry), 0)


def item(queue: QueueOperations, seq: int) -> Flow[QueueItem]:
    """One item inside, with its history of failures; or one that is done, where the queue keeps that.

    Raises:
        ItemUnknown: It is not drawn yet, or done.
    """
    return queue.get(reader(QueueItem), "items", str(seq))


def redrive(  # noqa: D417  # as a method it has no queue
    queue: QueueOperations,
    seqs: Seqs | None = None,
    *,
    limit: int | None = None,
    rate: float | None = None,
    error: str | None = None,
    expect: int | None = None,
) -> Flow[int]:
    """Let dead items wait again, with all their attempts; how many.

    What dies while it goes on is left alone where ``expect`` is given.

    Args:
        seqs: Ranges, both ends included; None: all.
        limit: The first so many.
        rate: Items a second; None: all at once.
        error: Of the newest 10,000, those whose last error is this one, by its first 200 characters.
        expect: How many this should be; where it would be another number, nothing is redriven.
    """
    body = {"seqs": seqs, "limit": limit, "rate": rate, "error": error, "expect": expect}
    given = {name: value for name, value in body.items() if value is not None}
    return queue.post("redrive", lambda answer: int(answer["redriven"]), given)


def purge(
    queue: QueueOperations,
    *,
    confirm: str,
    states: Sequence[Literal["waiting", "dead"]] | None = None,
    expect: int | None = None,
) -> Flow[int]:
    """Drop items for good; how many. ``confirm`` is the queue's name; ``states`` None: both.

    ``expect``: how many were seen; where there are more, nothing is dropped, and never more than these.
    """
    body: dict[str, Any] = {"confirm": confirm}
    if states is not None:
        body["states"] = list(states)
    if expect is not None:
        body["expect"] = expect
    return queue.post("purge", lambda answer: int(answer["purged"]), body)
