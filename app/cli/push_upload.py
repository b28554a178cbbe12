"""Pushes items into one queue, in chunks; whatever is lost on the way is sent again, and goes in once."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from .changes import path_of
from .push_lines import CHUNK_ITEMS, Line

if TYPE_CHECKING:
    import httpx

    from .http import Api

_CREATED, _TOO_MANY = 201, 429
_PAUSE: Final = 1.0
_ITEM: Final = re.compile(r"items\.(\d+)\b")


class Refused(Exception):
    """The server takes no more items. ``line`` is the number of the line at fault, if there is one."""

    def __init__(self, response: httpx.Response, line: int | None) -> None:
        super().__init__(str(response.status_code))
        self.response = response
        self.line = line


class Upload:
    """The items that went into one queue: ``new`` ones, and ``known`` ones, which it had already.

    A chunk with a mark is sent under a key that is made of the mark, so that of several pushes of the same
    file at the same time one pushes it. The key is another one when the queue was made anew or purged.


    ``full`` is called with the seconds of a wait for a full queue, and the reason. ``mark`` gives the key of
    a chunk that ends with a line, where it has one.
    """

    def __init__(self, api: Api, queue: Mapping[str, Any], full: Callable[[float, str], None]) -> None:
        self._api = api
        self._path = f"{path_of(queue['queue'])}/items"
        self._life = f"{queue['created_at']}|{queue['purged']}"
        self._full = full
        self._most = CHUNK_ITEMS
        self._in_hand: tuple[bytes, str] | None = None
        self.mark: Callable[[Line], str] | None = None
        self.new = self.known = 0

    def push(self, lines: Sequence[Line]) -> None:
        """Push items in their order; wait while the queue is full.

        Raises:
            Refused: All before the refused line is in.
        """
        while lines:
            chunk = lines[: self._most]
            response = self._send(chunk)
            if response.status_code == _CREATED:
                lines = lines[len(chunk) :]
                continue
            fewer = self._takes_fewer(response)
            if response.status_code == _TOO_MANY:
                self._wait(response)
            elif not fewer:
                self._refuse(response, chunk)

    def finish(self, timeout: float) -> bool:
        """Send once more what has no answer, and count it; False if it got none in ``timeout`` seconds."""
        if self._in_hand is None:
            return True
        body, key = self._in_hand
        response = self._api.once("POST", self._path, headers=_headers(key), content=body, timeout=timeout)
        if response is None or response.status_code != _CREATED:
            return False
        self._count(response, ours=True)
        return True

    def _send(self, chunk: Sequence[Line]) -> httpx.Response:
        items, key = [line.item for line in chunk], str(uuid.uuid4())
        if self.mark is not None:
            mark = self.mark(chunk[-1])
            items[-1] = f'{items[-1][:-1]},"key":{json.dumps(mark)}}}'
            key = hashlib.sha256(f"{self._life}|{mark}".encode()).hexdigest()
        body = f'{{"items":[{",".join(items)}]}}'.encode()
        self._in_hand = body, key
        response = self._api.send("POST", self._path, headers=_headers(key), content=body)
        self._in_hand = None
        if response.status_code == _CREATED:
            self._count(response, ours=self._api.repeated)
        return response

    def _count(self, response: httpx.Response, *, ours: bool) -> None:
        """Count a chunk; a replay is of another push of the same file, unless the request was ``ours``."""
        items = response.json()["items"]
        known = sum(item.get("duplicate", False) for item in items)
        if "idempotent-replayed" in response.headers and not ours:
            known = len(items)
        self.known += known
        self.new += len(items) - known

    def _takes_fewer(self, response: httpx.Response) -> bool:
        """Whether smaller chunks may fit, into a queue or a server that takes few items at once."""
        problem = _object(response)
        limit = problem.get("limit") if problem.get("field") == "items" else None
        if not isinstance(limit, int) or limit // 2 >= self._most or self._most == 1:
            return False
        self._most = max(1, limit // 2)
        return True

    def _wait(self, response: httpx.Response) -> None:
        """Wait for room in the queue."""
        after = response.headers.get("retry-after", "")
        seconds = float(after) if after.isdigit() else _PAUSE
        self._full(seconds, str(_object(response).get("detail", "")))
        self._api.sleep(seconds)

    def _refuse(self, response: httpx.Response, chunk: Sequence[Line]) -> NoReturn:
        """Push what is before the item at fault, which kept all of its chunk out, and raise."""
        at = _item_at_fault(response)
        if at is not None:
            self.push(chunk[:at])
        raise Refused(response, None if at is None else chunk[at].number)


def _headers(key: str) -> dict[str, str]:
    return {"Content-Type": "application/json", "Idempotency-Key": key}


def _item_at_fault(response: httpx.Response) -> int | None:
    """The place of the item that a refusal is about."""
    found = _ITEM.match(str(_object(response).get("field", "")))
    return int(found[1]) if found else None


def _object(response: httpx.Response) -> Mapping[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
