"""The signature of an answer: it names the queue and the Idempotency-Key of its request.

Answers on one connection come in the order of the requests, and HTTP has nothing to tell them apart. If two
processes share a client's socket (a fork), or a proxy mixes connections up, a client would take another
client's answer, and with it another's item. So ``Dibs-Queue``, ``Idempotency-Key`` and its
``Idempotency-Sequence`` go back with every answer, refusals included, and the client compares them. By the
last one it knows that this server counts the requests of a key.
"""

from __future__ import annotations

import re
from typing import Final

from starlette.types import Scope

from ..config import DEFAULT_QUEUE
from ..queue.limits import NAME
from .reply import Headers

NEXT: Final = "/next"
"""The path that means the default queue, and names none."""
QUEUE: Final = b"dibs-queue"
KEY: Final = b"idempotency-key"
SEQUENCE: Final = b"idempotency-sequence"
_PATH: Final = re.compile(rf"/queues/(?!\.{{1,2}}(?:/|$))({NAME.pattern})(?:/.*)?", re.DOTALL)
_SENDABLE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]+")


def signature(scope: Scope) -> Headers:
    """The headers of an answer that name its request.

    The queue is that of the path, if it can be one's name. The key and its number go back as they came,
    refused ones too; of several none does.
    """
    signed: Headers = []
    queue = queue_of(scope["path"])
    if queue is not None and b"%2f" not in (scope.get("raw_path") or b"").lower():
        signed.append((QUEUE, queue.encode("ascii")))
    for told in (KEY, SEQUENCE):
        sent = [value.strip(b" \t") for name, value in scope["headers"] if name == told]
        if len(sent) == 1 and _SENDABLE.fullmatch(sent[0]):
            signed.append((told, sent[0]))
    return signed


def queue_of(path: str) -> str | None:
    """The queue that a path names."""
    if path == NEXT:
        return DEFAULT_QUEUE
    found = _PATH.fullmatch(path)
    return found[1] if found else None
