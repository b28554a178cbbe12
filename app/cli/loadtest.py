"""``dibs loadtest``: many clients at once, then the checker's verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from .exits import HARNESS, INTERRUPTED, USAGE, fail
from .options import DEFAULT_URL, Url
from .token_option import Shown

if TYPE_CHECKING:
    from ..proof.plan import Plan

_OF_WORK: Final = {"clients": 16, "total": 20_000, "count": 50}


def loadtest(
    *,
    clients: Annotated[int | None, typer.Option("--clients", "-c", min=1, max=4096)] = None,
    total: Annotated[int | None, typer.Option("--total", "-n", min=1)] = None,
    count: Annotated[int | None, typer.Option(min=1, max=1_000_000)] = None,
    queue: Annotated[str | None, typer.Option(metavar="NAME")] = None,
    url: Url = DEFAULT_URL,
    keys: Annotated[bool, typer.Option("--keys/--no-keys")] = True,
    timeout: Annotated[float, typer.Option(min=0.01)] = 10.0,
    patience: Annotated[float, typer.Option(min=0)] = 30.0,
    history: Annotated[Path | None, typer.Option(metavar="FILE", dir_okay=False)] = None,
    work: bool = False,
    crash: Annotated[float | None, typer.Option(min=0, max=0.9)] = None,
    ttl: Annotated[float | None, typer.Option(min=0.1, max=60)] = None,
    chaos: bool = False,
    rounds: Annotated[int | None, typer.Option(min=1)] = None,
    seed: int | None = None,
) -> None:
    """Prove the promise: many clients take items at once, and a checker judges the answers.

    Exit code 0 only if nothing was handed out twice, skipped, out of order or unexplained; 1 for a
    violation; 3 if the test itself failed or proved nothing; 130 after Ctrl-C, with a verdict on the answers
    until then.

    With --work: 0 only if nothing is lost, no item had two owners at once, none was handed out after its
    ack, and no token outlived its lease. Items that were handed out again are counted, with the reason.

    If others use the queue meanwhile, missing items can't be told from theirs; the verdict says so.

    Args:
        clients: Number of clients.  [default: 64; 16 with --work]
        total: Items in total.  [default: 100000; 20000 with --work]
        count: Items per request.  [default: 1; 50 with --work]
        queue: An existing queue.  [default: a new one, deleted afterwards]
        keys: Send an Idempotency-Key, so that a client can ask for a lost reply again. Without a key the
            items of a lost reply stay unexplained.
        timeout: Seconds until a request times out.
        patience: Seconds that a client goes on trying without any answer.
        history: File for the history, for `dibs verify`.
        work: Producers push to a queue of the test's own; the clients lease, settle, fail and crash.
        crash: With --work: share of the leases that a crashing consumer forgets.  [default: 0.05]
        ttl: With --work: how many seconds a lease lasts.  [default: 1.5]
        chaos: Start a server of its own, kill it with SIGKILL at random moments, start it again. The load
            lasts as long as the rounds; --total and --url are ignored.
        rounds: With --chaos: how often the server is killed.  [default: 50]
        seed: Seed of the random choices of --chaos and --work.  [default: random, shown]

    Example: `dibs loadtest --clients 64 --total 100000`, `dibs loadtest --chaos --rounds 50`,
    `dibs loadtest --work --crash 0.05`
    """
    if (chaos or work) and (queue is not None or not keys):
        kind = "--chaos" if chaos else "--work"
        fail(f"option {kind}: it has its own queue and needs keys; leave out --queue and --no-keys", USAGE)
    _only_with("--work", work, crash=crash, ttl=ttl)
    _only_with("--chaos", chaos, rounds=rounds)
    seed = _any_seed() if seed is None else seed
    sizes = (_OF_WORK if work else {}) | _given(clients=clients, total=total, count=count)
    of_work = _given(crash=crash, ttl=ttl, seed=seed) if work else None
    plan = _plan(of_work, sizes, url=url, queue=queue, keys=keys, timeout=timeout, patience=patience)
    _test(plan, history, (rounds or 50) if chaos else 0, seed)


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


def _plan(of_work: dict[str, Any] | None, sizes: dict[str, Any], **options: Any) -> Plan:
    from ..proof.plan import Jobs, Plan

    jobs = None if of_work is None else Jobs(max(1, sizes["clients"] // 4), **of_work)
    return Plan(jobs=jobs, token=Shown.token, **sizes, **options)


def _test(plan: Plan, history: Path | None, rounds: int, seed: int) -> None:
    from ..proof.chaos import Chaos, run_chaos
    from ..proof.errors import HarnessFault
    from ..proof.load import run_load
    from ..proof.progress import Watch
    from ..proof.summary import show_result
    from .console import console

    out = console(width=140)
    try:
        if rounds:
            result = run_chaos(plan, Chaos(rounds, seed), Watch(out), history=history)
        else:
            result = run_load(plan, Watch(out), history=history)
    except HarnessFault as fault:
        fail(str(fault), HARNESS)
    except OSError as error:
        fail(f"the history can't be written: {error}", HARNESS)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    show_result(result, out)
    raise typer.Exit(result.exit_code)
