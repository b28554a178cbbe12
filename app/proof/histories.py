"""Any history: of takes (version 1) or of work (version 2). The first line says which."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from .checker import check
from .fields import parse
from .history import HistoryReader
from .verdict import Verdict
from .work.checker import check_work
from .work.history import WorkReader
from .work.records import WORK_FORMAT
from .work.rules import WorkVerdict

AnyReader = HistoryReader | WorkReader
AnyVerdict = Verdict | WorkVerdict


@contextmanager
def open_history(path: Path) -> Iterator[AnyReader]:
    """Open a history of either kind.

    Raises:
        HistoryError: a line can't be read; it names the line.
        OSError: the file can't be opened.
    """
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        first = next(file, "")
        if '"dibs_history"' in first and parse(1, first).get("dibs_history") == WORK_FORMAT:
            yield WorkReader((1, parse(1, first)), enumerate(file, 2))
        else:
            yield HistoryReader(chain([first] if first else [], file))


def judge(reader: AnyReader, *, examples: int = 5) -> AnyVerdict:
    """The verdict on a history of either kind. Raises what `open_history` does."""
    if isinstance(reader, WorkReader):
        return check_work(reader, examples=examples)
    return check(reader, examples=examples)
