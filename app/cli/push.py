"""``dibs push``: lines of files, or of a pipe, into a queue; each goes in once."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .exits import USAGE, fail
from .options import DEFAULT_URL, MAX_DELAY, Queue, Url

if TYPE_CHECKING:
    from .push_lines import Input, Shape


def push(
    queue: Queue,
    files: Annotated[list[str] | None, typer.Argument(metavar="FILE")] = None,
    *,
    json: bool = False,
    delay: Annotated[float, typer.Option(min=0, max=MAX_DELAY)] = 0,
    priority: Annotated[int, typer.Option(min=0, max=9)] = 0,
    unique: bool = False,
    key_field: Annotated[str | None, typer.Option(metavar="NAME")] = None,
    create: bool = False,
    close: bool = False,
    again: bool = False,
    null: Annotated[bool, typer.Option("--null", "-0")] = False,
    last_line: bool = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Push each line as an item.

    A file can be pushed again at any time: the queue knows how much of it was pushed (for 24 hours, or as
    long as its setting item_key_ttl says), and takes only new lines. So after an interruption the same
    command goes on where it stopped. The queue knows a file by its content, from its first line to the last
    one that was pushed, under any name and from any machine. A file that begins differently, or has become
    shorter, is a new file.

    A last line without a line end may still be being written, so it waits for its end. A pipe's end is the
    end of its last line. A pipe can't be read again; --unique makes pushing the same lines again safe.

    Args:
        files: Files to push; - is stdin.  [default: -]
        json: Each line is a JSON value, not a text.
        delay: Seconds until the items can be handed out.
        priority: 0 is handed out first, 9 last.
        unique: Leave out lines that the queue knows, from any file.
        key_field: With --json: like --unique, with this member as the key.
        create: Create the queue if it does not exist.
        close: Then close the queue: workers stop when all is done.
        again: Push all of a file, even if it was pushed before.
        null: Lines end with NUL, as those of find -print0.
        last_line: Push a file's last line, too, if it has no line end.

    Example: dibs push jobs files.txt --create · seq 1000 | dibs push jobs --json
    """
    from .push_lines import Shape
    from .terminable import terminable

    if key_field is not None and (unique or not json):
        fail("option --key-field: it needs --json, and takes the place of --unique", USAGE)
    if null and json:
        fail("option -0: JSON may have line ends inside, so it does not go with --json", USAGE)
    shape = Shape(json=json, null=null, delay=delay, priority=priority, unique=unique, key_field=key_field)
    with ExitStack() as stack:
        sources = [_opened(name, stack, queue, last_line=last_line) for name in files or ["-"]]
        stack.enter_context(terminable())
        _push(sources, shape, queue, url, create=create, close=close, again=again)


def _push(
    sources: list[Input], shape: Shape, queue: str, url: str, *, create: bool, close: bool, again: bool
) -> None:
    """Push the sources one after the other; then close the queue, unless a last line waits."""
    from .console import console
    from .http import PATIENCE, Api
    from .push_source import Push

    with Api(url, patience=PATIENCE) as api:
        found, shown = api.existing(queue, create=create), console(stderr=True)
        pushes = [Push(api, found, source, shape, shown) for source in sources]
        waiting = [each.name for each in pushes if not each.run(again=again)]
        if close and waiting:
            fail(f"{waiting[0]}: its last line waits, so {queue} was not closed; --last-line takes it")
        if close:
            api.change("POST", "queues", queue, "close")


def _opened(name: str, stack: ExitStack, queue: str, *, last_line: bool) -> Input:
    """Open a file before anything is sent, so that one wrong name keeps all files from being pushed."""
    from .push_lines import Input

    if name == "-":
        if sys.stdin is None:
            fail("stdin is closed: name a file, or push through a pipe", USAGE)
        return Input("stdin", sys.stdin.buffer)
    try:
        file = stack.enter_context(Path(name).open("rb"))  # noqa: SIM115  # the stack closes it
    except OSError as error:
        hint = ""
        if isinstance(error, FileNotFoundError):  # it may be meant as a value
            hint = f"; what is pushed are the lines of files, or of a pipe: echo VALUE | dibs push {queue}"
        fail(f"{name}: {error.strerror or error}{hint}", USAGE)
    found = os.fstat(file.fileno())
    size = found.st_size if stat.S_ISREG(found.st_mode) else None
    return Input(name, file, size, last_line=last_line)
