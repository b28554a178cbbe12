"""Terms: which server of several owns a ledger, and since when; what a server asks of the database for that.

One server decides at a time, the owner. The time of one owner is a term; terms are numbered, each higher than
the one before. How the database gives a ledger to one server and keeps the others out is the engine's.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import NamedTuple, Protocol

from .access import AccessToken
from .engine import Engine


class Owner(NamedTuple):
    """The owner in a term: the id of the server, and the URL where others reach it."""

    term: int
    server: str
    url: str


class Peer(NamedTuple):
    """A server of the ledger: ``seen`` so many seconds ago. ``note`` says why it can't own; empty: it can.

    ``lag``: by how many transactions its copy of the owner's memory is behind; None where it has no copy.
    ``troubles``: what else is not well with it.
    """

    server: str
    url: str
    version: str
    note: str
    seen: float
    lag: int | None = None
    troubles: tuple[str, ...] = ()


class Survey(NamedTuple):
    """The ledger's servers and their database, as one server saw them.

    ``position`` was reached in ``term`` by the server at ``owner``, ``silent`` seconds ago; the term has
    lasted for ``lasts`` seconds, and is one of ``takeovers`` that began within an hour. ``next_owner`` is the
    id of the server that is next in line. Commits wait for ``standbys_needed`` of the ``standbys``; vacuum is
    held back for ``held`` transactions. ``warnings`` are sentences for an operator.
    """

    position: int
    term: int
    owner: str | None
    silent: float
    lasts: float
    takeovers: int
    peers: tuple[Peer, ...]
    next_owner: str | None
    standbys: int
    standbys_needed: int
    held: int
    warnings: tuple[str, ...]


class Configuration(NamedTuple):
    """The ``queues`` that the configuration of the server at ``address`` has, by their names.

    ``digest`` tells it from others. ``number`` says in which order configurations were applied: the highest
    is that of the last one. Servers with the same digest may have the same number.
    """

    address: str
    digest: str
    queues: tuple[str, ...]
    number: int


class Feed(Protocol):
    """What feeds a warm copy of the owner's memory on another server."""

    closed: bool

    def close(self) -> None:
        """Send nothing more."""


class Copy(Protocol):
    """A warm copy of the memory of another server, which owns; it is used if this one owns next."""

    def hear(self, data: bytes) -> None:
        """Hear what the owner sends."""

    def end(self) -> None:
        """Hear nothing more: the connection to the owner was lost."""


class Term(Protocol):
    """The time of this server as the owner. ``engine`` is loaded, and writes in this term alone.

    ``lost`` is set, on the event loop, when another server has taken over, or when this one can't go on.
    """

    number: int
    engine: Engine
    lost: asyncio.Event

    def trusted(self) -> bool:
        """Whether the server may still answer what changes nothing without asking whether it owns."""

    async def sure(self) -> bool:
        """Ask whether this server still owns the ledger; false once it does not."""

    def feed(self, connection: socket.socket) -> Feed:
        """Send each transaction by this connection, to the server that keeps a copy; to no other any more."""

    async def resign(self) -> None:
        """Let the next server own, as soon as that can be: the engine is closed. Also after a loss."""


class Ledgers(Protocol):
    """The ledger that several servers share, as one of them sees it. Lives on the event loop.

    ``server`` is the id of this one, new at each start. ``secret`` is known to whoever can read the database,
    and to nobody else; it is there once :meth:`open` has returned. ``version`` is that of this server.
    ``warm``: whether it keeps a warm copy while it is next in line, and feeds one while it owns.
    """

    server: str
    secret: bytes
    version: str
    warm: bool

    async def open(self, url: str, news: Callable[[], None]) -> None:
        """Reach the database, and tell the others the URL of this server.

        ``news`` is called on the event loop after each change of :meth:`owner`.

        Raises:
            ConfigError, LedgerError: The database can't be reached or used.
        """

    async def stand(self) -> Term:
        """Wait until this server owns, and load the ledger. Whoever is cancelled here owns nothing.

        Raises:
            LedgerError: The ledger can't be loaded; it may be tried again.
        """

    def owner(self) -> Owner | None:
        """The newest owner that is known, this server too; None while nobody owns, as far as is known."""

    def survey(self) -> Survey | None:
        """What was seen last of the servers and their database; None before the first look."""

    def copy(self, term: int, lost: Callable[[], None]) -> Copy:
        """Begin a copy of the memory of who owns in this term, in the place of one that is there.

        ``lost`` is called on the event loop when it is given up.
        """

    def note(self, text: str) -> None:
        """Tell the others, and whoever looks, why this server can't own; empty: it can."""

    def tell(self, troubles: tuple[str, ...]) -> None:
        """Tell the others, and whoever looks, what else is not well with this server."""

    async def access_tokens(self) -> tuple[list[AccessToken], int]:
        """The tokens of the ledger and ledger time, for a server that does not own; some seconds old.

        Raises:
            LedgerUnavailable: They can't be read, and never were.
        """

    async def configurations(self) -> list[Configuration]:
        """The configurations that servers have brought.

        Raises:
            LedgerUnavailable: They can't be read.
        """

    async def keep(self, one: Configuration) -> None:
        """Keep the configuration of a server.

        Raises:
            LedgerUnavailable: It can't be written.
        """

    async def close(self) -> None:
        """Tell the others that this server is gone, and leave the database."""
