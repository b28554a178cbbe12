"""Idempotency keys: those of the user's own, and the sessions under which a client's requests are counted."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from ..iterators import fork

KEY_BYTES: Final = 255
_KEY: Final = re.compile(rf"(?! )[ -~]{{1,{KEY_BYTES}}}(?<! )")
_SHOWN: Final = 64


class Key(NamedTuple):
    """The key of one request and of its repeats. ``n`` is its number in a session; 0: it is in none."""

    text: str
    n: int = 0

    @property
    def field(self) -> str:
        """The key as the header has it: quoted (RFC 8941) if it would itself be read as a quoted one."""
        if not self.text.startswith('"'):
            return self.text
        escaped = self.text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'


def own(key: str | None) -> Key | None:
    """The user's own key; one that a header can't carry as it is is refused before anything is sent.

    Raises:
        TypeError: It is no text.
        ValueError: It is not 1 to 255 printable ASCII characters, or a blank is its first or last one.
    """
    if key is None:
        return None
    if not isinstance(key, str):
        raise TypeError(f"an idempotency key must be a text, not a {type(key).__name__}")
    if not _KEY.fullmatch(key):
        raise ValueError(
            f"the idempotency key {key[:_SHOWN]!a} ({len(key)} characters) is not 1 to {KEY_BYTES} "
            "printable ASCII characters without a blank at its begin or end"
        )
    return Key(key)


class Session:
    """A key whose requests are counted up, one after the other (``Idempotency-Sequence``).

    The answer of each takes the place of the one before in the server's ledger. A number is never used for
    another request: a request that was given up is refused where it arrives after a later one, so that
    nothing is handed out to nobody.
    """

    __slots__ = ("_n", "_text", "process")

    def __init__(self, text: str) -> None:
        self._text = text
        self._n = 0
        self.process = fork.process()

    def next(self) -> Key:
        """The key of the next request."""
        self._n += 1
        return Key(self._text, self._n)


class Sessions:
    """The sessions of one client. A flow takes one for a request and gives it back, so none is used by two.

    There are as many as requests were ever on their way at once. A forked child uses none of its parent's.
    Threads and finalizers may take and give back at any moment: the deque of free sessions needs no lock.
    Until the server has said that it counts requests, each has a session of its own.
    """

    def __init__(self, new_key: Callable[[], str]) -> None:
        self.new_key = new_key
        self.counted = False  # whether the server has said that it counts requests
        self._free: deque[Session] = deque()

    @contextmanager
    def lent(self) -> Iterator[Key]:
        """Lend a session for one request, and give its key. A late arrival of the request is superseded."""
        session = self.take()
        try:
            yield session.next()
        finally:  # whatever became of the request
            self.give(session)

    def take(self) -> Session:
        """The session that was given back last, so that what was given up under it is superseded soon."""
        while self.counted:
            try:
                session = self._free.pop()
            except IndexError:
                break
            if session.process is fork.process():
                return session
        return Session(self.new_key())

    def give(self, session: Session) -> None:
        """Give a session back. In a child, the parent's sessions are dropped."""
        if self.counted and session.process is fork.process():
            self._free.append(session)
