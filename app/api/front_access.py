"""Access to what a front answers itself: by the tokens in the database, whether anybody owns or not."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from ..access.caller import Caller
from ..errors import ConfigError, Forbidden, NotOwner
from .access import Access, Headers
from .problems import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..config import Settings
    from ..ledger.access import AccessToken

    Read = Callable[[], Awaitable[tuple[list[AccessToken], int]]]


log = logging.getLogger("dibs.api")


class _Shelf:
    """Tokens as they were read; nothing is put there."""

    def __init__(self, tokens: list[AccessToken], now: int) -> None:
        self._tokens, self._now = tokens, now

    def access_tokens(self) -> list[AccessToken]:
        return self._tokens

    def commit(self, op: Any) -> asyncio.Future[Any]:
        """Refuse: requests that change tokens are passed on."""
        raise NotOwner("the server that owns the ledger changes its tokens; ask again", retry_after=1.0)

    def now(self) -> int:
        return self._now


class FrontAccess:
    """Lets requests in at a front. It owns an ``Access`` with the tokens that were read last.

    The page's sessions are the owner's: a cookie counts for nothing here.
    """

    def __init__(self, settings: Settings, read: Read) -> None:
        self._settings = settings
        self._access = Access(settings)
        self._read = read
        self._tokens: list[AccessToken] | None = None

    async def admit(self, scope: Any, headers: Headers) -> Caller:
        """Who asks, as ``Access.admit``.

        Raises:
            LedgerUnavailable: The tokens could never be read.
            Forbidden: Other machines reach this server, and there is no token.
        """
        tokens, now = await self._read()
        if tokens is not self._tokens:
            self._check_file()
            self._access.close()
            try:
                self._access.open(_Shelf(tokens, now))
            except ConfigError as error:
                raise Forbidden(str(error)) from None
            self._tokens = tokens
        return self._access.admit(scope, headers)

    async def check(self) -> None:
        """Look whether this server could open its access as the owner.

        Raises:
            LedgerUnavailable: The tokens could never be read.
            ConfigError: Other machines reach it, and there is no token; or the admin's file can't be read.
        """
        tried = Access(self._settings)
        tried.open(_Shelf(*await self._read()))
        tried.close()

    def _check_file(self) -> None:
        """Only the log says where the admin's file is."""
        try:
            self._access.read_file()
        except ConfigError as error:
            log.warning("%s", error)
            raise RequestRefused("not-ready", "the file with the admin's token can't be read") from None
