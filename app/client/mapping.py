"""``map``: a function over the values of a queue, by several threads, processes or tasks; pairs come back.

The results are pushed, with their inputs, into a queue of its own in the transaction of the ack, and
read from there: each result is there exactly if its item is done, even when a worker is killed in between.
"""

from __future__ import annotations

import logging
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from .errors import ClientError, WorkersDied
from .leases import Leases
from .records import Result
from .setup import LeaseOptions

if TYPE_CHECKING:
    from .client import Client

log = logging.getLogger("dibs.client")

Pair = tuple[Any, Any]
NAME_BYTES: Final = 64


def results_of(queue: str) -> str:
    """The name of a queue for the results of one map."""
    mark = f".map-{uuid4().hex[:12]}"
    return queue[: NAME_BYTES - len(mark)] + mark


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


class Threads:
    """Workers on threads of this process; they share one lease iterator."""

    def __init__(self, leases: Leases, function: Callable[[Any], Any], results: str, workers: int) -> None:
        self._leases = leases
        self._errors: list[BaseException] = []

        def work() -> None:
            try:
                perform(leases, function, results)
            except BaseException as error:  # told to whoever reads the results
                self._errors.append(error)

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

    @property
    def error(self) -> BaseException | None:
        """What ended them early."""
        return self._errors[0] if self._errors else None


class Processes:
    """Workers in processes of their own (spawned, so that no lock or thread of this one is copied).

    A process that is killed loses nothing: its items are handed out again when its lease ends. A worker stops
    when its pipe is closed, so it does when this process dies.
    """

    def __init__(
        self,
        client: Client,
        queue: str,
        function: Callable[[Any], Any],
        results: str,
        *,
        workers: int,
        options: LeaseOptions,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []
        self._errors: list[BaseException] = []
        self._queue = queue
        for number in range(workers):
            ours, theirs = context.Pipe()
            task = partial(_process, client, queue, function, results, options=options, pipe=theirs)
            process = context.Process(target=task, name=f"dibs-map-{number}", daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def join(self) -> None:
        """Wait until all have ended."""
        left = list(self._pipes)
        while left:
            for pipe in wait(left):
                assert isinstance(pipe, Connection)  # noqa: S101  # what was given
                left.remove(pipe)
                try:
                    self._errors.append(pipe.recv())
                except EOFError:
                    continue  # it ended, or was killed: its exit code tells
                self.stop()
        for process in self._processes:
            process.join()
        killed = [process.exitcode for process in self._processes if process.exitcode]
        if killed and len(killed) == len(self._processes) and not self._errors:
            told = f"all processes that worked on {self._queue} died (exit code {killed[0]})"
            self._errors.append(WorkersDied(told))
        elif killed and not self._errors:
            log.warning("%d of %d processes died; others did their work", len(killed), len(self._processes))

    def stop(self) -> None:
        """Begin nothing more."""
        for pipe in self._pipes:
            try:
                pipe.send(None)
            except OSError:
                continue  # it has ended

    @property
    def error(self) -> BaseException | None:
        """What ended them early."""
        return self._errors[0] if self._errors else None


def _process(
    client: Client,
    queue: str,
    function: Callable[[Any], Any],
    results: str,
    *,
    options: LeaseOptions,
    pipe: Connection,
) -> None:
    """A worker process, from its begin to its end."""
    with client, client.queue(queue).lease(**options) as leases:
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
    try:
        pipe.send(error)
    except Exception:  # an exception that can't be pickled
        pipe.send(ClientError(f"a worker process failed: {error!r}"))


def mapped(
    client: Client,
    function: Callable[[Any], Any],
    queue: str,
    *,
    workers: int,
    processes: bool,
    options: LeaseOptions,
) -> Iterator[Pair]:
    """See ``Client.map``."""
    results = results_of(queue)
    client.define(results)
    crew: Threads | Processes
    if processes:
        crew = Processes(client, queue, function, results, workers=workers, options=options)
    else:
        crew = Threads(client.queue(queue).lease(**options), function, results, workers)
    ending = threading.Thread(target=_end, args=(client, crew, results), name="dibs-map-end", daemon=True)
    ending.start()
    try:
        with client.queue(results).lease() as leases:
            for job in leases:
                with job:
                    yield tuple(job.value)
    finally:
        crew.stop()
        ending.join()
        _leave(client, results)
    if crew.error is not None:
        raise crew.error


def _end(client: Client, crew: Threads | Processes, results: str) -> None:
    """Close the queue of the results once nobody works any more: then who reads it comes to an end."""
    crew.join()
    try:
        client.queue(results).close()
    except ClientError as error:
        log.warning("the results' queue %s can't be closed: %s", results, error)


def _leave(client: Client, results: str) -> None:
    """Delete the queue of the results, unless something is left in it that nobody has read."""
    try:
        info = client.queue(results).info()
        if info.waiting + info.leased + info.dead:
            log.warning("%d results were not read; they are in the queue %s", info.waiting, results)
        else:
            client.queue(results).delete()
    except ClientError as error:
        log.warning("the results' queue %s can't be deleted: %s", results, error)
