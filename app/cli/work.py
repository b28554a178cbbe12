"""``dibs work``: xargs over the network."""

from __future__ import annotations

import logging
import os
import shutil
from typing import TYPE_CHECKING, Annotated, Final

import typer

from .exits import CANNOT_RUN, NO_COMMAND, OK, UNWRITTEN, USAGE, fail, say
from .options import Queue, Url

if TYPE_CHECKING:
    from .http import Api
    from .work_job import Plan

_MAX_TTL: Final = 43_200
_MAX_DELAY: Final = 2_592_000
PATIENCE: Final = 60.0
"""Seconds for which a server that is gone is waited for."""
GRACE: Final = 5.0
"""Seconds for giving jobs back."""


Command = Annotated[
    list[str],
    typer.Argument(
        metavar="COMMAND",
        help="The command to run, after --. In each word, {} is replaced by the value, {.} by the value"
        " without its extension, {/} by its file name, {//} by its folder, {/.} by its file name without"
        " extension, {#} by its seq. Without any of these the value comes last.",
    ),
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, max=1024, help="Commands at the same time.")]
Stdin = Annotated[bool, typer.Option("--stdin", help="The command reads the value, as JSON, from its stdin.")]
Timeout = Annotated[
    float | None,
    typer.Option(min=0.001, help="Seconds after which a command is ended; its job fails.  [default: none]"),
]
Results = Annotated[
    str | None,
    typer.Option(metavar="QUEUE", help="Push the output of a command to QUEUE, together with its ack."),
]
JsonResults = Annotated[
    bool, typer.Option("--json-results", help="With --results: the output is a JSON value, not a text.")
]
Create = Annotated[
    bool, typer.Option("--create", help="Create the queue, and that of --results, if they do not exist.")
]
ExitWhenEmpty = Annotated[
    bool, typer.Option("--exit-when-empty", help="Stop when no item waits and no worker has one.")
]
Max = Annotated[
    int | None, typer.Option("--max", metavar="N", min=1, help="Stop after N jobs.  [default: never]")
]
MaxAttempts = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, help="A job is dead when its Nth attempt fails.  [default: the queue's setting]"
    ),
]
Backoff = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=_MAX_DELAY,
        help="Seconds until a failed job is tried again; doubled each time, up to an hour.  [default: the"
        " queue's setting]",
    ),
]
NoRetry = Annotated[
    list[int] | None,
    typer.Option(
        metavar="CODE",
        min=1,
        max=255,
        help="An exit code after which a job is dead at once, without another attempt; repeatable.",
    ),
]
Halt = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Stop when N jobs in a row have failed.  [default: never]"),
]
Ttl = Annotated[
    float,
    typer.Option(
        min=1, max=_MAX_TTL, help="Seconds after which other workers get the jobs of one that died."
    ),
]


def work(
    queue: Queue,
    command: Command,
    *,
    jobs: Jobs = 1,
    stdin: Stdin = False,
    timeout: Timeout = None,
    results: Results = None,
    json_results: JsonResults = False,
    create: Create = False,
    exit_when_empty: ExitWhenEmpty = False,
    most: Max = None,
    max_attempts: MaxAttempts = None,
    backoff: Backoff = None,
    no_retry: NoRetry = None,
    halt: Halt = None,
    ttl: Ttl = 30,
    url: Url = None,
) -> None:
    """Run a command for each item of a queue: xargs over the network.

    A job is done when its command exits with 0. Otherwise it is tried again later, here or elsewhere, and the
    tail of stderr is kept with it. DIBS_SEQ, DIBS_ATTEMPT and DIBS_QUEUE tell the command which job it has.
    The command runs without a shell; to have one, say -- sh -c '… "$1" …' sh {}. The output of a command is
    shown when its job is settled; if it can't be written, the job is done all the same.

    Ctrl-C finishes the running jobs; a second Ctrl-C, or SIGTERM, gives them back. The worker ends by itself
    when the queue is closed or its source has ended, and all is done. Exit code 0: all jobs are done; 8: some
    failed; 9: done, but some output could not be written; 126: the command can't be run; 127: there is none.

    Example: dibs work jobs -j 8 -- convert {} -resize 50% small/{/}
    """
    from .http import Api, checked
    from .work_command import CommandTemplate
    from .work_job import Plan, Retries

    if json_results and results is None:
        fail("option --json-results: it needs --results", USAGE)
    words = CommandTemplate(command, append=not stdin)
    _runnable(words.program)
    plan = Plan(
        queue=queue,
        words=words,
        url=checked(url),
        stdin=stdin,
        timeout=timeout,
        results=results,
        json_results=json_results,
        retries=Retries(max_attempts, backoff, frozenset(no_retry or ()), halt),
    )
    with Api(url, patience=PATIENCE, on_wait=say) as api:
        _look(api, plan, create=create)
    raise typer.Exit(_work(plan, jobs, most, ttl, until_empty=exit_when_empty))


def _runnable(program: str | None) -> None:
    """Refuse a command that can't be run before any item is leased for it."""
    if program is None or shutil.which(program) is not None:
        return
    if "/" in program and os.path.exists(program):
        fail(f"can't run {program}: it is not executable", CANNOT_RUN)
    fail(f"can't run {program}: there is no such command", NO_COMMAND)


def _look(api: Api, plan: Plan, *, create: bool) -> None:
    """Refuse a queue that can't be worked on, or one that can't take the results, before any command runs."""
    from .changes import create_queue, existing

    most = plan.retries.most
    if create:
        create_queue(api, plan.queue, {} if most is None else {"max_attempts": most})
        if plan.results is not None:
            create_queue(api, plan.results)
    allowed = existing(api, plan.queue)["settings"]["max_attempts"]
    if most is not None and allowed is not None and most > allowed:
        fail(
            f"option --max-attempts {most}: {plan.queue} gives an item {allowed} attempts;"
            f" `dibs set {plan.queue} max_attempts={most}` changes that",
            USAGE,
        )
    if plan.results is None:
        return
    info = existing(api, plan.results)
    if info["source"] is not None:
        fail(f"option --results {plan.results}: a source feeds that queue, so nothing can be pushed to it")
    if info["state"] == "closed":
        fail(f"option --results {plan.results}: that queue is closed")


def _work(plan: Plan, jobs: int, most: int | None, ttl: float, *, until_empty: bool) -> int:
    from ..client import Client
    from .work_children import Children, is_first
    from .work_counts import JobCounts
    from .work_display import Display
    from .work_job import JobRunner
    from .work_loop import Emptiness, Stops, leave, run, settle, verdict
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
        emptiness = Emptiness(queue.info, job_counts, writer.display, threads.drain)
        if until_empty:
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
