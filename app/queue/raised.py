"""What a source raised, as the log tells it: in a line, and where in the code of its author that was."""

from __future__ import annotations

import logging

from .places import raised, theirs
from .pull import failed

log = logging.getLogger("dibs.queue")


def tell(what: str, cause: BaseException | None) -> None:
    """Log that a source raised; with the traceback from the first line on that is not ours, if there is one.

    The queue keeps the type, the message and the place of the cause alone: not how it came there.
    """
    end, inner = failed(cause), raised(cause)
    frames = theirs(inner)
    at = None if frames is None or inner is None else (type(inner), inner.with_traceback(frames), frames)
    log.error("%s: %s: %s", what, end.type, end.message, exc_info=at)
