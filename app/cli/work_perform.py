"""One job: run its command, and settle it by how that ended."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NoReturn

from .work_process import GRACE, CannotStart, End, Process, Unfit, error_text
from .work_words import Words, compact, environment

if TYPE_CHECKING:
    from ..client import Job
    from .work_board import Board
    from .work_tally import Tally

RESULT_BYTES: Final = 256 * 1024
"""A longer result would be refused by the server, and every attempt would end so."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run for each job, and what becomes of its output.

    ``stdin``: the value, as JSON, is what the command reads. ``results``: the queue that gets what it writes,
    as text or, with ``json_results``, as the JSON value that it is. ``timeout`` and ``grace`` are in seconds.
    """

    queue: str
    words: Words
    url: str
    stdin: bool = False
    timeout: float | None = None
    results: str | None = None
    json_results: bool = False
    grace: float = GRACE
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)


class BadResult(Exception):
    """What a command wrote can't be its result."""


class Performer:
    """Performs jobs, from any thread, until it is told to give them back."""

    def __init__(self, plan: Plan, tally: Tally, board: Board) -> None:
        self._plan = plan
        self._tally = tally
        self._board = board
        self._lock = threading.Lock()
        self._processes: dict[Job, Process] = {}
        self._giving_back = False

    def perform(self, job: Job) -> None:
        """Run the job's command and settle the job.

        Raises:
            CannotStart: No command can be run; the job is given back.
        """
        self._tally.begun()
        try:
            self._perform(job)
        finally:
            self._tally.ended()

    def _perform(self, job: Job) -> None:
        try:
            process = self._start(job)
        except Unfit as error:
            self._failed(job, str(error))
            return
        except CannotStart:
            job.release()
            raise
        with process:
            self._settle(job, process, self._run(job, process))

    def give_back(self) -> None:
        """End the commands that run; their jobs, and any that come yet, go back to the queue."""
        with self._lock:
            self._giving_back = True
            processes = list(self._processes.values())
        for process in processes:
            process.end("given back")

    def lost(self, job: Job) -> None:
        """End the command of a job that another worker has by now: it would be done twice at once."""
        with self._lock:
            process = self._processes.get(job)
        if process is not None:
            process.end("its lease had ended")

    def _start(self, job: Job) -> Process:
        plan = self._plan
        try:
            return Process(
                plan.words.filled(job.value),
                env=environment(plan.env, queue=plan.queue, seq=job.seq, attempt=job.attempt, url=plan.url),
                stdin=compact(job.value).encode() if plan.stdin else None,
                timeout=plan.timeout,
                grace=plan.grace,
            )
        except CannotStart as error:
            if plan.words.program is None:
                raise Unfit(f"the value is not a command that can be run ({error})") from error
            raise

    def _run(self, job: Job, process: Process) -> End:
        with self._lock:
            self._processes[job] = process
            late = self._giving_back
        if late:
            process.end("given back")
        try:
            return process.wait()
        finally:
            with self._lock:
                del self._processes[job]

    def _settle(self, job: Job, process: Process, end: End) -> None:
        self._board.output(process.out if self._plan.results is None else None, process.err)
        if job.outcome == "lost":  # so the server said; by our own clock alone a success is still told
            self._board.note(f"{self._plan.queue} {job.seq}: its lease had ended; another worker gets it")
            job.release()
        elif end.good:
            self._done(job, process)
        elif self._giving_back and end.why == "given back":
            job.release()
            self._tally.gave_back()
        else:
            self._failed(job, error_text(end.why, process.err))

    def _done(self, job: Job, process: Process) -> None:
        try:
            results = self._results(process.out)
        except BadResult as bad:
            self._failed(job, error_text(str(bad), process.err))
            return
        job.ack(push=results)
        self._tally.good(job.seq)

    def _failed(self, job: Job, error: str) -> None:
        self._board.failed(job.seq, job.attempt, error)
        job.nack(error)
        self._tally.bad(job.seq)

    def _results(self, out: BinaryIO) -> list[Any]:
        from ..client.records import Result

        if self._plan.results is None:
            return []
        return [Result(self._plan.results, _result(out, as_json=self._plan.json_results))]


def _result(out: BinaryIO, *, as_json: bool) -> Any:
    """The value that was written: one JSON value, or a text, whose last line end is not part of it."""
    out.seek(0)
    written = out.read(RESULT_BYTES + 1)
    if len(written) > RESULT_BYTES:
        raise BadResult(f"its output is over {RESULT_BYTES:,} bytes")
    try:
        text = written.decode()
    except UnicodeDecodeError as error:
        raise BadResult("its output is not UTF-8") from error
    if not as_json:
        return text.removesuffix("\n")
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadResult(f"its output is not a JSON value: {error}") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
