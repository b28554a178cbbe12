"""``dibs loadtest``: many clients at once, then the checker's verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from app.cli.exits import HARNESS, USAGE, fail
from app.cli.options import DEFAULT_URL, Url

if TYPE_CHECKING:
    from app.proof.clients import Plan
    from app.proof.load import Result
    from app.proof.progress import Watch

EXAMPLE: Final = "Example: dibs loadtest --clients 64 --total 100000 · dibs loadtest --chaos --rounds 50"
_INTERRUPTED: Final = 130


def loadtest(
    *,
    clients: Annotated[int, typer.Option("--clients", "-c", min=1, max=4096, help="Threads that ask.")] = 64,
    total: Annotated[
        int, typer.Option("--total", "-n", min=1, help="Items to ask for, all in all.")
    ] = 100_000,
    count: Annotated[int, typer.Option(min=1, max=1_000_000, help="Items of one request.")] = 1,
    queue: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A queue that exists.  [default: a new one, deleted afterwards]"),
    ] = None,
    url: Url = None,
    keys: Annotated[
        bool,
        typer.Option(
            "--keys/--no-keys",
            help="Send an Idempotency-Key, so that a lost reply can be asked for again. Without, it stays"
            " unexplained.",
        ),
    ] = True,
    timeout: Annotated[float, typer.Option(min=0.01, help="Seconds for one request.")] = 10.0,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds that a client goes on without an answer.")
    ] = 30.0,
    history: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Keep the history, for `dibs verify`.")
    ] = None,
    chaos: Annotated[
        bool,
        typer.Option(
            "--chaos",
            help="Start a server of its own, kill it with SIGKILL at random moments, start it again. The load"
            " lasts as long as the rounds; --total and --url don't count.",
        ),
    ] = False,
    rounds: Annotated[int, typer.Option(min=1, help="Kills, with --chaos.")] = 50,
    seed: Annotated[
        int | None, typer.Option(help="Decides the moments, with --chaos.  [default: drawn and shown]")
    ] = None,
) -> None:
    """Prove the promise: many clients take items at once, and the checker judges what they got.

    Exit code 0 only if nothing was handed out twice, skipped, out of order or unexplained; 1 for a
    violation; 3 for a fault of the test or where nothing is proved; 130 after Ctrl-C, with a verdict on
    what there is.

    On a queue that others use meanwhile, missing items can't be told from theirs: the verdict says so.
    """
    from rich.console import Console

    from app.proof.clients import Plan
    from app.proof.errors import HarnessFault
    from app.proof.progress import watch_on
    from app.proof.summary import show_result

    if chaos and (queue is not None or not keys):
        fail("option --chaos: it has its own queue and needs keys; leave out --queue and --no-keys", USAGE)
    plan = Plan(
        url=(url or DEFAULT_URL).rstrip("/"),
        queue=queue,
        clients=clients,
        total=total,
        count=count,
        keys=keys,
        timeout=timeout,
        patience=patience,
    )
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=140)
    try:
        result = _run(plan, watch_on(console), history, rounds if chaos else 0, seed)
    except HarnessFault as fault:
        fail(str(fault), HARNESS)
    except OSError as error:
        fail(f"the history can't be written: {error}", HARNESS)
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None
    show_result(result, console)
    raise typer.Exit(result.exit_code)


def _run(plan: Plan, watch: Watch, history: Path | None, rounds: int, seed: int | None) -> Result:
    from random import SystemRandom

    from app.proof.chaos import Chaos, run_chaos
    from app.proof.load import run_load

    if not rounds:
        return run_load(plan, watch, history=history)
    drawn = SystemRandom().randrange(10**6) if seed is None else seed
    return run_chaos(plan, Chaos(rounds, drawn), watch, history=history)
