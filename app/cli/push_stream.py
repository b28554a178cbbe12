"""A resumable stream: the server knows how far it is, byte by byte, under the stream's idempotency key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    import httpx

    from .http import Api

_CREATED, _INVALID, _TOO_MANY = 201, 422, 429
_HEADERS: Final = {"Content-Type": "application/x-ndjson"}
_PAUSE: Final = 1.0
_FEW: Final = 2_000


@dataclass(frozen=True, slots=True)
class Sums:
    """How far a stream is: its bytes, lines and CRC-32 that are on disk, and the items that came of them."""

    bytes: int = 0
    lines: int = 0
    crc: int = 0
    accepted: int = 0
    duplicates: int = 0

    @property
    def items(self) -> int:
        """Items of the stream that the queue has, whether this stream brought them or their key was known."""
        return self.accepted + self.duplicates


class StreamRefused(Exception):
    """The server takes no more of the stream. ``line`` (1-based) is the line at fault, if there is one.

    Every refusal names the line at which it came; only of an invalid request that line is the reason.
    """

    def __init__(self, response: httpx.Response, line: int | None) -> None:
        super().__init__(str(response.status_code))
        self.response = response
        self.line = line


class Stream:
    """One stream into one queue. Whatever is lost on the way is sent again, and goes in once.

    Args:
        api: The server.
        queue: The queue's name.
        key: The stream's idempotency key: the same key goes on where it stopped.
        sums: How far the stream has come, if that is known.
        full: Called with the seconds of a wait for a full queue, and the reason.
    """

    def __init__(
        self,
        api: Api,
        queue: str,
        key: str,
        *,
        sums: Sums | None = None,
        full: Callable[[float, str], None] = lambda seconds, why: None,
    ) -> None:
        self._api = api
        self._path = f"/queues/{quote(queue, safe='')}/items"
        self._headers = _HEADERS | {"Idempotency-Key": key}
        self._full = full
        self._most: int | None = None
        self.sums = sums or Sums()

    def ask(self) -> Sums:
        """How far the stream has come; all zero for one that was never begun.

        Raises:
            StreamRefused: The queue does not take pushes, or there is none.
        """
        response = self._api.send("POST", self._path, headers=self._headers, content=b"")
        if response.status_code != _CREATED:
            raise StreamRefused(response, None)
        self.sums = sums_of(response.json(), self.sums)
        return self.sums

    def ask_once(self, timeout: float) -> bool:
        """Bring ``sums`` up to date, if the server tells where the stream is in ``timeout`` seconds."""
        response = self._api.once("POST", self._path, headers=self._headers, content=b"", timeout=timeout)
        if response is None or response.status_code != _CREATED:
            return False
        self.sums = sums_of(response.json(), self.sums)
        return True

    def send(self, data: bytes) -> Sums:
        """Bring whole lines in, after those that are; waits while the queue is full.

        Raises:
            StreamRefused: All before the refused line is in.
        """
        start = self.sums.bytes
        while self.sums.bytes < start + len(data):
            response = self._api.send(
                "POST",
                self._path,
                params={"offset": self.sums.bytes},
                headers=self._headers,
                content=_lines_of(data[self.sums.bytes - start :], self._most),
            )
            self._take(response)
        return self.sums

    def _take(self, response: httpx.Response) -> None:
        answer = _object(response)
        before = self.sums
        self.sums = sums_of(answer, before)
        if response.status_code == _CREATED:
            if self.sums.bytes == before.bytes:
                raise StreamRefused(response, None)  # never for ever: nothing of it went in
            return
        if response.status_code != _TOO_MANY:
            at_fault = response.status_code == _INVALID and "line" in answer
            raise StreamRefused(response, self.sums.lines + 1 if at_fault else None)
        self._most = _fitting(answer.get("limit"))
        seconds = _retry_after(response)
        self._full(seconds, str(answer.get("detail", "")))
        self._api.sleep(seconds)


def _fitting(limit: object) -> int | None:
    """Lines to send at a time to a queue that holds so few items: more of them might never fit at once."""
    return max(1, limit // 2) if isinstance(limit, int) and limit < _FEW else None


def _lines_of(data: bytes, most: int | None) -> bytes:
    """The first ``most`` lines of whole lines."""
    if most is None:
        return data
    return b"".join(islice(BytesIO(data), most))


def sums_of(answer: Mapping[str, Any], so_far: Sums) -> Sums:
    """The sums that an answer tells: of a success, or of a refusal that tells how far it came."""
    if "bytes" not in answer:
        return so_far
    return Sums(
        bytes=answer["bytes"],
        lines=answer["lines"],
        crc=answer.get("crc32", so_far.crc),
        accepted=answer["accepted"],
        duplicates=answer["duplicates"],
    )


def _object(response: httpx.Response) -> Mapping[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _retry_after(response: httpx.Response) -> float:
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdigit() else _PAUSE
