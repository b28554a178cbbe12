"""The files that a queue knows. It knows a file by its content so far, under any name and from any machine.

The last item of each chunk of a file is pushed with a key, a *mark*: which push it belongs to, how many lines
of the file are in with it, and a digest of them. The marks of all files whose first items are alike begin
alike, so they are listed by the beginning of their keys. A file that begins with exactly what the last mark
of a push says is that push's file, grown or not; any other is new.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from .http import Api
from .push_lines import BadLine, Line, Shape

_HEAD: Final = 12


class Pushing(NamedTuple):
    """One push of one file. A push of all of it ``--again`` has a higher ``turn`` than those before."""

    options: str
    turn: int
    name: str


class Mark(NamedTuple):
    """How far a push has come: lines, and their digest."""

    push: Pushing
    number: int
    digest: str


def prefix_of(first: Line) -> str:
    """The beginning of the marks of all files with this first item."""
    return f"dibs-push|{first.digest[:_HEAD]}|"


def key_of(prefix: str, push: Pushing, line: Line) -> str:
    """The mark of a chunk that ends with this line."""
    return f"{prefix}{push.options}|{push.turn}|{push.name}|{line.number}|{line.digest}"


def new_push(shape: Shape, chunk: Sequence[Line], marks: Sequence[Mark], *, again: bool) -> Pushing:
    """A push that begins with this chunk; it has one name for all that push a new file at the same time."""
    if again:
        turn = max((mark.push.turn for mark in marks), default=0) + 1
        return Pushing(options_of(shape), turn, uuid.uuid4().hex)
    digest = chunk[-1].digest[:_HEAD]
    alike = sum(mark.push.name.startswith(digest) for mark in marks)
    return Pushing(options_of(shape), 0, f"{digest}.{alike}")


def options_of(shape: Shape) -> str:
    """The options that change what is pushed, as they stand in a mark."""
    return f"{shape.delay},{shape.priority}"


def last_marks(api: Api, queue: str, prefix: str) -> list[Mark]:
    """The last mark of each push that the queue knows."""
    found: dict[Pushing, Mark] = {}
    pages = api.pages("queues", queue, "keys", prefix=prefix)
    for key in (each["key"] for page in pages for each in page["keys"]):
        try:
            options, turn, name, number, digest = key.removeprefix(prefix).split("|")
            mark = Mark(Pushing(options, int(turn), name), int(number), digest)
        except ValueError:
            continue  # somebody's own key
        found[mark.push] = max(mark, found.get(mark.push, mark), key=lambda mark: mark.number)
    return list(found.values())


def place(lines: Iterable[Line | None], marks: Iterable[Mark]) -> Mark | None:
    """The mark that the file goes on after: of those that it begins with, of the last turn the longest."""
    wanted = {(mark.number, mark.digest): mark for mark in sorted(marks, key=lambda mark: mark.push.turn)}
    most = max((number for number, _ in wanted), default=0)
    found: list[Mark] = []
    try:
        for line in lines:
            if line is None or line.number > most:
                break
            if (mark := wanted.get((line.number, line.digest))) is not None:
                found.append(mark)
    except BadLine:
        pass  # it is told when its turn comes
    return max(found, key=lambda mark: (mark.push.turn, mark.number), default=None)
