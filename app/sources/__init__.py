"""Sources: where the values of a queue come from.

A source is a generator function: built in (``BUILTINS``), or the user's own ``module:function``.
``parse_source`` reads its spec, ``Registry.check`` judges it, ``Registry.open`` gives a ``Source`` whose
``iterator`` any number of threads may share, from any cursor on.
"""

from .encode import MAX_DEPTH, MAX_SAFE, MAX_SEQ, MAX_VALUE_BYTES
from .registry import BUILTINS, Kind, Registry
from .replay import Stop
from .source import Resume, Source, Values
from .spec import SourceSpec, parse_source

__all__ = [
    "BUILTINS",
    "MAX_DEPTH",
    "MAX_SAFE",
    "MAX_SEQ",
    "MAX_VALUE_BYTES",
    "Kind",
    "Registry",
    "Resume",
    "Source",
    "SourceSpec",
    "Stop",
    "Values",
    "parse_source",
]
