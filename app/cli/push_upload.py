"""Pushes items into one queue, in chunks; whatever is lost on the way is sent again, and goes in once."""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn

from ..client.errors import ServerRefused
from ..client.flow import Call, Reply, Request
from ..client.keys import Key
from ..client.persist import FULL, persist
from ..client.push import fewer, never_fits
from .http import SLOW, Api, path_of
from .push_lines import CHUNK_ITEMS, BadLine, Line

_CREATED: Final = 201
_PARENT: Final = re.compile(r"[0-9a-f-]{55}")
_ITEM: Final = re.compile(r"items\.(\d+)\b\.?")


def parent_of(environ: Mapping[str, str]) -> str | None:
    """The traceparent in the environment; None where it is none, which the server would ignore, too."""
    found = environ.get("TRACEPARENT", "")
    return found if _PARENT.fullmatch(found) else None


class Upload:
    """The items that went into one queue: ``new`` ones, and ``known`` ones, which it had already.

    A chunk with a mark is sent under a key that is made of the mark, so that of several pushes of the same
    file at the same time one pushes it. The key is another one when the queue was made anew or purged.
    ``mark`` gives the key of a chunk that ends with a line, where it has one. ``parent`` is the traceparent
    that the items keep: that of whoever runs the command, such as ``dibs work``.
    """

    def __init__(self, api: Api, queue: Mapping[str, Any]) -> None:
        self._api = api
        self._path = path_of("queues", queue["queue"], "items")
        self._life = f"{queue['created_at']}|{queue['purged']}"
        self._most = CHUNK_ITEMS
        self._in_hand: Request | None = None
        self.mark: Callable[[Line], str] | None = None
        self.parent = parent_of(os.environ)
        self.new = self.known = 0

    def push(self, lines: Sequence[Line]) -> None:
        """Push items in their order; wait while the queue is full.

        Raises:
            BadLine: The server refuses a line; all before it is in.
            ServerRefused: It takes no more.
        """
        while lines:
            chunk = lines[: self._most]
            try:
                self._send(chunk)
            except ServerRefused as refused:
                self._in_hand = None
                less = fewer(refused, len(chunk))
                if not less:
                    self._refuse(refused, chunk)
                self._most = less
            else:
                lines = lines[len(chunk) :]

    def finish(self, timeout: float) -> bool:
        """Send once more what has no answer, and count it; False if it got none in ``timeout`` seconds."""
        if self._in_hand is None:
            return True
        reply = self._api.line.send(self._in_hand._replace(within=timeout, wait=0.0))
        if not isinstance(reply, Reply) or reply.status != _CREATED:
            return False
        self._count(reply, ours=True)
        return True

    def _send(self, chunk: Sequence[Line]) -> None:
        items, key = [line.item for line in chunk], str(uuid.uuid4())
        if self.mark is not None:
            mark = self.mark(chunk[-1])
            items[-1] = f'{items[-1][:-1]},"key":{json.dumps(mark)}}}'
            key = hashlib.sha256(f"{self._life}|{mark}".encode()).hexdigest()
        body = f'{{"items":[{",".join(items)}]}}'.encode()
        request = self._in_hand = Request(
            "POST", self._path, body, key=Key(key), wait=SLOW, traceparent=self.parent
        )
        call: Call[Reply] = Call(request, lambda reply: reply, whole=True)
        vain = never_fits(len(chunk))
        reply = self._api.run(persist(call, self._api.setup.terms, key=request.key, endless=FULL, vain=vain))
        self._in_hand = None
        self._count(reply, ours=self._api.repeated)

    def _count(self, reply: Reply, *, ours: bool) -> None:
        """Count a chunk; a replay is of another push of the same file, unless the request was ``ours``."""
        items = json.loads(reply.body)["items"]
        known = sum(item.get("duplicate", False) for item in items)
        if "idempotent-replayed" in reply.headers and not ours:
            known = len(items)
        self.known += known
        self.new += len(items) - known

    def _refuse(self, refused: ServerRefused, chunk: Sequence[Line]) -> NoReturn:
        """Push what is before the item at fault, which kept all of its chunk out, and raise."""
        found = _ITEM.match(refused.field or "")
        if found is None:
            raise refused
        at = int(found[1])
        self.push(chunk[:at])
        raise BadLine(f"line {chunk[at].number:,}: {_ITEM.sub('', str(refused))}") from refused
