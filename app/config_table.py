"""The settings as a table: each by its name, as a user would write it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from .config import LIVE, Settings, configured_queues
from .ledger.database import Database
from .ledger.work import FOREVER
from .queue.definition import Definition, Kept
from .sources.masking import MASKED, is_secret
from .sources.masking import shown as of_source

_MILLISECONDS: Final = frozenset({"backoff", "backoff_max", "key_ttl", "item_key_ttl", "history"})


def rows(settings: Settings, place: Callable[[list[str]], str]) -> list[dict[str, Any]]:
    """A row for each setting: its name, its value, its ``place``, whether a reload changes it."""
    return [
        {"setting": ".".join(path), "value": value, "origin": place(path), "live": path[0] in LIVE}
        for path, value in _each(settings)
    ]


def shown(settings: Settings) -> dict[str, Any]:
    """The values of all settings, by their names (``port``, ``limits.count``, ``queues.ids``), as JSON."""
    return {".".join(path): value for path, value in _each(settings)}


def _each(settings: Settings) -> Iterator[tuple[list[str], Any]]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if name == "limits":
            for limit, most in value:
                yield [name, limit], most
        elif name == "queues":
            for queue, definition in configured_queues(settings).items():
                yield [name, queue], _definition(definition)
        else:
            yield [name], MASKED if is_secret(name) and value is not None else _json(value)


def _definition(definition: Definition) -> str | dict[str, Any]:
    """A queue's definition as ``dibs.toml`` has it."""
    spec, settings = definition.source, definition.settings
    source = {} if isinstance(spec, Kept) else {"source": "" if spec is None else of_source(spec)}
    if source and not settings:
        return source["source"]
    return source | {name: _written(name, value) for name, value in settings.items()}


def _written(name: str, value: Any) -> Any:
    if name not in _MILLISECONDS or value is None:
        return 0 if value is None else value  # 0: no bound, for the file knows no null
    return "forever" if value >= FOREVER else value / 1000


def _json(value: Any) -> Any:
    if isinstance(value, Path | Database):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): _json(member) for name, member in value.items()}
    return [_json(member) for member in value] if isinstance(value, tuple | list | frozenset) else value
