"""``map``: a function over the values of a queue, by several threads, processes or tasks; pairs come back.

The results are pushed, with their inputs, into a queue of its own in the transaction of the ack, and
read from there: each result is there exactly if its item is done, even when a worker is killed in between.
"""

from __future__ import annotations

import multiprocessing
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

from .errors import ClientError, WorkersDied
from .flow import log
from .leases import Leases
from .map_results import Results, claimed
from .records import Result
from .setup import Setup
from .threads import Line, run
from .tracing import UNTRACED

Function = Callable[[Any], Any]


def check_workers(workers: int) -> None:
    """Raise unless there can be so many."""
    if isinstance(workers, bool) or not isinstance(workers, int):
        raise TypeError(f"workers must be a whole number from 1 up, not {workers!r}")
    if workers < 1:
        raise ValueError(f"workers {workers}: at least 1")


def mapped(
    function: Function,
    queue: str,
    workers: int,
    *,
    processes: bool,
    lease: Callable[[], Leases],
    read: Callable[[str], Leases],
    setup: Setup,
    line: Line,
) -> Iterator[tuple[Any, Any]]:
    """See ``Client.map``: ``lease`` leases from the queue, and ``read`` from that of the results."""
    leases = lease()  # wrong options are refused before anything is made
    if processes:
        leases.close()
        ForkingPickler.dumps((lease, function))  # so is what no process can be given
    results = run(claimed(setup, queue), line)
    try:
        crew = (
            in_processes(lease, function, workers, queue, results.name)
            if processes
            else on_threads(leases, function, workers, results.name)
        )
    except BaseException:
        run(results.leave(), line)
        raise
    ending = threading.Thread(target=_end, args=(crew, results, line), name="dibs-map-end", daemon=True)
    ending.start()
    try:
        with read(results.name) as pairs:
            for job in pairs:
                job.work = UNTRACED
                with job:
                    yield tuple(job.value)
    finally:
        crew.stop()
        ending.join()
        run(results.leave(), line)
    if crew.errors:
        raise crew.errors[0]


def _end(crew: Workers, results: Results, line: Line) -> None:
    """Close the queue of the results once nobody works any more: then who reads it comes to an end."""
    try:
        crew.join()
    except Exception as error:  # told to whoever reads the results, who would wait for ever without the end
        crew.errors.append(error)
    run(results.close(), line)


class Workers:
    """The threads of one map. Each performs its task, or waits for the process that does.

    Args:
        tasks: What they do. One that raises stops the others, unless its process was killed.
        stop: Lets them begin nothing more.
        ended: Called when all have ended.

    Attributes:
        errors: Why they ended early, to be raised.
    """

    def __init__(
        self,
        tasks: Sequence[Callable[[], None]],
        stop: Callable[[], None],
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self.errors: list[BaseException] = []
        self.stop = stop
        self._ended = ended
        self._killed: list[WorkersDied] = []
        self._threads = [
            threading.Thread(target=self._work, args=(task,), name=f"dibs-map-{n}", daemon=True)
            for n, task in enumerate(tasks)
        ]
        for thread in self._threads:
            thread.start()

    def _work(self, task: Callable[[], None]) -> None:
        try:
            task()
        except WorkersDied as killed:
            self._killed.append(killed)
        except BaseException as error:  # told to whoever reads the results
            self.errors.append(error)
            self.stop()

    def join(self) -> None:
        """Wait until all have ended, and settle the last of theirs."""
        for thread in self._threads:
            thread.join()
        self._ended()
        if len(self._killed) == len(self._threads):
            self.errors.append(self._killed[0])
        elif self._killed:
            told = "%d of %d processes died; others did their work"
            log.warning(told, len(self._killed), len(self._threads))


def on_threads(leases: Leases, function: Function, workers: int, results: str) -> Workers:
    """Workers on threads of this process; they share one lease iterator."""
    return Workers([partial(perform, leases, function, results)] * workers, leases.stop, leases.close)


def perform(leases: Leases, function: Function, results: str) -> None:
    """Call the function until there are no more jobs."""
    for job in leases:
        with job:
            job.ack(Result(results, [job.value, function(job.value)]))


# -- processes


def in_processes(
    lease: Callable[[], Leases], function: Function, workers: int, queue: str, results: str
) -> Workers:
    """Workers in processes of their own (spawned, so that no lock or thread of this one is copied)."""
    begun: list[Process] = []

    def stop() -> None:
        for process in begun:
            process.stop()

    try:
        for number in range(workers):
            begun.append(Process(f"dibs-map-{number}", queue, partial(_process, lease, function, results)))
    except BaseException:  # those that have begun end before it is told
        stop()
        for process in begun:
            process.join()
        raise
    return Workers([process.attend for process in begun], stop)


class Process:
    """A process that works on a queue.

    If it is killed nothing is lost: its items are handed out again when its lease ends. It stops when its
    pipe is closed, so it does when the process that started it dies.
    """

    def __init__(self, name: str, queue: str, work: Callable[..., None]) -> None:
        context = multiprocessing.get_context("spawn")
        self._queue = queue
        self._pipe, theirs = context.Pipe()
        with theirs:
            process = context.Process(target=work, kwargs={"pipe": theirs}, name=name, daemon=True)
            process.start()
        self.join = process.join
        self._process = process

    def attend(self) -> None:
        """Wait for its end; what it tells of that is raised."""
        error = _told(self._pipe)
        self._process.join()
        if error is not None:
            raise error
        if self._process.exitcode:
            code = self._process.exitcode
            raise WorkersDied(f"all processes that worked on {self._queue} died (exit code {code})")

    def stop(self) -> None:
        """Begin nothing more."""
        with suppress(OSError):  # it has ended
            self._pipe.send(None)


def _told(pipe: Connection) -> BaseException | None:
    """What a worker process tells of its end; None if it says nothing, as its exit code tells then."""
    try:
        error: BaseException = pipe.recv()
    except (EOFError, OSError):  # also where it ended before it had read that it should
        return None
    except Exception as unreadable:  # an unpickler may raise anything
        return ClientError(f"a worker process failed, and its error can't be read here: {unreadable!r}")
    return error


def _process(lease: Callable[[], Leases], function: Function, results: str, *, pipe: Connection) -> None:
    """A worker process, from its begin to its end."""
    with lease() as leases:
        threading.Thread(target=_stop_when_told, args=(pipe, leases), daemon=True).start()
        try:
            perform(leases, function, results)
        except Exception as error:
            with suppress(OSError):  # the process that reads the results is gone
                pipe.send(portable(error))


def _stop_when_told(pipe: Connection, leases: Leases) -> None:
    with suppress(EOFError, OSError):  # the process that reads the results is gone
        pipe.recv()
    leases.stop()


def portable(error: Exception) -> Exception:
    """The error, if another process can read it; else one that has type, text and traceback as text."""
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):  # noqa: S301  # what was just written
            return error
    except Exception as reason:
        log.debug("an error can't be pickled: %r", reason)
    return ClientError(f"a worker process failed:\n{''.join(traceback.format_exception(error))}")
