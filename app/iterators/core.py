"""`ThreadSafeIterator`: one iterator, any number of threads, each value to exactly one of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any, NoReturn, SupportsIndex, TypeVar

from ..errors import ReentrantPull
from . import closing, fork
from .hold import Hold
from .shared import SharedSource, size_of
from .stats import IteratorStats, State
from .turns import PULLING, deadline_after

T_co = TypeVar("T_co", covariant=True)


class ThreadSafeIterator(Iterator[T_co], AsyncIterator[T_co]):
    """An iterator that any number of threads may share (the design's section 5).

    Every value goes to exactly one caller, in the source's order, with the GIL and without. One caller
    at a time is inside the source; the same thread coming back in gets `ReentrantPull`, never a deadlock.
    A source that raises is *failed*: one caller gets its exception, every later one `SourceFailed` with
    that as its cause, never a plain StopIteration. In a forked child each use raises `ForkedIterator`.

    Every exception of the source counts, ``KeyboardInterrupt`` and ``SystemExit`` too: a generator that any
    exception went through is finished, so "it ended" would be a lie. An interrupt that lands while a
    value is on its way from the source to us is treated alike, as that value may be gone. An interrupt
    while waiting changes nothing. One that lands after the lock was given back costs its caller the value
    it was just given, as it would an instruction later. No interrupt leaves the lock held
    (`Hold` names its one exception).

    Args:
        iterable: The source. If its class has a ``take(n)`` that returns a sequence (shorter than n only
            if it has ended; raising only if it gives nothing), batches are asked from that.
        fair: Serve callers in the order of their arrival. It costs a thread switch a value when they
            contend, so it is not the default.
        finalizer: Called once by `close` instead of the source's own ``close``; for chains such as
            ``map(encode, generator)``.
    """

    __slots__ = ("__weakref__", "_shared", "_turns")

    def __init__(
        self, iterable: Iterable[T_co], *, fair: bool = False, finalizer: Callable[[], object] | None = None
    ) -> None:
        if hasattr(iterable, "__aiter__") and not hasattr(iterable, "__iter__"):
            raise TypeError(
                f"{type(iterable).__name__}: an async iterator belongs to one event loop, threads can't "
                "share it; share a plain generator instead, `async for` works over that"
            )
        source = iter(iterable)
        # Our own `take` is none to rely on: a short answer of it may precede a failure.
        batches = hasattr(type(source), "take") and not isinstance(source, ThreadSafeIterator)
        self._shared = SharedSource(source, batches=batches, fair=fair, finalizer=finalizer)
        self._turns = self._shared.turns
        fork.watch(self._shared)

    def __next__(self) -> T_co:
        shared, turns = self._shared, self._turns
        held = False
        try:
            if turns.busy or not turns.lock.acquire(False):
                turns.wait()
            held = True
            turns.busy = PULLING
            value = next(shared.iterator)
            shared.singles += 1
            turns.busy = turns.rest
            held = False
            turns.lock.release()
            if turns.line:
                try:
                    turns.after()
                except RecursionError:  # they look for themselves within `BACKSTOP`
                    pass
        except BaseException as error:
            if held and shared.iterator is not shared.wreck:  # stores only: there may be no room for a call
                shared.raised = error
                shared.delivered = True
                shared.wreck.owner = shared
                shared.wreck.behind = shared.iterator
                shared.iterator = shared.wreck
            try:
                shared.sort_out(held)
            except RecursionError:
                pass  # it is for the next one to do
            except BaseException:
                shared.sort_out(held)  # interrupted on its way in: once more
                raise
            finally:
                if held:
                    turns.busy = turns.rest
                    try:
                        turns.lock.release()
                    except RuntimeError:  # it was taken before a fork
                        shared.refuse_child()
                if turns.line:
                    try:
                        turns.after()
                    except RecursionError:
                        pass
            raise
        return value

    def take(self, n: SupportsIndex) -> Sequence[T_co]:
        """Take up to `n` consecutive values under one hold of the lock; fewer only if the source ends.

        If the source raises after k values, those k are returned; the failure shows in `state` and `cause`
        at once, and the exception comes at the next call. Only an interrupt on the main thread does not
        wait: it is raised at once, and the k values are the next ones out.

        Raises:
            ValueError: `n` is negative.
            ReentrantPull, SourceFailed, SourceClosed, ForkedIterator: As for ``next``.
        """
        return self._shared.in_turn(self._shared.draw, n if type(n) is int and n >= 0 else size_of(n))

    def pull(self, timeout: float | None = None) -> T_co:
        """Take the next value, waiting at most `timeout` seconds for other callers. The source is not timed.

        Raises:
            PullTimeout: Others were pulling all the time; nothing was consumed.
            StopIteration: The source is exhausted, as for ``next``.
            ValueError: `timeout` is negative or not a number.
        """
        value: T_co = self._shared.in_turn(self._shared.draw_one, deadline=deadline_after(timeout))
        return value

    def hold(self, timeout: float | None = None) -> Hold[T_co]:
        """Return a context manager that keeps the lock over several steps, such as to draw and then enqueue.

        ``with iterator.hold() as held: values = held.take(n); …``. An exhausted or a failed iterator can
        be held too. Entering raises `PullTimeout`, `ReentrantPull`, `SourceClosed` or `ForkedIterator`.
        """
        return Hold(self._shared, timeout)

    def close(self, timeout: float | None = None) -> Any:
        """Close the iterator: it hands out nothing more, and its source is finalized once.

        While another thread pulls, callers that wait get `SourceClosed` at once, and the source is
        finalized as soon as that pull returns (its caller still gets the value). Called from inside the
        pull, it returns at once and the same happens. Values that nobody was given are dropped. A source
        that had ended before stays *exhausted* or *failed*, as for a plain generator.

        Returns:
            What the source's own ``close`` (or `finalizer`) returned, to the first caller that waits for it:
            from Python 3.13 on that is the value that a generator returns when it is closed.

        Raises:
            PullTimeout: The pull is still running after `timeout` seconds. It is closed all the same.
            BaseException: What finalizing the source raised; once, here or at the next ``close``.
        """
        deadline = deadline_after(timeout)
        self._shared.refuse_child()
        closing.announce(self._shared)
        try:
            self._shared.in_turn(closing.finalize, self._shared, deadline=deadline, closer=True)
        except ReentrantPull:
            return None  # this thread's own pull finalizes when it returns
        try:
            result, error = self._shared.close_outcomes.pop()
        except IndexError:
            return None
        if error is not None:
            raise error
        return result

    @property
    def state(self) -> State:
        """``open``, ``exhausted`` or ``failed``; ``closed`` from the moment of a `close` on."""
        if self._turns.cut:
            return "closed"
        if self._shared.ending is not None:
            return self._shared.ending.state
        raised = self._shared.raised  # by a turn that could not put it in order yet
        if raised is None:
            return "open"
        return "exhausted" if isinstance(raised, StopIteration) else "failed"

    @property
    def cause(self) -> BaseException | None:
        """The exception that the source raised (kept after `close`), or that finalizing the source raised."""
        if self._shared.ending is not None:
            return self._shared.ending.cause
        return None if isinstance(self._shared.raised, StopIteration) else self._shared.raised

    def stats(self) -> IteratorStats:
        """Counters and times so far, read without waiting for a running pull."""
        singles = self._shared.singles
        mark = self._shared.mark
        return IteratorStats(
            pulls=singles + self._shared.pulls,
            values=singles + self._shared.values + self._shared.claimed,
            contended=self._turns.contended,
            waiting=sum(place is not mark for place in self._turns.line.copy()),
            wait_seconds=self._turns.wait_seconds,
            held_seconds=self._shared.held_seconds,
            state=self.state,
        )

    async def __anext__(self) -> T_co:
        from .aio import courier  # asyncio is for those who use it

        return await courier(self._shared).fetch()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} can't be pickled or copied: each copy would hand out the same values. "
            "To share a source between processes, serve it and use dibs.Client in each of them"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.state} at {id(self):#x}>"
