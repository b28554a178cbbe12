"""The queues of the settings: ``"count(start=1)"``, ``""``, or a table with settings of the queue."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from typing import Any

from .errors import LimitExceeded, SourceError
from .ledger.work import QueueSettings
from .queue.definition import KEPT, Definition, Kept, queue_settings
from .queue.limits import check_name
from .sources.encode import find_fault
from .sources.spec import MAX_TEXT, SourceSpec, parse_source


def definitions(queues: Mapping[str, object]) -> dict[str, Definition]:
    """All queues, or a line for each that is wrong."""
    found: dict[str, Definition] = {}
    wrong: list[str] = []
    for name, definition in queues.items():
        try:
            found[name] = _definition(name, definition)
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        raise ValueError("\n".join(wrong))
    return found


def sound(queues: object) -> dict[str, Definition]:
    """The queues that are written as they should be, where others, or other settings, are not."""
    found = {}
    for name, definition in queues.items() if isinstance(queues, Mapping) else ():
        with suppress(ValueError):
            found[name] = _definition(name, definition)
    return found


def _definition(name: str, definition: object) -> Definition:
    """A queue from ``"count(start=1)"``, from ``""`` (producers push), or from a table with settings too."""
    try:
        check_name(name)
    except LimitExceeded as error:
        raise ValueError(f"{name!r}: {error}") from None
    if isinstance(definition, Definition | SourceSpec):
        return Definition.of(definition)
    if isinstance(definition, str):
        return Definition(_parse(name, definition) if definition.strip() else None)
    if not isinstance(definition, Mapping):
        raise ValueError(f'{name}: say "count(start=100)", or "" where producers push')  # noqa: TRY004
    table = dict(definition)
    source = _source(name, table.pop("source", KEPT), table.pop("args", {}))
    return Definition(source, _settings(name, table))


def _source(name: str, source: object, args: object) -> SourceSpec | Kept | None:
    if source is KEPT:
        if args:
            raise ValueError(f"{name}: there are args, but no source")
        return KEPT
    if not isinstance(source, str):
        raise ValueError(f'{name}: say source = "count", or "count(start=100)"')  # noqa: TRY004
    if not isinstance(args, Mapping):
        raise ValueError(f"{name}: args is a table, such as {{start = 100}}")  # noqa: TRY004
    if not source.strip():
        if args:
            raise ValueError(f"{name}: there are args, but no source")
        return None
    for argument, value in args.items():  # TOML has dates and nan, and the ledger keeps JSON
        if fault := find_fault(value, budget=MAX_TEXT, wide=True):
            raise ValueError(f"{name}: args.{argument}: {fault.partition(': yield')[0]}")
    spec = _parse(name, source)
    if twice := sorted(set(spec.args) & set(args)):
        raise ValueError(f"{name}: {twice[0]} is there twice")
    return SourceSpec(spec.name, {**spec.args, **args}, spec.positional)


def _settings(name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a queue's settings that are there, from the configuration's units."""
    known = {field.name for field in fields(QueueSettings)}
    if unknown := sorted(set(table) - known):
        there = ", ".join(("source", "args", *sorted(known)))
        raise ValueError(f"{name}: there is no {unknown[0]}, only {there}")
    try:
        found = queue_settings(**table)
    except LimitExceeded as error:
        raise ValueError(f"{name}: {error}") from None
    if "backoff_max" in found and found.get("backoff", 0) > found["backoff_max"]:
        raise ValueError(f"{name}: backoff is over backoff_max ({table['backoff_max']:g} seconds)")
    return found


def _parse(name: str, text: str) -> SourceSpec:
    try:
        return parse_source(text)
    except SourceError as error:
        raise ValueError(f"{name}: {error}") from None
