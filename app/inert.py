"""Text for terminals and logs: characters that would act there, instead of being shown, are written out.

Values, errors, names of workers and of files come from strangers. Shown raw, they could set a
terminal's title, move its cursor, or turn a line around so that it reads as another one (CVE-2021-42574).
"""

from __future__ import annotations

import json
import re
from typing import Final

_ACTING: Final = (
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # marks, embeddings, overrides and isolates of direction
    "\u2028\u2029\ufff9-\ufffb\U000e0000-\U000e007f"  # line ends, annotations and tags that nobody sees
    "\ud800-\udfff"  # half a surrogate pair: bytes that were no text; printing it fails
)
PATTERN: Final = "^[^{}]*$".format(_ACTING.replace("\ud800-\udfff", ""))
"""As a JSON Schema has it; text that came as UTF-8 has no half of a surrogate pair."""

_BREAKS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_acts = re.compile(f"[{_ACTING}]")
_acts_in_lines = re.compile(f"(?![\n\t])[{_ACTING}]")


def acts(text: str) -> bool:
    """Whether the text has a control, C1, direction or other acting character, or half a surrogate pair."""
    return _acts.search(text) is not None


def inert(text: str, *, lines: bool = False) -> str:
    r"""The text with each acting character written out: ``\x1b``, ``\u202e``.

    ``lines``: line feeds and tabs stay, for what has several lines.
    """
    if lines:
        return _acts_in_lines.sub(_written, text.replace("\r\n", "\n"))
    return _acts.sub(_written, text)


def inert_json(text: str) -> str:
    r"""A JSON text that says the same with ``\u`` escapes; the white space between its parts stays."""
    return _acts_in_lines.sub(_escaped, text)


def line(value: int | str) -> str:
    """A value, which is JSON text, on one line: text as it is, everything else as JSON.

    Text with line breaks or other control characters stays JSON, in quotes and escaped: a line is a value,
    and a terminal is not written to by data.
    """
    if not isinstance(value, str):
        return str(value)
    if not value.startswith('"'):
        return inert_json(value) if _BREAKS.search(value) else value
    text: str = json.loads(value)
    return json.dumps(text) if _BREAKS.search(text) else text


def _written(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code <= 0xFFFF:  # noqa: PLR2004
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
