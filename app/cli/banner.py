"""The banner of ``dibs serve`` when it listens: a panel for people, one line for scripts."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import DEFAULT_QUEUE, MEMORY, Settings, is_loopback, version
from ..inert import inert
from ..ledger.database import Database
from ..queue import Queue, Queues
from .output import Unwritten, writing

if TYPE_CHECKING:
    from rich.text import Text

_SHOWN = 10


def announce(url: str, settings: Settings, queues: Queues, *, locked: bool = False) -> None:
    """Print where the server is and what it has. Whoever reads the line may send requests at once.

    ``locked``: the server asks for tokens.

    A closed stdout stops nothing.
    """
    with suppress(Unwritten), writing():
        _announce(url, settings, queues, locked=locked)


def announce_front(url: str, settings: Settings, owner: str | None) -> None:
    """Print where the server is, and that it passes requests on; to which server, if that is known."""
    with suppress(Unwritten), writing():
        to = "no server owns the ledger yet" if owner is None else f"owner={owner}"
        print(inert(f"dibs: serving {url} data={_folder(settings)} role=front {to}"), flush=True)


def _announce(url: str, settings: Settings, queues: Queues, *, locked: bool) -> None:
    known = queues.list()
    if sys.stdout.isatty():
        _panel(url, settings, queues, known, locked=locked)
        return
    told = [f"{queue.name} ({_age(queue, queues)})" for queue in known[:_SHOWN]]
    more = [f"and {len(known) - _SHOWN:,} more"] if len(known) > _SHOWN else []
    copy = f", {queues.restored.told}" if queues.restored.told else ""
    role = " role=owner" if isinstance(settings.data, Database) else ""
    line = f"dibs: serving {url} data={_folder(settings)}{role} queues={', '.join(told + more)}{copy}"
    print(inert(line), flush=True)


def _folder(settings: Settings) -> str:
    """The absolute path of the folder; the URL of a database, without its password."""
    data = settings.data
    return str(data if data == MEMORY or isinstance(data, Database) else Path(data).absolute())


def _age(queue: Queue, queues: Queues) -> str:
    """Whether a queue was there before this start, and how far it is."""
    info = queue.browser.info()
    failed = ", failed" if info.state == "failed" else ""
    return (f"opened, cursor {info.cursor}" if queue.name in queues.found else "new") + failed


def _panel(url: str, settings: Settings, queues: Queues, known: list[Queue], *, locked: bool) -> None:
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    from .console import console

    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", justify="right")
    rows.add_column(overflow="fold")
    rows.add_row("url", Text(url, style=f"bold cyan link {url}"))
    rows.add_row("docs", Text(f"{url}/docs", style=f"cyan link {url}/docs"))
    kept = "in memory: nothing outlives this process" if settings.data == MEMORY else _folder(settings)
    rows.add_row("data", Text(kept, style="yellow" if settings.data == MEMORY else ""))
    if isinstance(settings.data, Database):
        rows.add_row("role", Text("owner: this server decides, the others of the database pass requests on"))
    for number, queue in enumerate(known[:_SHOWN]):
        rows.add_row("queues" if number == 0 else "", _queue(queue, queues))
    if len(known) > _SHOWN:
        rows.add_row("", Text(f"and {len(known) - _SHOWN:,} more: dibs queues", style="dim"))
    rows.add_row("try", Text(_try(url, known), style="green"))
    restored = queues.restored
    if restored.told is not None:
        rows.add_row("note", Text(inert(restored.waiting or restored.told), style="yellow"))
    if locked:
        rows.add_row("access", Text("by token: dibs token new makes one", style="dim"))
    elif not is_loopback(settings.host):
        rows.add_row("note", Text("anyone who reaches this port may use it", style="yellow"))
    title = f"[bold]dibs[/] [dim]{version()}[/]"
    console().print(
        Panel(
            rows,
            title=title,
            subtitle="[dim]Ctrl-C ends it[/]",
            title_align="left",
            subtitle_align="right",
            border_style="cyan",
            padding=(1, 2),
            expand=False,
        )
    )


def _queue(queue: Queue, queues: Queues) -> Text:
    from rich.text import Text

    info = queue.browser.info()
    done, held = info.taken + info.acked, info.waiting + info.leased + info.dead
    inside = f"{info.waiting:,} waiting · {info.leased:,} leased · {info.dead:,} dead" if held else ""
    told = [
        (f"{queue.line.spec or 'producers push'}", ""),
        *((part, "dim") for part in (_age(queue, queues), f"{done:,} done" if done else "", inside)),
        ("no longer in the configuration" if info.configured == "gone" else "", "yellow"),
        (info.state if info.state != "open" else "", "red" if info.state == "failed" else "yellow"),
    ]
    return Text.assemble((info.queue, "bold"), *((f"  {part}", style) for part, style in told if part))


def _try(url: str, queues: list[Queue]) -> str:
    """A command to try; what it may spend is a plain number of a counter, never a job or an invoice's."""
    counters = [queue.name for queue in queues if _is_counter(queue)]
    if DEFAULT_QUEUE in counters:
        return f"curl -X POST {url}/next"
    return f"curl -X POST {url}/queues/{counters[0]}/next" if counters else f"curl {url}/queues"


def _is_counter(queue: Queue) -> bool:
    spec = queue.line.spec
    plain = spec is not None and spec.name == "count" and "format" not in spec.args
    return plain and queue.browser.info().state == "open"
