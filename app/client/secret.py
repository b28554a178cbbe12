"""The token that a client shows; it is told in no error, no repr and no log."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

MOST: Final = 255
_TOKEN: Final = re.compile(rf"[!-~]{{1,{MOST}}}")


def token_of(given: str | None) -> str | None:
    """The token that was given, else that of ``DIBS_TOKEN``; None: the client shows none.

    Raises:
        ValueError: It can't be one.
    """
    source, token = ("token", given) if given is not None else ("DIBS_TOKEN", os.environ.get("DIBS_TOKEN"))
    if not token:
        return None
    if not _TOKEN.fullmatch(token):
        raise ValueError(
            f"{source}: a token has 1 to {MOST} printable ASCII characters and no space; this has others"
        )
    return token


def read_token(file: Path) -> str:
    """The token in a file, with or without a line's end.

    Raises:
        OSError: The file can't be read.
        ValueError: There is no token in it, or more than one word.
    """
    words = file.read_bytes().split()
    if len(words) != 1:
        raise ValueError(f"there is {'no token' if not words else 'more than a token'} in it")
    token = token_of(words[0].decode("latin-1"))
    assert token is not None  # noqa: S101  # a word is not empty
    return token
