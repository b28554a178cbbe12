"""The caller of a request: who asks, and what that one may do."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from ..errors import Forbidden, QueueUnknown
from .roles import ROLES, Grant, Grants, Need, Role

CALLER: Final = "dibs.caller"
"""In a scope: the `Caller` of the request."""
TAG: Final = 8
"""Characters by which the tokens of a caller's leases are known as its own."""


class Caller:
    """Who asks. ``name`` is shown and logged; ``keys`` is what its idempotency keys are filed under.

    Both are those of all tokens of one name, so that a token can be replaced in the middle of the work.
    ``tag`` is at the end of its leases' tokens.
    """

    __slots__ = ("grants", "keys", "name", "tag", "token")

    def __init__(self, name: str, grants: Grants, *, token: str = "", known: bool = True) -> None:
        self.name = name
        self.token = token
        self.grants = grants
        self.keys = name if known else ""
        self.tag = blake2b(name.encode(), digest_size=TAG // 2).hexdigest() if known else ""

    def may(self, need: Need, queue: str) -> bool:
        """Whether it may do on a queue what needs this role; "" stands for the whole server."""
        if need in self.grants.everywhere or need == "none":
            return True
        if not queue:
            return need == "any"
        roles = self.grants.of(queue)
        return need in roles or (need == "any" and bool(roles))

    def check(self, need: Need, queue: str) -> None:
        """Refuse what the caller may not do.

        Raises:
            QueueUnknown: It has no role for the queue: it learns nothing of it, not even that it is there.
            Forbidden: It lacks the role.
        """
        if self.may(need, queue):
            return
        if queue and not self.grants.of(queue):
            raise QueueUnknown(f"there is no queue {queue}", field="queue")
        has = self.grants.of(queue) if queue else self.grants.everywhere
        told = ", ".join(role for role in ROLES if role in has) or "none"
        where = f"queue {queue}" if queue else "all queues"
        raise Forbidden(f"this needs the role {need} for {where}, and the roles of {self.name} are: {told}")

    def sees(self, queue: str, role: Role | None = None) -> bool:
        """Whether it has a role for the queue: this one, or any."""
        grants = self.grants
        if role is None:
            return bool(grants.everywhere or grants.of(queue))
        return role in grants.everywhere or role in grants.of(queue)


ANYBODY: Final = Caller("anybody", Grants([Grant("admin")]), known=False)
"""Whoever asks a server that wants no token: everybody who reaches it may do everything."""
