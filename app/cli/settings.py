"""``dibs config`` and ``dibs reload``: the settings in force, and taking over those that were changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from .exits import USAGE, fail
from .options import DEFAULT_URL, Json, Url, server
from .output import print_json


def config(
    *,
    config: Annotated[Path | None, typer.Option("--config", show_default=False)] = None,
    data: str | None = None,
    running: bool = False,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Show all settings, and where each comes from: default, file, environment, option.

    Without --running they are those with which `dibs serve` would start here: wrong ones are told, and the
    exit code is then 2. Secrets are masked.

    Args:
        config: Configuration file.  [default: dibs.toml, if it is there]
        data: Where the ledger is, as `dibs serve --data` has it: a folder or postgresql://….  [default: that
            of the settings]
        running: Ask the server that runs at --url what it has in force.

    Example: `dibs config --running --json`
    """
    if running and data is not None:
        fail("option --data: the server at --url has its own", USAGE)
    if running:
        with server(url) as api:
            found = api.get("config")["settings"]
    else:
        found = _here(config, data)
    if json:
        print_json({"settings": found})
    else:
        _show(found)


def reload(*, url: Url = DEFAULT_URL, json: Json = False) -> None:
    """Let a running server read its configuration again, as SIGHUP does.

    Queues, limits and the other settings that `dibs config` marks as live are taken over, all of them or, if
    anything is wrong, none. The others stay as they are until the next start, and are named. A queue that is
    no longer in the configuration goes on.

    Example: `dibs reload`
    """
    from .changes import tell_done

    with server(url) as api:
        answer = api.told("reload", body={})
    tell_done(answer, "\n".join(_told(answer)), json=json)


def _here(config: Path | None, data: str | None) -> list[dict[str, Any]]:
    """The settings with which a server would start here, on this ledger if one is named."""
    from ..config import read, settings_of
    from ..config_table import rows

    layers = read({} if data is None else {"data": data}, file=config)
    return rows(settings_of(layers), layers.place)


def _show(found: Sequence[Mapping[str, Any]]) -> None:
    from .tables import Column, plain, show, table
    from .words import text_of

    def dim(row: Mapping[str, Any]) -> str:
        return "dim" if row["origin"] == "default" else ""

    columns = [
        Column("setting", lambda row: plain(row["setting"], "bold" if not dim(row) else "")),
        Column("value", lambda row: plain(text_of(row["value"]), dim(row))),
        Column("from", lambda row: plain(row["origin"], dim(row))),
        Column("changes", lambda row: plain("by reload" if row["live"] else "at a start", "dim")),
    ]
    show(table(found, columns))


def _told(answer: Mapping[str, Any]) -> list[str]:
    """What a reload has done, a line each."""
    from .words import text_of

    queues = answer["queues"]
    lines = [
        f"{each['setting']}: {text_of(each['was'])} → {text_of(each['is'])}" for each in answer["changed"]
    ]
    lines += [f"queue {name}: created" for name in queues["created"]]
    lines += [f"queue {name}: changed" for name in queues["changed"]]
    lines += [
        f"queue {name}: no longer in the configuration, and goes on; `dibs delete {name}` drops it,"
        f" `dibs define {name}` keeps it"
        for name in queues["gone"]
    ]
    lines += [
        f"queue {name}: its code was changed, and is not loaded again: it counts from the next start on"
        for name in queues.get("unread", ())  # of a server of today
    ]
    lines = lines or ["Nothing has changed."]
    return lines + [
        f"{name} was changed, too, and stays as it is until the next start" for name in answer["kept"]
    ]
