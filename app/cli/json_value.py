"""JSON that users and commands write, read as strictly as the server reads it."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from ..sources.encode import MAX_DEPTH


class NotJson(ValueError):
    """A text that is no JSON value; the message goes on with a sentence that names the text."""


def json_value(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        NotJson: It is none, has a name twice in an object, or is nested too deeply.
    """
    try:
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_twins)
    except json.JSONDecodeError as error:
        raise NotJson(f"is not JSON: {error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        raise NotJson(f"is not JSON: {error}") from error
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise _too_deep()
    return value


def _is_deeper(value: Any, levels: int) -> bool:
    """How deep the parser itself goes depends on the version of Python."""
    if not isinstance(value, dict | list):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(member, levels - 1) for member in inside)


def _too_deep() -> NotJson:
    return NotJson(f"is nested more than {MAX_DEPTH} levels deep")


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
