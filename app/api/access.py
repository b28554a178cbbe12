"""Access: who asks, as a request shows it.

A request shows a token (``Authorization: Bearer``), or the cookie of the page's session; or a proxy that is
trusted names its user. A server that has no tokens asks for none: then everybody is ``ANYBODY``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, Final

from ..access import secrets
from ..access.book import Book, Shelf
from ..access.caller import ANYBODY, Caller
from ..access.roles import Grant, Grants
from ..access.sessions import Sessions
from ..access.throttle import Throttle, address_of
from ..config import Settings, is_loopback
from ..errors import ConfigError, Forbidden, TooManyTries, Unauthenticated
from ..inert import acts
from ..ledger.access import AccessToken
from ..ledger.database import Database
from . import guards
from .problems import RequestRefused

Headers = Mapping[bytes, bytes]

NOBODY: Final = Caller("nobody", Grants(()), known=False)
"""Who has shown nothing, where nothing needs to be shown."""
OPEN: Final = frozenset({*guards.HEALTH, "/", "/page/login", "/page/logout"})
OPEN_FILES: Final = "/page/static/"
"""The paths for which nobody has to show anything: health checks, and the page without what it shows."""
USER_MOST: Final = 255
"""Bytes of a user's name that a proxy tells."""
SECRET_LEAST: Final = 32
"""Characters of a token in an admin's file: fewer could be guessed."""


class _Closed:
    """What there is of tokens until the ledger is open: nothing, and there is nothing to ask for yet."""

    def access_tokens(self) -> list[AccessToken]:
        return []

    def commit(self, op: Any) -> asyncio.Future[Any]:
        raise RequestRefused("not-ready", "the ledger is not open yet")

    def now(self) -> int:
        return 0


class Access:
    """Lets requests in, or refuses them. Lives on the event loop.

    It owns the ``book`` of the tokens, the ``sessions`` of the page, and the throttle of wrong tokens.
    ``lost`` is told of each caller that may ask no more.
    """

    def __init__(self, settings: Settings) -> None:
        self.book, self.sessions = Book(_Closed(), (), locked=False), Sessions(_Closed().now)
        self._settings = settings
        self._proxies = settings.trusted_proxies
        self._users = Grants(map(Grant.read, settings.proxied_roles or ("read",)))
        self._throttle = Throttle(monotonic)
        self.lost: list[Callable[[Caller], None]] = []

    def open(self, queues: Shelf) -> None:
        """Read the tokens of the ledger and of the admin's file.

        Raises:
            ConfigError: Other machines could ask without a token; or the file has none.
        """
        settings = self._settings
        self.book = Book(queues, self.read_file(), locked=bool(self._proxies), lost=self.lost)
        self.sessions = Sessions(queues.now)
        if self.exposed and not self.book.locked:
            make = f"Make one with `dibs token new --role admin --data {settings.data}`"
            if isinstance(settings.data, Database):
                make = (
                    "Give one by admin_token_file (`openssl rand -hex 32` makes it), or make it with `dibs"
                    " token new --role admin` on a server of the same database that listens on 127.0.0.1"
                )
            raise ConfigError(
                f"host {settings.host} can be reached from other machines, and there is no token. {make};"
                " or say --allow-anonymous if whoever reaches the port may do everything; or listen on"
                " 127.0.0.1"
            )

    @property
    def exposed(self) -> bool:
        """Whether other machines reach the server, so that it has to ask for tokens."""
        return not (self._settings.allow_anonymous or is_loopback(self._settings.host))

    def close(self) -> None:
        """Forget the tokens and the sessions: the ledger that has them is closed."""
        self.book.close()
        self.book, self.sessions = Book(_Closed(), (), locked=False), Sessions(_Closed().now)

    def read_file(self) -> list[bytes]:
        """The tokens that are in the admin's file now; from any thread.

        Raises:
            ConfigError: It has none, or can't be read.
        """
        return _read(self._settings.admin_token_file)

    # -- who asks

    def admit(self, scope: Any, headers: Headers) -> Caller:
        """Who asks.

        Raises:
            Unauthenticated: Nothing is shown that counts.
            TooManyTries: As before, and too often.
            Forbidden: Another site's page asks, by the cookie of ours.
        """
        if not self.book.locked:
            return ANYBODY
        caller = self._shown(scope, headers)
        if caller is not None:
            return caller
        if scope["path"] in OPEN or scope["path"].startswith(OPEN_FILES):
            return NOBODY
        if b"authorization" in headers:
            raise self.wrong(scope, headers)
        raise Unauthenticated(
            "a token is needed here: Authorization: Bearer, DIBS_TOKEN or --token-file for the commands;"
            " `dibs token new` makes one"
        )

    def _shown(self, scope: Any, headers: Headers) -> Caller | None:
        """Who is shown, by what counts most."""
        authorization = headers.get(b"authorization")
        if authorization is not None:
            credential = secrets.bearer(authorization)
            return None if credential is None else self.book.caller(credential)
        cookie = _cookie(headers)
        if cookie is not None:
            token = self.sessions.token(cookie)
            caller = None if token is None else self.book.owner(token)
            if caller is not None:
                check_own_page(scope, headers)
                return caller
        return self._user(headers) if self.trusts(scope) else None

    def trusts(self, scope: Any) -> bool:
        """Whether a request comes from a proxy that is trusted."""
        if not self._proxies or not scope.get("client"):
            return False
        address = address_of(scope["client"][0])
        return address is not None and any(address in network for network in self._proxies)

    def _user(self, headers: Headers) -> Caller | None:
        """The user that a trusted proxy names; no token's name has a colon."""
        raw = headers.get(b"x-forwarded-user", b"").strip()
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            return None
        if not name or len(raw) > USER_MOST or acts(name):
            return None
        return Caller(f"user:{name}", self._users)

    def wrong(self, scope: Any, headers: Headers) -> Unauthenticated | TooManyTries:
        """The refusal of a wrong token, which counts against its address."""
        wait = self._throttle.failed(self._address(scope, headers))
        if wait:
            return TooManyTries(
                "too many wrong tokens came from this address; a right one is taken at any time",
                retry_after=wait,
            )
        return Unauthenticated("the token is not valid here: it may be mistyped, expired or revoked")

    def _address(self, scope: Any, headers: Headers) -> str:
        """Where a request comes from; behind a trusted proxy, as that says last."""
        if self.trusts(scope):
            told = headers.get(b"x-forwarded-for", b"").rpartition(b",")[2].strip()
            if told:
                return told[:USER_MOST].decode("latin-1")
        client = scope.get("client")
        return client[0] if client else ""


def check_own_page(scope: Any, headers: Headers) -> None:
    """Refuse a change that is asked for by a cookie, unless a browser says that our own page asks.

    The cookie is ``SameSite=Strict``; this is for pages of other ports, which are of the same site.
    """
    if scope["method"] in guards.READS:
        return
    if b"origin" not in headers and b"sec-fetch-site" not in headers:
        raise Forbidden(
            "a change by the page's cookie has to say that the page asks (Origin)", field="Origin"
        )
    guards.check_site(headers)


def cookie_name(headers: Headers) -> str:
    """The cookie's name: browsers share cookies among the ports of a host, and servers shall not."""
    port = headers.get(b"host", b"").rpartition(b":")[2]
    return f"dibs-{port.decode()}" if port.isdigit() else "dibs"


def _cookie(headers: Headers) -> bytes | None:
    sent = headers.get(b"cookie")
    if sent is None:
        return None
    begin = f"{cookie_name(headers)}=".encode()
    for part in sent.split(b";"):
        if part.strip().startswith(begin):
            return part.strip()[len(begin) :]
    return None


def _read(path: Path | None) -> list[bytes]:
    """The tokens in an admin's file, one a line; nothing of them is told."""
    if path is None:
        return []
    try:
        lines = path.read_bytes().split()
    except OSError as error:
        raise ConfigError(f"admin_token_file {path}: {error.strerror}") from None
    if not lines:
        raise ConfigError(f"admin_token_file {path}: there is no token in it")
    for line in lines:
        if (
            not SECRET_LEAST <= len(line) <= secrets.TOKEN_MOST
            or not line.isascii()
            or not line.decode().isprintable()
        ):
            raise ConfigError(
                f"admin_token_file {path}: a token has {SECRET_LEAST} to {secrets.TOKEN_MOST} printable ASCII"
                " characters, and one of these has not"
            )
    return lines
