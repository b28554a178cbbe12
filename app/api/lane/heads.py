"""The meaning of request heads, looked up by their bytes.

Most clients send the same head again and again. What it means depends on nothing but its bytes and the
settings, so it is read once: by the parser that reads all others, the guards of the front door and the
readers of the operations. A head that any of them refuses is none for the fast lane.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from ...access import secrets
from ...access.secrets import Credential
from ...cluster.origin import HOPS, ORIGIN
from ...errors import DibsError
from ...ledger.serve import Key
from .. import bodies
from ..accept import negotiate
from ..access_log import well_formed
from ..admission import HEADERS, Door
from ..guards import BROWSER, HEADERS_MOST
from ..operation import Read
from ..requests import Request
from ..signature import NEXT, queue_of, signature
from ..traces import well_formed as parent_in
from .framing import END, HeadReader, RequestHead

MOST_HEADS: Final = 4_096
"""Heads that are remembered; then it begins anew. A kind of clients sends a few for each queue."""
HEAD_BYTES: Final = 4_096
"""A head that is longer is not remembered: nobody's hot call has one."""


@dataclass(slots=True)
class Head:
    """The meaning of a head: its call, path and queue, the bytes of its body.

    Where no body says what is asked, its request is known, too. ``given``: the id that the client gave it;
    ``parent``: its traceparent.
    ``shown`` is what it shows to be let in by; what that is worth is asked for each request anew.
    """

    read: Read
    path: str
    queue: str
    request: Request | None
    length: int
    given: bytes = b""
    parent: str | None = None
    shown: Credential | None = None


Call = tuple[Head, Key | None, bytes]
"""A hot call that a head begins, its key without a digest, the lines of the answer that say whose it is."""


class Heads:
    """The heads that were read, by their bytes. ``let_in``: whether what a head shows counts now.

    While it is ``off`` no head begins a hot call; it is forgotten with each change of that, so that whoever
    has looked a head up need not look at it.
    """

    def __init__(
        self,
        door: Door,
        calls: dict[str, Read],
        let_in: Callable[[Credential | None], bool] = lambda _: True,
    ) -> None:
        self._door = door
        self._calls = calls
        self._let_in = let_in
        self.known: dict[bytes, Call | None] = {}
        self.edition = 0
        self.off = False

    def forget(self) -> None:
        """Forget all, as the limits have changed; ``edition`` tells whoever remembers a head, too."""
        self.known.clear()
        self.edition += 1

    def read(self, head: bytes) -> Call | None:
        """The meaning of a head; None if the framework must answer the request."""
        if head in self.known:
            return self.known[head]
        if self.off or not head.startswith(b"POST /") or len(head) > HEAD_BYTES:
            return None
        for line, without in ((_REQUEST_ID, self._given), (_TRACEPARENT, self._traced)):
            own = line.search(head)
            if own is not None:  # each is another one, as a rule: what is around it is known
                return without(head[: own.start()] + head[own.end() :], own[1].rstrip(b" \t"))
        reader = HeadReader()
        found = self._read(head, reader)
        if reader.keyed:  # of these each is another one
            return None
        if found is not None and not self._let_in(found[0].shown):
            return found  # who shows nothing that counts makes nobody forget anything
        if len(self.known) >= MOST_HEADS:
            self.known.clear()
        self.known[head] = found
        return found

    def _given(self, rest: bytes, given: bytes) -> Call | None:
        if not well_formed(given) or _REQUEST_ID.search(rest):
            return None  # the framework makes one
        found = self.read(rest)
        return found and (replace(found[0], given=given), *found[1:])

    def _traced(self, rest: bytes, value: bytes) -> Call | None:
        parent = parent_in(value)
        if parent is None or _TRACEPARENT.search(rest):
            return None  # the framework knows what is ignored, and the parser what is no header at all
        found = self.read(rest)
        return found and (replace(found[0], parent=parent), *found[1:])

    def _read(self, head: bytes, reader: HeadReader) -> Call | None:
        try:
            reader.feed(head + END)
            read = reader.head()
            if not read.keep_alive or read.method != "POST" or b"%" in read.path:
                return None
            names = {line[0] for line in read.headers if line != _KEEP_ALIVE}
            if names & _SPECIAL or len(read.headers) > HEADERS_MOST - _OWN_LINES:
                return None
            return self._meaning(read)
        except (DibsError, UnicodeDecodeError):
            return None  # it is refused the ordinary way, in the order of its rules

    def _meaning(self, head: RequestHead) -> Call | None:
        scope: dict[str, Any] = {
            "type": "http",
            "http_version": head.version,
            "method": "POST",
            "path": head.path.decode("ascii"),
            "raw_path": head.path,
            "headers": head.headers,
        }
        path = scope["path"]
        name, operation = queue_of(path), path.rpartition("/")[2]
        read = self._calls.get(operation)
        if read is None or name is None or path not in (NEXT, f"/queues/{name}/{operation}"):
            return None
        self._door.admit(scope)
        headers = scope[HEADERS]
        length = head.length or 0
        if BROWSER in headers:
            return None  # somebody sits at a page: what he does is noted
        if length > (read.limit if read.model else 0) or not (length or read.fixed or read.spec.optional):
            return None
        if length:
            bodies.check_type(headers)
        kind = negotiate(headers.get(b"accept"), text=read.spec.text)
        signed = b"".join([b"%b: %b\r\n" % line for line in signature(scope)])
        query = read.query.parse(head.query)
        request = read.fixed(query, kind) if read.fixed else None
        authorization = headers.get(b"authorization")
        shown = None if authorization is None else secrets.bearer(authorization)
        return Head(read, path, name, request, length, shown=shown), None, signed


_KEEP_ALIVE: Final = (b"connection", b"keep-alive")
_OWN_LINES: Final = 4
"""Headers that the same request may have beside: its key, and its number, and its id, and its trace."""
_REQUEST_ID, _TRACEPARENT = (
    re.compile(rb"\r\n%b:[ \t]*([^\r\n]*)(?=\r\n|\Z)(?!\r\n[ \t])" % name, re.IGNORECASE)
    for name in (b"x-request-id", b"traceparent")
)
_SPECIAL: Final = frozenset(
    {b"transfer-encoding", b"expect", b"upgrade", b"connection", b"trailer", b"te", HOPS, ORIGIN}
)
"""Headers that change how a message is read or answered, or that say whose it is."""
