"""``dibs work``: xargs over the network."""

from __future__ import annotations

import logging
import os
import shutil
from typing import Annotated, Final

import typer

from .exits import CANNOT_RUN, NO_COMMAND, OK, UNWRITTEN, USAGE, fail
from .options import DEFAULT_URL, MAX_DELAY, Queue, Url
from .work_command import CommandTemplate
from .work_plan import Plan, Retries

_MAX_TTL: Final = 43_200
GRACE: Final = 5.0
"""Seconds for giving jobs back."""


def work(
    queue: Queue,
    command: Annotated[list[str], typer.Argument(metavar="COMMAND")],
    *,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, max=1024)] = 1,
    stdin: bool = False,
    timeout: Annotated[float | None, typer.Option(min=0.001)] = None,
    results: Annotated[str | None, typer.Option(metavar="QUEUE")] = None,
    json_results: bool = False,
    create: bool = False,
    exit_when_empty: bool = False,
    most: Annotated[int | None, typer.Option("--max", metavar="N", min=1)] = None,
    max_attempts: Annotated[int | None, typer.Option(metavar="N", min=1)] = None,
    backoff: Annotated[float | None, typer.Option(min=0, max=MAX_DELAY)] = None,
    no_retry: Annotated[list[int] | None, typer.Option(metavar="CODE", min=1, max=255)] = None,
    halt: Annotated[int | None, typer.Option(metavar="N", min=1)] = None,
    ttl: Annotated[float, typer.Option(min=1, max=_MAX_TTL)] = 30,
    url: Url = DEFAULT_URL,
) -> None:
    """Run a command for each item of a queue: xargs over the network.

    A job is done when its command exits with 0. Otherwise it is tried again later, here or elsewhere, and the
    tail of stderr is kept with it. DIBS_SEQ, DIBS_ATTEMPT and DIBS_QUEUE tell the command which job it has.
    The command runs without a shell; to have one, say -- sh -c '… "$1" …' sh {}. The output of a command is
    shown when its job is settled; if it can't be written, the job is done all the same.

    Ctrl-C finishes the running jobs; a second Ctrl-C, or SIGTERM, gives them back. The worker ends by itself
    when the queue is closed or its source has ended, and all is done. Exit code 0: all jobs are done; 8: some
    failed; 9: done, but some output could not be written; 126: the command can't be run; 127: there is none.

    Args:
        command: The command to run, after --. In each word, {} is replaced by the value, {.} by the value
            without its extension, {/} by its file name, {//} by its folder, {/.} by its file name without
            extension, {#} by its seq. Without any of these the value comes last.
        jobs: Commands at the same time.
        stdin: The command reads the value, as JSON, from its stdin.
        timeout: Seconds after which a command is ended; its job fails.  [default: none]
        results: Push the output of a command to QUEUE, together with its ack.
        json_results: With --results: the output is a JSON value, not a text.
        create: Create the queue, and that of --results, if they do not exist.
        exit_when_empty: Stop when no item waits and no worker has one.
        most: Stop after N jobs.  [default: never]
        max_attempts: A job is dead when its Nth attempt fails.  [default: the queue's setting]
        backoff: Seconds until a failed job is tried again; doubled each time, up to an hour.  [default: the
            queue's setting]
        no_retry: An exit code after which a job is dead at once, without another attempt; repeatable.
        halt: Stop when N jobs in a row have failed.  [default: never]
        ttl: Seconds after which other workers get the jobs of one that died.

    Example: dibs work jobs -j 8 -- convert {} -resize 50% small/{/}
    """
    if json_results and results is None:
        fail("option --json-results: it needs --results", USAGE)
    words = CommandTemplate(command, append=not stdin)
    _runnable(words.program)
    retries = Retries(max_attempts, backoff, frozenset(no_retry or ()), halt)
    plan = Plan(queue, words, url, stdin, timeout, results, json_results, retries)
    _look(plan, create=create)
    raise typer.Exit(_work(plan, jobs, most, ttl, until_empty=exit_when_empty))


def _runnable(program: str | None) -> None:
    """Refuse a command that can't be run before any item is leased for it."""
    if program is None or shutil.which(program) is not None:
        return
    if "/" in program and os.path.exists(program):
        fail(f"can't run {program}: it is not executable", CANNOT_RUN)
    fail(f"can't run {program}: there is no such command", NO_COMMAND)


def _look(plan: Plan, *, create: bool) -> None:
    """Refuse a queue that can't be worked on, or one that can't take the results, before any command runs."""
    from .http import PATIENCE, Api

    most = plan.retries.most
    settings = {} if most is None else {"max_attempts": most}
    with Api(plan.url, patience=PATIENCE) as api:
        allowed = api.existing(plan.queue, create=create, **settings)["settings"]["max_attempts"]
        results = None if plan.results is None else api.existing(plan.results, create=create)
    if most is not None and allowed is not None and most > allowed:
        fail(
            f"option --max-attempts {most}: {plan.queue} gives an item {allowed} attempts;"
            f" `dibs set {plan.queue} max_attempts={most}` changes that",
            USAGE,
        )
    if results is not None and results["source"] is not None:
        fail(f"option --results {plan.results}: a source feeds that queue, so nothing can be pushed to it")
    if results is not None and results["state"] == "closed":
        fail(f"option --results {plan.results}: that queue is closed")


def _work(plan: Plan, jobs: int, most: int | None, ttl: float, *, until_empty: bool) -> int:
    from ..client import Client
    from .http import PATIENCE
    from .work_children import Children, is_first
    from .work_counts import JobCounts
    from .work_display import Display
    from .work_job import JobRunner
    from .work_loop import Emptiness, leave, run, settle, verdict
    from .work_signals import Stops
    from .work_threads import JobThreads
    from .work_writer import Writer

    logging.getLogger("dibs.client").addHandler(logging.NullHandler())  # the display tells it
    job_counts, stops = JobCounts(), Stops()
    writer = Writer(Display(plan.queue, job_counts, url=plan.url))
    with (
        stops.heard(),
        Children() as children,
        Client(plan.url, patience=PATIENCE, on_wait=writer.held_up) as client,
    ):
        client.reached()  # by the look at the queue: it is waited for from now on
        runner = JobRunner(plan, job_counts, writer, children=children, stops=stops)
        queue = client.queue(plan.queue)
        leases = queue.lease(ttl=ttl, prefetch=0, in_hand=jobs, on_lost=runner.lost, grace=GRACE)
        leases.on_refused(runner.refused)
        job_counts.counts = leases.counts
        threads = JobThreads(leases, runner, jobs, stops=stops, most=most)
        then = threads.drain if until_empty else None
        emptiness = Emptiness(queue.info, job_counts, writer.display, then)
        emptiness.start()
        try:
            run(threads, job_counts, writer, stops, *([children.reap_orphans] if is_first() else []))
        finally:
            emptiness.stop()
            settled = settle(leases.flush, writer, stops, PATIENCE)
            leases.close()
            writer.summary()
        sentence, code = verdict(job_counts, threads.fault, stops, settled=settled)
        written = leave(writer, stops, sentence)
    return code if written or code != OK else UNWRITTEN
