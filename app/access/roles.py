"""Roles, and for which queues somebody has them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from typing import Final, Literal, NamedTuple, get_args

Role = Literal["consume", "produce", "read", "operate", "admin"]
Need = Literal["consume", "produce", "read", "operate", "admin", "any", "none"]
"""What a route needs: a role; ``any`` of them; or ``none``: whoever reaches the port may ask."""

ROLES: Final[tuple[Role, ...]] = get_args(Role)
HOLDS: Final[dict[Role, frozenset[Role]]] = {
    "consume": frozenset({"consume"}),
    "produce": frozenset({"produce"}),
    "read": frozenset({"read"}),
    "operate": frozenset({"operate", "read"}),
    "admin": frozenset(ROLES),
}
"""The roles that each role holds: an operator looks, too, and an admin may do everything."""

ALL: Final = "*"
"""The pattern of all queues; what belongs to no queue needs a role for it."""
PATTERN: Final = re.compile(r"[a-z0-9._*?-]{1,64}")
KNOWN_MOST: Final = 4_096
"""Queues whose roles are remembered of one caller; then that begins anew."""


class Grant(NamedTuple):
    """A role for the queues whose names match a pattern: ``*`` is any text, ``?`` one character."""

    role: Role
    queues: str = ALL

    def __str__(self) -> str:
        return f"{self.role}:{self.queues}"

    @classmethod
    def read(cls, text: str) -> Grant:
        """A grant as :meth:`__str__` writes it; a role alone is for all queues.

        Raises:
            ValueError: There is no such role, or it is no pattern of names.
        """
        role, colon, queues = text.partition(":")
        for known in ROLES:
            if role == known:
                return cls(known, _pattern(queues) if colon else ALL)
        raise ValueError(f"there is no role {role[:64]!r}; the roles are {', '.join(ROLES)}")


def _pattern(text: str) -> str:
    if not PATTERN.fullmatch(text):
        raise ValueError(
            f"{text[:64]!r} is no pattern of queues' names: it has 1 to 64 characters of a-z 0-9 . _ - * ?"
        )
    return text


class Grants:
    """What somebody may do. Lives on the event loop, which alone touches it."""

    def __init__(self, grants: Iterable[Grant]) -> None:
        self.all = tuple(dict.fromkeys(grants))
        self._matching = [(re.compile(translate(queues)).match, HOLDS[role]) for role, queues in self.all]
        self._known: dict[str, frozenset[Role]] = {}
        self.everywhere: frozenset[Role] = frozenset().union(
            *(HOLDS[role] for role, queues in self.all if queues == ALL)
        )
        self.somewhere: frozenset[Role] = frozenset().union(*(HOLDS[role] for role, _ in self.all))

    def of(self, queue: str) -> frozenset[Role]:
        """The roles for a queue."""
        known = self._known.get(queue)
        if known is None:
            if len(self._known) >= KNOWN_MOST:
                self._known.clear()
            known = frozenset().union(*(roles for match, roles in self._matching if match(queue)))
            self._known[queue] = known
        return known

    @property
    def total(self) -> bool:
        """Whether nothing is out of reach."""
        return "admin" in self.everywhere

    def __str__(self) -> str:
        return " ".join(map(str, self.all))
