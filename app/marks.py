"""Marks: what is kept of the last value that a source gave, so that it can go on after a restart."""

from __future__ import annotations

import json
from hashlib import blake2b


def digest(text: str) -> str:
    """The digest of a value's JSON text: 128 bits of BLAKE2b (RFC 7693), in hex."""
    return blake2b(text.encode(), digest_size=16).hexdigest()


def plain(text: str) -> str:
    """What a JSON text says: a number's digits, or a string without its quotes."""
    return str(json.loads(text))
