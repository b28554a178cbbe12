"""``map``: a function over the values of a queue, by several threads, processes or tasks; pairs come back.

The results are pushed, with their inputs, into a queue of its own in the transaction of the ack, and
read from there: each result is there exactly if its item is done, even when a worker is killed in between.
"""

from __future__ import annotations

import multiprocessing
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from .errors import ClientError, WorkersDied
from .flow import log
from .leases import Leases
from .map_results import Results, claimed
from .records import Result
from .setup import Setup
from .threads import Line, run

Pair = tuple[Any, Any]


def check_workers(workers: int) -> None:
    """Raise unless there can be so many."""
    if isinstance(workers, bool) or not isinstance(workers, int):
        raise TypeError(f"workers must be a whole number from 1 up, not {workers!r}")
    if workers < 1:
        raise ValueError(f"workers {workers}: at least 1")


def perform(leases: Leases, function: Callable[[Any], Any], results: str) -> None:
    """One worker: call the function until there are no more jobs."""
    try:
        for job in leases:
            with job:
                value = function(job.value)
                job.ack(Result(results, [job.value, value]))
    except BaseException:
        leases.stop()  # the others finish what they have in hand
        raise


class Workers(Protocol):
    """What maps a queue; ``errors`` has what ended it early."""

    errors: list[BaseException]

    def join(self) -> None:
        """Wait until all have ended, and settle the last of theirs."""

    def stop(self) -> None:
        """Begin nothing more."""


class Threads:
    """Workers on threads of this process; they share one lease iterator."""

    def __init__(self, leases: Leases, function: Callable[[Any], Any], workers: int, results: str) -> None:
        self.errors: list[BaseException] = []
        self._leases = leases

        def work() -> None:
            try:
                perform(leases, function, results)
            except BaseException as error:  # told to whoever reads the results
                self.errors.append(error)

        self._threads = [threading.Thread(target=work, name=f"dibs-map-{n}") for n in range(workers)]
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    def join(self) -> None:
        """Wait until all have ended, and settle the last of theirs."""
        for thread in self._threads:
            thread.join()
        self._leases.close()

    def stop(self) -> None:
        """Begin nothing more."""
        self._leases.stop()


class Processes:
    """Workers in processes of their own (spawned, so that no lock or thread of this one is copied).

    A process that is killed loses nothing: its items are handed out again when its lease ends. A worker stops
    when its pipe is closed, so it does when this process dies.
    """

    def __init__(
        self,
        lease: Callable[[], Leases],
        function: Callable[[Any], Any],
        workers: int,
        queue: str,
        results: str,
    ) -> None:
        self.errors: list[BaseException] = []
        self._queue = queue
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []
        try:
            for number in range(workers):
                self._start(number, partial(_process, lease, function, results))
        except BaseException:  # those that have begun end before it is told
            self.stop()
            self.join()
            raise

    def _start(self, number: int, task: Callable[..., None]) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        with theirs:
            process = context.Process(
                target=task, kwargs={"pipe": theirs}, name=f"dibs-map-{number}", daemon=True
            )
            process.start()
        self._pipes.append(ours)
        self._processes.append(process)

    def join(self) -> None:
        """Wait until all have ended."""
        left = list(self._pipes)
        while left:
            for pipe in wait(left):
                assert isinstance(pipe, Connection)  # noqa: S101  # what was given
                left.remove(pipe)
                error = _told(pipe)
                if error is not None:
                    self.errors.append(error)
                    self.stop()
        for process in self._processes:
            process.join()
        killed = [process.exitcode for process in self._processes if process.exitcode]
        if killed and len(killed) == len(self._processes) and not self.errors:
            told = f"all processes that worked on {self._queue} died (exit code {killed[0]})"
            self.errors.append(WorkersDied(told))
        elif killed and not self.errors:
            log.warning("%d of %d processes died; others did their work", len(killed), len(self._processes))

    def stop(self) -> None:
        """Begin nothing more."""
        for pipe in self._pipes:
            try:
                pipe.send(None)
            except OSError:
                continue  # it has ended


def _told(pipe: Connection) -> BaseException | None:
    """What a worker process tells of its end; None if it says nothing, as its exit code tells then."""
    try:
        error: BaseException = pipe.recv()
    except (EOFError, OSError):  # also where it ended before it had read that it should
        return None
    except Exception as unreadable:  # an unpickler may raise anything
        return ClientError(f"a worker process failed, and its error can't be read here: {unreadable!r}")
    return error


def _process(
    lease: Callable[[], Leases], function: Callable[[Any], Any], results: str, *, pipe: Connection
) -> None:
    """A worker process, from its begin to its end."""
    with lease() as leases:
        threading.Thread(target=_stop_when_told, args=(pipe, leases), daemon=True).start()
        try:
            perform(leases, function, results)
        except Exception as error:
            _tell(pipe, error)


def _stop_when_told(pipe: Connection, leases: Leases) -> None:
    with suppress(EOFError, OSError):  # the process that reads the results is gone
        pipe.recv()
    leases.stop()


def _tell(pipe: Connection, error: Exception) -> None:
    with suppress(OSError):  # the process that reads the results is gone
        pipe.send(portable(error))


def portable(error: Exception) -> Exception:
    """The error, if another process can read it; else one that has type, text and traceback as text."""
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):  # noqa: S301  # what was just written
            return error
    except Exception as reason:
        log.debug("an error can't be pickled: %r", reason)
    return ClientError(f"a worker process failed:\n{''.join(traceback.format_exception(error))}")


def mapped(
    queue: str,
    begin: Callable[[str], Workers],
    setup: Setup,
    line: Line,
    read: Callable[[str], Leases],
) -> Iterator[Pair]:
    """See ``Client.map``: ``begin`` starts the workers, and ``read`` leases the results of a queue."""
    results = run(claimed(setup, queue), line)
    try:
        workers = begin(results.name)
    except BaseException:
        run(results.leave(), line)
        raise
    ending = threading.Thread(target=_end, args=(workers, results, line), name="dibs-map-end", daemon=True)
    ending.start()
    try:
        with read(results.name) as leases:
            for job in leases:
                with job:
                    yield tuple(job.value)
    finally:
        workers.stop()
        ending.join()
        run(results.leave(), line)
    if workers.errors:
        raise workers.errors[0]


def _end(workers: Workers, results: Results, line: Line) -> None:
    """Close the queue of the results once nobody works any more: then who reads it comes to an end."""
    try:
        workers.join()
    except Exception as error:  # told to whoever reads the results, who would wait for ever without the end
        workers.errors.append(error)
    run(results.close(), line)
