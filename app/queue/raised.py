"""What a source raised, as the log tells it: in a line, and where in the code of its author that was."""

from __future__ import annotations

import logging
from pathlib import Path
from types import TracebackType
from typing import Final

from ..errors import SourceChanged
from .pull import failed

log = logging.getLogger("dibs.queue")

_OURS: Final = str(Path(__file__).parents[1])


def tell(what: str, cause: BaseException | None) -> None:
    """Log that a source raised; with the traceback from the first line on that is not ours, if there is one.

    The queue keeps the type and the message of the cause alone, which do not say where it was raised.
    """
    end, inner = failed(cause), cause
    if isinstance(cause, SourceChanged):  # ours, because of what they raised
        inner = cause.__cause__ or cause
    frames = theirs(inner)
    at = None if frames is None or inner is None else (type(inner), inner.with_traceback(frames), frames)
    log.error("%s: %s: %s", what, end.type, end.message, exc_info=at)


def theirs(cause: BaseException | None) -> TracebackType | None:
    """The traceback of an exception from the first frame on that is not in this package."""
    frames = None if cause is None else cause.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OURS):
        frames = frames.tb_next
    return frames
