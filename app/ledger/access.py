"""The tokens by which callers show who they are, as the ledger keeps them, and the ops on them.

* **Durable before shown.** A token is given to its owner when its row is on disk.
* **Hashed.** The ledger has the SHA-256 of a token: it is 256 random bits, so nobody finds it by trying, and
  a slow hash would slow requests alone.
* **Never none again.** Rows that mean nothing any more are removed only by :class:`AddToken`.
"""

from __future__ import annotations

from dataclasses import dataclass

KEPT = 30 * 86_400_000
"""Milliseconds for which a token stays in lists when it is revoked or has expired."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token. ``grants``: its roles, each with a pattern of queues; ``maker``: who has made it.

    Instants are ledger milliseconds; ``expires`` None: never.
    """

    id: str
    name: str
    digest: bytes
    grants: str
    maker: str
    created: int = 0
    expires: int | None = None
    revoked: int | None = None

    def good(self, now: int) -> bool:
        """Whether it counts at an instant."""
        return self.revoked is None and (self.expires is None or now < self.expires)


@dataclass(frozen=True, slots=True)
class AddToken:
    """Add a token that is ``created`` now; its row is the outcome. ``ttl`` (milliseconds): until it expires.

    Those that are revoked or expired for longer than :data:`KEPT` are removed.
    """

    token: AccessToken
    ttl: int | None = None


@dataclass(frozen=True, slots=True)
class RevokeToken:
    """Revoke a token. The outcome is its row; None if there is none. One that was revoked stays so."""

    id: str
