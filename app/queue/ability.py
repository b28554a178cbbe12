"""The ability of a server to open the sources of queues: it may lack the code of some."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import SourceError
from ..sources import Registry
from .info import spec_written


class Ability:
    """Looks for the functions of users, by importing them; what was found is not looked for again."""

    def __init__(self, sources: Registry) -> None:
        self._sources = sources
        self._found: set[tuple[str, str]] = set()

    def __call__(self, functions: Sequence[tuple[str, str, str]]) -> str:
        """Why one of these (a queue, its source, arguments) can't be opened here; empty: all can."""
        for name, source, args in functions:
            spec = spec_written(source, args)
            if spec is None or (source, args) in self._found:
                continue
            try:
                self._sources.check(spec, trusted=True)
            except SourceError as error:
                return f"it can't open the source of {name}: {error}"
            self._found.add((source, args))
        return ""
