"""The sources by name: check a spec, open it.

A new built-in source is a function from its arguments to a definition (see ``numbers.py`` for the
shortest) and a row in ``BUILTINS``.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from ..errors import Forbidden, SourceChanged, SourceError, SourceInvalid, SourceUnknown
from ..quote import bare, quoted
from . import files, functions, grid, ids, numbers
from .arguments import bind, from_digits, parameters, without_defaults
from .context import Context
from .encode import MAX_VALUE_BYTES, find_fault, text_fault
from .replay import Stop
from .source import Definition, Position, Resume, Seekable, Source, open_source
from .spec import MAX_TEXT, SourceSpec


@dataclass(frozen=True, slots=True)
class Kind:
    """A built-in source: how it is defined, how it goes on after a restart, and what help says of it.

    ``reads_file``: over HTTP it is confined to a folder. ``positions`` is its own rule for arguments without
    a name, where it has one.
    """

    define: Callable[..., Definition]
    resume: Resume
    usage: str
    summary: str
    reads_file: bool = False
    positions: Callable[[SourceSpec], SourceSpec] | None = None


BUILTINS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "count": Kind(
            numbers.count,
            "seek",
            'count(start=1, step=1, max=2**53-1, min=-(2**53-1), format="INV-{:06d}")',
            "numbers from start up to max",
        ),
        "range": Kind(
            numbers.range,
            "seek",
            "range(start, stop, step=1)",
            "the numbers of Python's range",
            positions=numbers.range_positions,
        ),
        "lines": Kind(files.lines, "replay", "lines(path)", "the lines of a text file", reads_file=True),
        "jsonl": Kind(files.jsonl, "replay", "jsonl(path)", "the values of JSON Lines", reads_file=True),
        "csv": Kind(
            files.csv,
            "replay",
            "csv(path, delimiter=',', quote='\"', header=true)",
            "the rows of a CSV file as objects",
            reads_file=True,
        ),
        "grid": Kind(
            grid.grid, "seek", "grid(lr=[0.1, 0.2], seed=[1, 2])", "every combination, last axis fastest"
        ),
        "snowflake": Kind(
            ids.snowflake,
            "after",
            "snowflake(node, epoch=1288834974657)",
            "63-bit numbers by time, as text",
        ),
        "uuid7": Kind(ids.uuid7, "after", "uuid7()", "UUIDs by time, RFC 9562"),
    }
)
"""Every built-in source. ``resume``, ``usage`` and ``summary`` are for help texts and documents."""


class Registry:
    """Checks and opens sources, from any thread. All it keeps is the last identifier of each kind.

    ``max_value_bytes`` bounds the JSON text of one value. ``clock`` (nanoseconds since 1970) and
    ``random_bits`` are what ``snowflake`` and ``uuid7`` read.
    """

    def __init__(
        self,
        *,
        max_value_bytes: int = MAX_VALUE_BYTES,
        clock: Callable[[], int] = time.time_ns,
        random_bits: Callable[[int], int] = secrets.randbits,
    ) -> None:
        self._context = Context(max_value_bytes, clock=clock, random_bits=random_bits)

    def bound(self, max_value_bytes: int) -> None:
        """Bound the values of sources that are opened from now on."""
        self._context = replace(self._context, max_value_bytes=max_value_bytes)

    def check(self, spec: SourceSpec, *, trusted: bool, root: Path | None = None) -> SourceSpec:
        """The canonical spec: arguments bound to names, in the order of the signature, defaults left out.

        Two specs of one source have the same canonical text. ``trusted`` is the configuration and the
        command line; what comes over HTTP is not: no function of the user is named or imported, and files are
        read only inside of ``root``, which the canonical spec then carries, so that ``open`` keeps to it too.

        Raises:
            SourceUnknown: no such source, or not from here.
            SourceInvalid: an argument is missing, unknown, of another type or out of range; it is named.
            Forbidden: a file that may not be read from here.
        """
        _check_args(spec)
        if spec.is_function and trusted:
            return _bound_function(spec)
        kind = _kind(spec.name)
        if kind.reads_file and not trusted:
            spec = _confined(spec, root)
        bound = _bound(spec, kind)
        self._define(bound)
        return bound

    def open(
        self, spec: SourceSpec, *, cursor: int = 0, mark: str | None = None, stop: Stop | None = None
    ) -> Source:
        """Open a checked spec behind its first ``cursor`` values; ``mark`` is what the last of them left.

        Blocks: it imports, and a source that is replayed runs up to the cursor; set ``stop`` (a
        ``threading.Event``) to end that soon. An exception of the source itself comes from its iterator, as a
        failure at its seq.

        Raises:
            SourceChanged: the file or module is no longer there, the arguments no longer fit, or the replay
                raised, ended early or differs.
            SourceInvalid: the function gave something that can't be a source.
            SourceClosed: ``stop`` was set.
        """
        try:
            definition = self._define(spec)
        except (SourceError, Forbidden) as error:
            raise SourceChanged(f"the source can't be opened as it was defined: {error}") from error
        return open_source(spec, definition, Position(cursor, mark, stop))

    def seekable(self, spec: SourceSpec) -> Seekable | None:
        """The values of a spec that follow from their seqs alone; None for other sources, and for wrong ones.

        Nothing is imported and no file is opened.
        """
        kind = BUILTINS.get(spec.name)
        if kind is None or kind.resume != "seek":
            return None
        try:
            definition = kind.define(replace(self._context, judge=False), **bind(spec, _takes(kind)))
        except SourceError:
            return None
        return definition if isinstance(definition, Seekable) else None

    @staticmethod
    def is_prompt(spec: SourceSpec) -> bool:
        """Whether the source of a checked spec can be opened, pulled and closed without ever waiting.

        It can if its values follow from their seqs or from the clock: it reads no file and runs no user code.
        """
        kind = BUILTINS.get(spec.name)
        return kind is not None and kind.resume in {"seek", "after"}

    def _define(self, spec: SourceSpec) -> Definition:
        if spec.is_function:
            function = functions.load(spec.name)
            args = functions.bind_function(spec, function)
            return functions.define_function(self._context, spec.name, function, args)
        kind = _kind(spec.name)
        return kind.define(self._context, **bind(spec, _takes(kind)))


def _kind(name: str) -> Kind:
    if kind := BUILTINS.get(name):
        return kind
    raise SourceUnknown(f"there is no source {quoted(name)} here; there are {', '.join(BUILTINS)}")


@cache
def _takes(kind: Kind) -> tuple[Any, ...]:
    return parameters(kind.define, skip=1) or ()  # the first is the context


def by_name(spec: SourceSpec) -> SourceSpec:
    """A built-in source with all arguments by their names, as a request gives them, and no more checked.

    Raises:
        SourceUnknown, SourceInvalid: there is no such source, or it does not take these arguments.
    """
    return _bound(spec, _kind(spec.name))


def _bound(spec: SourceSpec, kind: Kind) -> SourceSpec:
    takes = _takes(kind)
    args = bind(kind.positions(spec) if kind.positions else spec, takes)
    integers = {parameter.name for parameter in takes if str(parameter.annotation).startswith("int")}
    args = {name: from_digits(value) if name in integers else value for name, value in args.items()}
    return SourceSpec(spec.name, without_defaults(args, takes))


def _bound_function(spec: SourceSpec) -> SourceSpec:
    return SourceSpec(spec.name, functions.bind_function(spec, functions.load(spec.name)))


def _confined(spec: SourceSpec, root: Path | None) -> SourceSpec:
    """A spec from HTTP, confined to files below ``root``, which a caller may repeat but not choose."""
    if root is None:
        raise Forbidden(
            f"{spec.name} reads a file, which may not be named over HTTP: "
            "the setting source_root allows those below one folder",
            field="source",
        )
    allowed = str(root.resolve())
    if spec.args.get("root", allowed) != allowed:
        raise SourceInvalid(f"{spec.name}.root: no such argument; the setting source_root is the folder")
    return replace(spec, args={**spec.args, "root": allowed})


def _check_args(spec: SourceSpec) -> None:
    """Refuse arguments that are not JSON, which the ledger could not keep; integers may be of any size."""
    for name, value in (*enumerate(spec.positional, 1), *spec.args.items()):
        if fault := find_fault(value, budget=MAX_TEXT, wide=True):
            raise SourceInvalid(f"{bare(spec.name)}.{bare(str(name))}: {fault}")
    try:
        fault = text_fault(spec.text, MAX_TEXT)
    except ValueError as error:  # an integer of thousands of digits
        fault = str(error)
    if fault:
        raise SourceInvalid(f"{bare(spec.name)}: its arguments have {fault}")
