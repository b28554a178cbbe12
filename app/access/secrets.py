"""The secrets of tokens: made, and read from a header.

A token is ``dibs_ID_SECRET``: an id that may be seen, by which it is found, and 256 random bits. A header is
compared by its SHA-256 with that of one token, in constant time, so that no answer tells by its time how much
of a guess was right. Nothing here keeps a secret, or shows one.
"""

from __future__ import annotations

import re
from hashlib import sha256
from secrets import token_hex, token_urlsafe
from typing import Final, NamedTuple

PREFIX: Final = "dibs_"
ID_BYTES: Final = 5
SECRET_BYTES: Final = 32
TOKEN_MOST: Final = 255
"""Bytes of a token; those of an admin's file may be longer than ours."""

_BEARER: Final = re.compile(rb"bearer +([!-~]{1,%d}) *" % TOKEN_MOST, re.IGNORECASE)
_WHOLE: Final = re.compile(rf"(dibs_[0-9a-f]{{{2 * ID_BYTES}}}_)[A-Za-z0-9_-]+")
_ID: Final = re.compile(rb"dibs_([0-9a-f]{%d})_" % (2 * ID_BYTES))


class Credential(NamedTuple):
    """What somebody shows: the id that it names, and the digest of all of it. It is no secret any more."""

    id: str
    digest: bytes

    @classmethod
    def of(cls, token: bytes) -> Credential:
        """That of a token."""
        named = _ID.match(token)
        return cls(named[1].decode() if named else "", sha256(token).digest())


def new() -> tuple[str, Credential]:
    """A new token, and what is kept of it."""
    token = f"{PREFIX}{token_hex(ID_BYTES)}_{token_urlsafe(SECRET_BYTES)}"
    return token, Credential.of(token.encode())


def bearer(authorization: bytes) -> Credential | None:
    """The credential of an ``Authorization`` header; None if that is none of a bearer (RFC 6750)."""
    found = _BEARER.fullmatch(authorization)
    return Credential.of(found[1]) if found else None


def without_secret(text: str) -> str:
    """A text that somebody wrote, perhaps with a token of ours in it, of which the id stays."""
    return _WHOLE.sub(r"\1…", text) if PREFIX in text else text
