"""``dibs verify``: the checker on its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..proof.kinds import Damage, Kind, damages
from .exits import HARNESS, fail
from .options import Json

if TYPE_CHECKING:
    from ..proof.verdict import Verdict

_Plant = Annotated[
    Damage | None,
    typer.Option(
        metavar="NAME",
        help="Damage the history in memory first; the checker must find it, so the exit code is 1. Takes:"
        f" {damages(Kind.TAKES)}; work: {damages(Kind.WORK)}.",
    ),
]


def verify(
    history: Path,
    *,
    plant: _Plant = None,
    seed: int = 0,
    examples: Annotated[int, typer.Option(min=0)] = 5,
    json: Json = False,
) -> None:
    """Check a history of takes (duplicates, skipped, reordered in real time, unexplained) or of work.

    In a history of work it looks for items that were lost, had two owners at once, or were handed out after
    their ack, for tokens that outlived their lease, and for wrong values, attempts and pushes.

    Exit code 0 if the history is clean, 1 for a violation, 3 if it can't be read, judged or damaged.

    Args:
        history: The file that `dibs loadtest --history` wrote.
        seed: Seed that decides where --plant does damage.
        examples: How many cases of each kind to show.

    Example: `dibs verify h.jsonl`, `dibs verify h.jsonl --plant duplicate` (of work: `--plant lost`)
    """
    from ..proof.errors import ProofError

    try:
        verdict, told = _judged(history, plant, seed, examples)
    except ProofError as error:
        fail(f"{history}: {error}", HARNESS)
    except OSError as error:
        fail(f"{history}: {error.strerror or error}", HARNESS)
    _show(verdict, told, json=json)
    if plant is not None and not verdict.columns[plant.column]:
        fail(f"planted {plant}, and the checker missed it: do not trust it", HARNESS)
    raise typer.Exit(verdict.exit_code)


def _judged(history: Path, damage: Damage | None, seed: int, examples: int) -> tuple[Verdict, str]:
    """The verdict, and the damage that was planted before."""
    from random import Random

    from ..proof.checker import judge
    from ..proof.history import read_history
    from ..proof.plant import plant

    found, told = read_history(history), ""
    if damage is not None:
        found, told = plant(found, damage, Random(seed))  # noqa: S311  # repeatable, not secret
        told = f"Planted {damage}: {told}."
    return judge(found, examples=examples), told


def _show(verdict: Verdict, told: str, *, json: bool) -> None:
    from ..proof.report import rendered
    from .console import console
    from .output import print_json

    if json:
        print_json(verdict.as_json() | ({"planted": told} if told else {}))
        return
    out = console(width=140)
    if told:
        out.print(told, markup=False, soft_wrap=True)
    out.print(rendered(verdict))
