"""Where in the code of its author a source failed: a file's name, a line and a function, never a value."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Final

from ..errors import SourceChanged

PLACE_MOST: Final = 200
"""Characters of a place that are kept."""

_OURS: Final = str(Path(__file__).parents[1])


def raised(cause: BaseException | None) -> BaseException | None:
    """The exception that the source raised itself, where ours came of it."""
    return (cause.__cause__ or cause) if isinstance(cause, SourceChanged) else cause


def theirs(cause: BaseException | None) -> TracebackType | None:
    """The traceback of an exception from the first frame on that is not in this package."""
    frames = None if cause is None else cause.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OURS):
        frames = frames.tb_next
    return frames


def place_of(cause: BaseException | None) -> str:
    """The deepest place in the source's own file, as ``jobs.py:41, in experiments``; empty if it is none.

    That file is the first one which is not ours: what it calls may raise in a library, where nobody can mend
    it.
    """
    frames = theirs(raised(cause))
    if frames is None:
        return ""
    file, found = frames.tb_frame.f_code.co_filename, frames
    while frames is not None:
        if frames.tb_frame.f_code.co_filename == file:
            found = frames
        frames = frames.tb_next
    name, code = Path(file).name, found.tb_frame.f_code
    text = f"{name}:{found.tb_lineno}, in {code.co_name}"[:PLACE_MOST]
    return text.encode("utf-8", "replace").decode()
