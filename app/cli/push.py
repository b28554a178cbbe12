"""``dibs push``: lines of files, or of a pipe, into a queue; each goes in once."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from .exits import USAGE, fail, say
from .options import Queue, Url

if TYPE_CHECKING:
    from .push_source import Source

PATIENCE: Final = 60.0
"""Seconds for which a server that is gone is waited for."""
_MAX_DELAY: Final = 2_592_000

Files = Annotated[
    list[str] | None, typer.Argument(metavar="FILE", help="Files to push; - is stdin.  [default: -]")
]
JsonLines = Annotated[bool, typer.Option("--json", help="Each line is a JSON value, not a text.")]
Delay = Annotated[
    float, typer.Option(min=0, max=_MAX_DELAY, help="Seconds until the items can be handed out.")
]
Priority = Annotated[int, typer.Option(min=0, max=9, help="0 is handed out first, 9 last.")]
Unique = Annotated[
    bool, typer.Option("--unique", help="Leave out lines that the queue knows, from any file.")
]
KeyField = Annotated[
    str | None, typer.Option(metavar="NAME", help="With --json: like --unique, with this member as the key.")
]
Create = Annotated[bool, typer.Option("--create", help="Create the queue if it does not exist.")]
Close = Annotated[bool, typer.Option("--close", help="Then close the queue: workers stop when all is done.")]
Again = Annotated[bool, typer.Option("--again", help="Push all of a file, even if it was pushed before.")]
Null = Annotated[bool, typer.Option("--null", "-0", help="Lines end with NUL, as those of find -print0.")]
LastLine = Annotated[
    bool, typer.Option("--last-line", help="Push a file's last line, too, if it has no line end.")
]


def push(
    queue: Queue,
    files: Files = None,
    *,
    json: JsonLines = False,
    delay: Delay = 0,
    priority: Priority = 0,
    unique: Unique = False,
    key_field: KeyField = None,
    create: Create = False,
    close: Close = False,
    again: Again = False,
    null: Null = False,
    last_line: LastLine = False,
    url: Url = None,
) -> None:
    """Push each line as an item.

    A file can be pushed again at any time: the queue knows how much of it was pushed (for 24 hours, or as
    long as its setting item_key_ttl says), and takes only new lines. So after an interruption the same
    command goes on where it stopped. The queue knows a file by its content, from its first line to the last
    one that was pushed, under any name and from any machine. A file that begins differently, or has become
    shorter, is a new file.

    A last line without a line end may still be being written, so it waits for its end. A pipe's end is the
    end of its last line. A pipe can't be read again; --unique makes pushing the same lines again safe.

    Example: dibs push jobs files.txt --create · seq 1000 | dibs push jobs --json
    """
    from .changes import change, create_queue, existing, path_of
    from .console import console
    from .http import Api
    from .push_lines import Shape
    from .push_source import Push

    if key_field is not None and (unique or not json):
        fail("option --key-field: it needs --json, and takes the place of --unique", USAGE)
    if null and json:
        fail("option -0: JSON may have line ends inside, so it does not go with --json", USAGE)
    shape = Shape(json=json, null=null, delay=delay, priority=priority, unique=unique, key_field=key_field)
    shown = console(stderr=True)
    with ExitStack() as stack:
        sources = [_opened(name, stack) for name in files or ["-"]]
        api = stack.enter_context(Api(url, patience=PATIENCE, on_wait=say))
        if create:
            create_queue(api, queue)
        found = existing(api, queue)
        pushes = [Push(api, found, source, shape, shown, last_line=last_line) for source in sources]
        waiting = [each.name for each in pushes if not each.run(again=again)]
        if close and waiting:
            fail(f"{waiting[0]}: its last line waits, so {queue} was not closed; --last-line takes it")
        if close:
            change(api, "POST", f"{path_of(queue)}/close")


def _opened(name: str, stack: ExitStack) -> Source:
    """Open a file before anything is sent, so that one wrong name keeps all files from being pushed."""
    from .push_source import Source

    if name == "-":
        if sys.stdin is None:
            fail("stdin is closed: name a file, or push through a pipe", USAGE)
        return Source("stdin", sys.stdin.buffer)
    try:
        file = stack.enter_context(Path(name).open("rb"))  # noqa: SIM115  # the stack closes it
    except OSError as error:
        fail(f"{name}: {error.strerror or error}", USAGE)
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode):
        return Source(name, file)
    return Source(name, file, pipe=False, size=found.st_size)
