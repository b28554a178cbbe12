"""Bytes of a connection that arrived before their turn."""

from __future__ import annotations


class Buffer:
    """Bytes in the order in which they came, ``size`` in all; they are joined only when they are taken."""

    __slots__ = ("_at", "_came", "_data", "size")

    def __init__(self) -> None:
        self._data = b""
        self._at = 0
        self._came: list[bytes] = []
        self.size = 0

    def add(self, data: bytes) -> None:
        """Add bytes at the end."""
        self._came.append(data)
        self.size += len(data)

    def put(self, data: bytes, at: int) -> None:
        """Put back the bytes of ``data`` from ``at`` on, which were taken and not used."""
        self._data, self._at = data, at
        self.size += len(data) - at

    def take(self) -> tuple[bytes, int]:
        """Take all bytes; return them, and the place in them where the unused ones begin."""
        data, at = self._data, self._at
        if self._came:
            data, at = b"".join([data[at:], *self._came]), 0
        self.clear()
        return data, at

    def clear(self) -> None:
        """Drop all bytes."""
        self._data, self._at, self.size = b"", 0, 0
        if self._came:
            self._came = []
