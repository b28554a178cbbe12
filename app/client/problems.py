"""Problems (RFC 9457) as a server sends them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from .errors import TYPE, Problem
from .text import decode


def problem_of(body: bytes, headers: Mapping[str, str]) -> Problem | None:
    """The problem of an answer, in the server's own words; None if it has none."""
    try:
        found = problem_from(decode(body))
    except ValueError:
        return None
    asked = headers.get("retry-after", "")
    if found is not None and found.retry_after is None and asked.isdecimal():
        return replace(found, retry_after=float(asked))
    return found


def problem_from(members: Any) -> Problem | None:
    """A problem as a JSON object has it."""
    if not isinstance(members, dict) or not str(members.get("type", "")).startswith(TYPE):
        return None
    handed_out: Literal["no", "maybe"] = "no" if members.get("handed_out") == "no" else "maybe"
    after = members.get("retry_after")
    return Problem(
        members["type"].removeprefix(TYPE),
        int(members.get("status", 0)),
        str(members.get("detail", "")),
        handed_out,
        members.get("retryable") is True,
        members.get("field"),
        members.get("limit"),
        float(after) if isinstance(after, int | float) else None,
        members,
    )
