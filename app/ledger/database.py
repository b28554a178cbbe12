"""The address of a ledger in PostgreSQL. Whoever shows it shows no password."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

MASKED: Final = "********"
SCHEMES: Final = ("postgresql://", "postgres://")
_PASSWORD: Final = re.compile(r"(://[^:/?#@]*:).*(?=@)", re.DOTALL)
_PARAMETER: Final = re.compile(r"(?i)((?:^|[?&])[^=&]*(?:password|passwd|secret|token|key)=)[^&]*")


@dataclass(frozen=True, slots=True)
class Database:
    """A database's ``url``, as libpq takes it. As text it is for people: the passwords are masked."""

    url: str = field(repr=False)

    @classmethod
    def read(cls, text: str) -> Database | None:
        """The database that a URL names; None where the text is no such URL, but a folder."""
        return cls(text.strip()) if text.strip().lower().startswith(SCHEMES) else None

    def __str__(self) -> str:
        """Mask what stands between the user and the last @, and parameters that are called as secrets are."""
        server, mark, parameters = self.url.partition("?")
        if "@" in parameters:  # it may be a password with a question mark in it: more is masked than need be
            server, mark, parameters = self.url, "", ""
        return _PASSWORD.sub(rf"\g<1>{MASKED}", server) + mark + _PARAMETER.sub(rf"\1{MASKED}", parameters)

    def __repr__(self) -> str:
        return f"Database({str(self)!r})"
