"""``dibs loadtest``: many clients at once, then the checker's verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from .exits import HARNESS, INTERRUPTED, USAGE, fail
from .options import DEFAULT_URL, Url
from .token_option import Shown

if TYPE_CHECKING:
    from ..proof.load import Result
    from ..proof.plan import Plan
    from ..proof.progress import Watch

_CLUSTER_TIMEOUT: Final = 3.0
"""Seconds after which a client goes on to the next server, so that one that is stopped costs it no more."""
_OF_WORK: Final = {"clients": 16, "total": 20_000, "count": 50}


def loadtest(
    *,
    clients: Annotated[int | None, typer.Option("--clients", "-c", min=1, max=4096)] = None,
    total: Annotated[int | None, typer.Option("--total", "-n", min=1)] = None,
    count: Annotated[int | None, typer.Option(min=1, max=1_000_000)] = None,
    queue: Annotated[str | None, typer.Option(metavar="NAME")] = None,
    url: Url = DEFAULT_URL,
    keys: Annotated[bool, typer.Option("--keys/--no-keys")] = True,
    timeout: Annotated[float | None, typer.Option(min=0.01)] = None,
    patience: Annotated[float, typer.Option(min=0)] = 30.0,
    history: Annotated[Path | None, typer.Option(metavar="FILE", dir_okay=False)] = None,
    work: bool = False,
    crash: Annotated[float | None, typer.Option(min=0, max=0.9)] = None,
    ttl: Annotated[float | None, typer.Option(min=0.1, max=60)] = None,
    chaos: bool = False,
    rounds: Annotated[int | None, typer.Option(min=1)] = None,
    seed: int | None = None,
    cluster: bool = False,
    servers: Annotated[int | None, typer.Option(min=2, max=16)] = None,
    data: Annotated[str | None, typer.Option(metavar="URL")] = None,
) -> None:
    """Prove the promise: many clients take items at once, and a checker judges the answers.

    Exit code 0 only if nothing was handed out twice, skipped, out of order or unexplained; 1 for a
    violation; 3 if the test itself failed or proved nothing; 130 after Ctrl-C, with a verdict until then.
    With --work: 0 only if nothing is lost, no item had two owners at once, none was handed out after its
    ack, and no token outlived its lease. Items that were handed out again are counted, with the reason.
    If others use the queue meanwhile, missing items can't be told from theirs; the verdict says so.

    Args:
        clients: Number of clients.  [default: 64; 16 with --work]
        total: Items in total.  [default: 100000; 20000 with --work]
        count: Items per request.  [default: 1; 50 with --work]
        queue: An existing queue.  [default: a new one, deleted afterwards]
        keys: Send an Idempotency-Key. Without one the items of a lost reply stay unexplained.
        timeout: Seconds until a request times out.  [default: 10; 3 with --cluster]
        patience: Seconds that a client goes on trying without any answer.
        history: File for the history, for `dibs verify`.
        work: Producers push to a queue of the test's own; the clients lease, settle, fail and crash.
        crash: With --work: share of the leases that a crashing consumer forgets.  [default: 0.05]
        ttl: With --work: how many seconds a lease lasts.  [default: 1.5]
        chaos: Use a server of its own, which is killed with SIGKILL, --rounds times; no --total, no --url.
        rounds: With --chaos: number of kills, or of faults of a cluster.  [default: 50; 35 with --cluster]
        seed: Seed of the random choices of --chaos and --work.  [default: random, shown]
        cluster: With --chaos: several servers on a PostgreSQL of the test's own, killed and stopped in turn.
            Without: several servers are behind --url, and which one of them owns may change.
        servers: With --chaos --cluster: number of servers.  [default: 3]
        data: With --chaos --cluster: a database to use, 'postgresql://…', whose server is left in peace.

    Example: `dibs loadtest --clients 64`, `dibs loadtest --work`, `dibs loadtest --chaos --cluster`
    """
    _check_own(chaos, work, fits=queue is None and keys)
    _only_with("--work", work, crash=crash, ttl=ttl)
    _only_with("--chaos", chaos, rounds=rounds)
    _only_with("--chaos --cluster", chaos and cluster, servers=servers, data=data)
    seed = _any_seed() if seed is None else seed
    jobs = _given(crash=crash, ttl=ttl, seed=seed) if work else None
    given = _given(clients=clients, total=total, count=count, timeout=timeout, queue=queue)
    plan = _plan(jobs, given, url=url, several=cluster, keys=keys, patience=patience)
    _test(plan, history, _given(seed=seed, rounds=rounds, servers=servers, data=data) if chaos else None)


def _check_own(chaos: bool, work: bool, *, fits: bool) -> None:
    """Refuse what a test with a queue of its own can't do."""
    if (chaos or work) and not fits:
        kind = "--chaos" if chaos else "--work"
        fail(f"option {kind}: it has its own queue and needs keys; leave out --queue and --no-keys", USAGE)


def _only_with(kind: str, given: bool, **options: Any) -> None:
    """Refuse options that only another one, which is not ``given``, makes use of."""
    if not given and _given(**options):
        fail(f"option --{next(iter(_given(**options)))}: it is for {kind}", USAGE)


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given: the plan has the defaults of the others."""
    return {name: value for name, value in options.items() if value is not None}


def _any_seed() -> int:
    from random import SystemRandom

    return SystemRandom().randrange(10**6)


def _plan(of_work: dict[str, Any] | None, given: dict[str, Any], **options: Any) -> Plan:
    from ..proof.plan import Jobs, Plan

    sizes = (
        ({"timeout": _CLUSTER_TIMEOUT} if options["several"] else {}) | (_OF_WORK if of_work else {}) | given
    )
    jobs = None if of_work is None else Jobs(max(1, sizes["clients"] // 4), **of_work)
    return Plan(jobs=jobs, token=Shown.token, **sizes, **options)


def _run(plan: Plan, history: Path | None, faults: dict[str, Any] | None, watch: Watch) -> Result:
    """Run the test that was asked for; ``faults`` None: without any."""
    if faults is None:
        from ..proof.load import run_load

        return run_load(plan, watch, history=history)
    if plan.several:
        from ..proof.cluster import ClusterChaos, run_cluster

        return run_cluster(plan, ClusterChaos(**faults), watch, history=history)
    from ..proof.chaos import Chaos, run_chaos

    return run_chaos(plan, Chaos(**faults), watch, history=history)


def _test(plan: Plan, history: Path | None, faults: dict[str, Any] | None) -> NoReturn:
    from ..proof.errors import HarnessFault
    from ..proof.progress import Watch
    from ..proof.summary import show_result
    from .console import console
    from .terminable import terminable

    out = console(width=140)
    try:
        with terminable():
            result = _run(plan, history, faults, Watch(out))
    except HarnessFault as fault:
        fail(str(fault), HARNESS)
    except BrokenPipeError:  # it is the output that nobody reads
        raise
    except OSError as error:
        fail(f"the history can't be written: {error}", HARNESS)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    show_result(result, out)
    raise typer.Exit(result.exit_code)
