"""The tokens of one server, all of them in memory, and who shows which."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from hmac import compare_digest
from typing import Any, Final, NamedTuple, Protocol

from ..errors import LimitExceeded
from ..ledger.access import KEPT, AccessToken, AddToken, RevokeToken
from . import secrets
from .caller import ANYBODY, Caller
from .roles import Grant, Grants
from .secrets import Credential

TOKENS_MOST: Final = 10_000
"""Tokens of one server, those that count no more included."""
LOOK_EVERY: Final = 60.0
"""Seconds after which a token that expires is looked at again, as the clock may have been set."""
NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}"
"""What a token, and so its owner, may be called."""


class Shelf(Protocol):
    """Where the tokens are kept."""

    def access_tokens(self) -> list[AccessToken]:
        """All of them."""

    def commit(self, op: Any) -> asyncio.Future[Any]:
        """Put an op on the disk; the future has its outcome."""

    def now(self) -> int:
        """Ledger time."""


class Held(NamedTuple):
    """A token of the ledger, and its owner."""

    token: AccessToken
    caller: Caller


class Book:
    """Who may ask. Lives on the event loop, which alone touches it.

    It owns the tokens by their ids, and the timers of those that end. ``locked``: a token is asked for; that
    stays so for as long as there is a ledger, even if all are revoked. ``lost`` are told of each caller that
    may ask no more.
    """

    def __init__(
        self,
        shelf: Shelf,
        from_file: Sequence[bytes],
        *,
        locked: bool,
        lost: Sequence[Callable[[Caller], None]] = (),
    ) -> None:
        self._shelf = shelf
        self._held = {token.id: _held(token) for token in shelf.access_tokens()}
        self._from_file = _admins(from_file)
        self.locked = locked or bool(self._held or self._from_file)
        self._lost = lost
        self._ends: dict[str, asyncio.TimerHandle] = {}
        for id in self._held:
            self._expire(id)

    def caller(self, shown: Credential) -> Caller | None:
        """Whose token that is; None if it is none that counts now."""
        held = self._held.get(shown.id)
        if held is not None:
            token, caller = held
            if not compare_digest(token.digest, shown.digest):
                return None
            lasts = token.revoked is None and token.expires is None  # as a rule, and quicker
            return caller if lasts or token.good(self._shelf.now()) else None
        for credential, caller in self._from_file.values():
            if compare_digest(credential.digest, shown.digest):
                return caller
        return None

    def owner(self, token: str) -> Caller | None:
        """The owner of the token with this id; None if that does not count now."""
        held = self._held.get(token)
        if held is not None:
            return held.caller if held.token.good(self._shelf.now()) else None
        return self._from_file[token][1] if token in self._from_file else None

    def good(self, caller: Caller) -> bool:
        """Whether somebody who was let in may still ask."""
        if caller is ANYBODY:
            return not self.locked
        return not caller.token or self.owner(caller.token) is caller

    @property
    def tokens(self) -> list[AccessToken]:
        """The tokens of the ledger in the order in which they were made, those that count no more too."""
        return [held.token for held in self._held.values()]

    async def new(
        self, name: str | None, grants: Grants, *, ttl: int | None, maker: str
    ) -> tuple[AccessToken, str]:
        """Make a token, which counts as soon as it is on disk; its row, and the token itself.

        Raises:
            LimitExceeded: There are as many as there may be.
            LedgerError: It could not be put on the disk.
        """
        check_room(len(self._held))
        row, token = row_of(name, grants, maker)
        added: AccessToken = await self._shelf.commit(AddToken(row, ttl))
        before = added.created - KEPT
        self._held = {id: held for id, held in self._held.items() if not _is_over(held.token, before)}
        self._held[added.id] = _held(added)
        self._expire(added.id)
        if not self.locked:
            self.locked = True
            self._tell(ANYBODY)
        return added, token

    async def revoke(self, id: str) -> AccessToken | None:
        """Revoke a token, here at once and then on the disk; its row, None if there is none.

        Raises:
            LedgerError: It may not be on the disk: then a restart would forget it.
        """
        held = self._held.get(id)
        if held is None:
            return None
        if held.token.revoked is None:
            now = self._shelf.now()
            self._held[id] = held._replace(token=replace(held.token, revoked=now))
            self._tell(held.caller)
        revoked: AccessToken | None = await self._shelf.commit(RevokeToken(id))
        return revoked

    def follow(self, from_file: Sequence[bytes]) -> bool:
        """Take the tokens that are in the admin's file now; whether these are others.

        Those that are there no more count no more.
        """
        before, self._from_file = self._from_file, _admins(from_file)
        for id, (credential, caller) in before.items():
            if id in self._from_file:
                self._from_file[id] = credential, caller
            else:
                self._tell(caller)
        self.locked = self.locked or bool(self._from_file)
        return before.keys() != self._from_file.keys()

    def close(self) -> None:
        """Tell nobody any more: another book takes its place."""
        for end in self._ends.values():
            end.cancel()
        self._ends.clear()

    def _expire(self, id: str) -> None:
        """Tell of a token's end when it comes: who was let in before may still wait, or send a body."""
        self._ends.pop(id, None)
        held, now = self._held.get(id), self._shelf.now()
        if held is None or held.token.revoked is not None or held.token.expires is None:
            return
        if now < held.token.expires:
            pause = min((held.token.expires - now) / 1000, LOOK_EVERY)
            self._ends[id] = asyncio.get_running_loop().call_later(pause, self._expire, id)
        else:
            self._tell(held.caller)

    def _tell(self, caller: Caller) -> None:
        for lost in self._lost:
            lost(caller)


def _admins(from_file: Sequence[bytes]) -> dict[str, tuple[Credential, Caller]]:
    """The owners of tokens in an admin's file. An id is of the digest: another token has another one."""
    found = {}
    for token in from_file:
        credential = Credential.of(token)
        id = f"file-{credential.digest.hex()[:10]}"
        found[id] = credential, Caller("admin", Grants([Grant("admin")]), token=id)
    return found


def check_first(grants: Grants) -> None:
    """Refuse a first token that would lock everybody out: with it, a token is asked for.

    Raises:
        ValueError: It is such a one.
    """
    if not grants.total:
        raise ValueError(
            "the first token of a ledger is an admin's, for all queues: else nobody could make others"
        )


def check_room(known: int) -> None:
    """Refuse a token where there are as many as there may be.

    Raises:
        LimitExceeded: So it is.
    """
    if known >= TOKENS_MOST:
        raise LimitExceeded(
            f"a ledger has at most {TOKENS_MOST} tokens; the revoked ones go after 30 days",
            field="tokens",
            limit=TOKENS_MOST,
        )


def row_of(name: str | None, grants: Grants, maker: str) -> tuple[AccessToken, str]:
    """The row of a new token, which is called by its id unless it has a name; and the token itself."""
    token, kept = secrets.new()
    return AccessToken(kept.id, name or kept.id, kept.digest, str(grants), maker), token


def _held(token: AccessToken) -> Held:
    grants = Grants([Grant.read(text) for text in token.grants.split()])
    return Held(token, Caller(token.name, grants, token=token.id))


def _is_over(token: AccessToken, before: int) -> bool:
    ends = [at for at in (token.revoked, token.expires) if at is not None]
    return bool(ends) and min(ends) < before
