"""One job: run its command, and settle it by how that ended."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Final

from ..client import Job
from ..client.errors import ValueNotJson
from ..client.records import Result
from .json_value import NotJson, json_value
from .words import compact
from .work_children import Children
from .work_command import environment
from .work_counts import JobCounts
from .work_plan import Plan
from .work_process import Busy, CannotStart, End, Process, Unfit, error_text
from .work_signals import Stops
from .work_writer import Writer

RESULT_BYTES: Final = 256 * 1024
"""A longer result would be refused by the server, and every attempt would end so."""
LIKELY: Final = 1.0
"""Seconds for a signal to come here, too, after a command has ended as one ends that was told to."""
UNLIKELY: Final = 0.05
"""The same where it just failed."""
ROOM: Final = 0.2
"""Seconds between two tries to start a command where the system has no room for one."""
TRIES: Final = 50
"""Tries after which the job goes back, as there may be room elsewhere."""
LEASE_ENDED: Final = "its lease had ended"


class BadResult(Exception):
    """The output of a command can't be its result."""


class Halted(Exception):
    """Too many jobs in a row have failed."""


class JobRunner:
    """Runs jobs, from any thread, until it is told to give them back.

    A job is settled before its output is shown: if that can't be written, the job is done all the same.
    """

    def __init__(
        self,
        plan: Plan,
        job_counts: JobCounts,
        writer: Writer,
        *,
        children: Children,
        stops: Stops,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._plan = plan
        self._job_counts = job_counts
        self._writer = writer
        self._children = children
        self._stops = stops
        self._lock = threading.Lock()
        self._processes: dict[Job, Process] = {}
        self._giving_back = False
        self._leave = threading.Event()
        self._wait = wait or self._leave.wait

    def run_job(self, job: Job) -> None:
        """Run the job's command and settle the job.

        Raises:
            CannotStart: No command can be run; the job is given back.
            Halted: This was one failure too many in a row.
        """
        self._job_counts.begun()
        try:
            self._run_job(job)
        finally:
            self._job_counts.ended()

    def _run_job(self, job: Job) -> None:
        try:
            process = self._start(job)
        except Unfit as error:
            self._writer.note(self._failed(job, str(error)))
            self._look_at_row()
            return
        except CannotStart:
            job.release()
            raise
        if process is None:
            job.release()
            return
        with process:
            end = self._run(job, process)
            remark = self._settle(job, process, end)
            self._writer.output(process.out if self._plan.results is None else None, process.err, remark)
        self._look_at_row()

    def give_back(self) -> None:
        """End the commands that run; their jobs, and any that come yet, go back to the queue."""
        with self._lock:
            self._giving_back = True
            processes = list(self._processes.values())
        self._leave.set()
        for process in processes:
            process.end("given back")

    def lost(self, job: Job) -> None:
        """End the command of a job whose lease has ended: another worker may run it by now."""
        with self._lock:
            process = self._processes.get(job)
        if process is not None:
            process.end(LEASE_ENDED)

    def refused(self, job: Job, error: Exception) -> Mapping[str, Any]:
        """Count a job as failed whose result the server did not take; return the arguments of its nack."""
        self._job_counts.bad(job.seq)
        self._writer.note(f"{self._plan.queue} {job.seq}, attempt {job.attempt}: {error}")
        return self._plan.retries.terms(job.attempt, None)

    def _start(self, job: Job) -> Process | None:
        """Start a job's command; None if there was no room for it in time, or it is not wanted."""
        for tried in range(TRIES):
            try:
                return self._started(job)
            except Busy as busy:
                if not tried:
                    self._writer.held_up(ROOM, f"no room for another command ({busy})")
            self._wait(ROOM)
            if self._giving_back or job.outcome == "lost":
                return None
        return None

    def _started(self, job: Job) -> Process:
        plan = self._plan
        try:
            return Process(
                plan.words.filled(job.value, job.seq),
                self._children,
                env=environment(
                    os.environ,
                    queue=plan.queue,
                    seq=job.seq,
                    attempt=job.attempt,
                    url=plan.url,
                    traceparent=job.traceparent,
                ),
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
        elif job.outcome == "lost":  # it was told while the command started, when nobody could end it yet
            process.end(LEASE_ENDED)
        try:
            return process.wait()
        finally:
            with self._lock:
                del self._processes[job]

    def _settle(self, job: Job, process: Process, end: End) -> str:
        """Settle a job; return a remark to show."""
        if job.outcome == "lost":  # so the server said; by our own clock alone a success is still told
            job.release()
            return f"{self._plan.queue} {job.seq}: its lease had ended; another worker gets it"
        if end.good:
            return self._done(job, process)
        if self._ended_with_us(end):
            job.release()
            self._job_counts.gave_back()
            return ""
        return self._failed(job, error_text(end.why, process.err), end.status)

    def _ended_with_us(self, end: End) -> bool:
        """Whether the command was ended because this process ends, by us or by the one that ends us."""
        if end.status is None:  # we have ended it
            return self._giving_back and end.why == "given back"
        if end.told:
            return self._stops.follows(LIKELY, at_once=False)
        return self._stops.follows(UNLIKELY, at_once=True)

    def _done(self, job: Job, process: Process) -> str:
        try:
            job.ack(push=self._results(process.out))
        except (BadResult, ValueNotJson) as bad:
            return self._failed(job, error_text(f"its output can't be a result: {bad}", process.err))
        self._job_counts.good(job.seq)
        return ""

    def _failed(self, job: Job, error: str, status: int | None = None) -> str:
        """Settle a job that failed; return a remark to show."""
        job.nack(error, **self._plan.retries.terms(job.attempt, status))
        self._job_counts.bad(job.seq)
        return f"{self._plan.queue} {job.seq}, attempt {job.attempt}: {error.partition(chr(10))[0]}"

    def _look_at_row(self) -> None:
        most = self._plan.retries.halt
        if most is not None and self._job_counts.row >= most:
            raise Halted(f"halted, as {most:,} {'job has' if most == 1 else 'jobs in a row have'} failed")

    def _results(self, out: BinaryIO) -> list[Any]:
        if self._plan.results is None:
            return []
        return [Result(self._plan.results, _result(out, as_json=self._plan.json_results))]


def _result(out: BinaryIO, *, as_json: bool) -> Any:
    """The result in a command's output: one JSON value, or a text without its last line end."""
    out.seek(0)
    written = out.read(RESULT_BYTES + 1)
    if len(written) > RESULT_BYTES:
        raise BadResult(f"it is over {RESULT_BYTES:,} bytes")
    try:
        text = written.decode()
    except UnicodeDecodeError as error:
        raise BadResult("it is not UTF-8") from error
    if not as_json:
        return text.removesuffix("\n")
    try:
        return json_value(text)
    except NotJson as error:
        raise BadResult(f"it {error}") from error
