"""Idempotency keys, as headers say them."""

from __future__ import annotations

import re
from typing import Final

from ..ledger.serve import Key
from ..sources.encode import MAX_SAFE
from .problems import invalid, over

KEY: Final = "Idempotency-Key"
SEQUENCE: Final = "Idempotency-Sequence"
_BARE: Final = re.compile(rb"[!#-~](?:[ -~]*[!-~])?")
_QUOTED: Final = re.compile(rb'"((?:[^"\\]|\\["\\])*)"')
_PRINTABLE: Final = re.compile(rb"[\x20-\x7e]+")
_COUNT: Final = re.compile(rb"[0-9]{1,16}")


def read_key(raw: bytes | None, sequence: bytes | None, limit: int) -> Key | None:
    """The key of a request, of at most ``limit`` bytes, and its number in a session; yet without a digest.

    Raises:
        RequestRefused, LimitExceeded: One of the two headers is not what it should be.
    """
    if raw is None:
        if sequence is not None:
            raise invalid(SEQUENCE, f"it goes with an {KEY}, and the request has none")
        return None
    key = raw.strip(b" \t")
    if len(key) > limit or not _BARE.fullmatch(key):
        key = _unquoted(key, limit)
    return Key(key.decode("ascii"), "", 0 if sequence is None else _number(sequence))


def pattern(limit: int) -> str:
    """The keys of at most ``limit`` bytes, bare or quoted, as a regular expression of JSON Schema."""
    more = rf"|[!#-~][ -~]{{0,{limit - 2}}}[!-~]" if limit > 1 else ""
    return rf'^(?:[!#-~]{more}|"(?:[ !#-\[\]-~]|\\["\\]){{1,{limit}}}")$'


def _unquoted(key: bytes, limit: int) -> bytes:
    """A quoted key (RFC 8941 section 3.3.3) is the same as the bare one."""
    if key.startswith(b'"'):
        quoted = _QUOTED.fullmatch(key)
        if quoted is None:
            raise invalid(KEY, "the quoted text has no end, or something follows it")
        key = re.sub(rb"\\(.)", rb"\1", quoted[1])
    if not key:
        raise invalid(KEY, "it is empty", limit)
    if len(key) > limit:
        raise over(KEY, f"{len(key)} bytes; the limit is {limit}", limit)
    if not _PRINTABLE.fullmatch(key):
        raise invalid(KEY, "only printable ASCII characters can be in it")
    return key


def _number(raw: bytes) -> int:
    found = _COUNT.fullmatch(raw.strip(b" \t"))
    number = int(found[0]) if found else 0
    if not 1 <= number <= MAX_SAFE:
        raise invalid(SEQUENCE, f"it must be a whole number from 1 to {MAX_SAFE}", f"1..{MAX_SAFE}")
    return number
