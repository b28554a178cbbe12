"""``dibs verify``: the checker on its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ..proof.plant import Damage
from ..proof.work.rules import WorkColumn
from .exits import HARNESS, fail
from .options import Json

if TYPE_CHECKING:
    from ..proof.histories import AnyReader, AnyVerdict

EXAMPLE: Final = "Example: dibs verify h.jsonl · dibs verify h.jsonl --plant duplicate (of work: lost)"

_OF_WORK: Final = [damage for damage in Damage if isinstance(damage.column, WorkColumn)]
_OF_TAKES: Final = [damage for damage in Damage if damage not in _OF_WORK]


def verify(
    history: Annotated[Path, typer.Argument(help="The file that `dibs loadtest --history` wrote.")],
    *,
    plant: Annotated[
        Damage | None,
        typer.Option(
            metavar="NAME",
            help="Damage the history in memory first; the checker must find it, so the exit code is 1. Takes:"
            f" {', '.join(_OF_TAKES)}; work: {', '.join(_OF_WORK)}.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed that decides where --plant does damage.")] = 0,
    examples: Annotated[int, typer.Option(min=0, help="How many cases of each kind to show.")] = 5,
    json: Json = False,
) -> None:
    """Check a history of takes (duplicates, skipped, reordered in real time, unexplained) or of work.

    In a history of work it looks for items that were lost, had two owners at once, or were handed out after
    their ack, for tokens that outlived their lease, and for wrong values, attempts and pushes.

    Exit code 0 if the history is clean, 1 for a violation, 3 if it can't be read, judged or damaged.
    """
    from ..proof.errors import ProofError

    try:
        verdict, told = _judged(history, plant, seed, examples)
    except ProofError as error:
        fail(f"{history}: {error}", HARNESS)
    except OSError as error:
        fail(f"{history}: {error.strerror or error}", HARNESS)
    _show(verdict, told, json=json)
    if plant is not None and not verdict.column(plant.column):
        fail(f"planted {plant}, and the checker missed it: do not trust it", HARNESS)
    raise typer.Exit(verdict.exit_code)


def _judged(history: Path, damage: Damage | None, seed: int, examples: int) -> tuple[AnyVerdict, str]:
    from ..proof.histories import judge, open_history

    with open_history(history) as reader:
        if damage is None:
            return judge(reader, examples=examples), ""
        return _damaged(reader, damage, seed, examples)


def _damaged(reader: AnyReader, damage: Damage, seed: int, examples: int) -> tuple[AnyVerdict, str]:
    """The verdict on a copy with planted damage, and the name of the damage."""
    from random import Random

    from ..proof.checker import check
    from ..proof.plant import plant
    from ..proof.records import History
    from ..proof.work.checker import check_work
    from ..proof.work.history import WorkReader
    from ..proof.work.plant import plant_work
    from ..proof.work.records import WorkHistory

    random = Random(seed)  # noqa: S311  # repeatable, not secret
    if isinstance(reader, WorkReader):
        work, told = plant_work(WorkHistory(reader.header, list(reader.lines), reader.end), damage, random)
        return check_work(work, examples=examples), f"Planted {damage}: {told}."
    takes, told = plant(History(reader.header, list(reader.records), reader.end), damage, random)
    return check(takes, examples=examples), f"Planted a {damage}: {told}."


def _show(verdict: AnyVerdict, told: str, *, json: bool) -> None:
    from ..proof.summary import show
    from .console import console
    from .tables import print_json

    if json:
        print_json(verdict.as_json() | ({"planted": told} if told else {}))
        return
    out = console(width=140)
    if told:
        out.print(told, markup=False, soft_wrap=True)
    show(verdict, out)
