"""The fields of a history's lines, each checked where it is read, each error naming its line."""

from __future__ import annotations

import json
from typing import Any

from .errors import HistoryError
from .records import FORMAT, Audited, End, Header, Outcome

Body = dict[str, Any]


def parse(line: int, text: str) -> Body:
    """A line's JSON object."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HistoryError(line, f"not JSON: {error}") from None
    if not isinstance(body, dict):
        raise HistoryError(line, "not a JSON object")
    return body


def header(line: int, raw: str) -> Header:
    """The first line; its version is checked before anything else in it."""
    body = parse(line, raw)
    if "dibs_history" not in body:
        raise HistoryError(line, 'not a history of dibs: the first line has no "dibs_history"')
    if body["dibs_history"] != FORMAT:
        raise HistoryError(line, f"version {body['dibs_history']!r} is not known; this dibs reads 1 and 2")
    return Header(
        queue=text(line, body, "queue"),
        url=str(body.get("url") or ""),
        source=str(body.get("source") or ""),
        instance=_optional_text(line, body, "instance"),
        server=_optional_text(line, body, "server"),
        started_at=_optional_text(line, body, "started_at"),
        cursor=_optional_whole(line, body, "cursor", least=0),
        taken=_optional_whole(line, body, "taken", least=0),
        jumped=_optional_whole(line, body, "jumped", least=0),
        exclusive=truth(line, body, "exclusive", default=True),
        distinct=truth(line, body, "distinct", default=True),
        start=_optional_whole(line, body, "start"),
        step=_optional_whole(line, body, "step"),
    )


def end(line: int, body: Body) -> End:
    """The last line."""
    audits = body.get("audits") or []
    if not isinstance(audits, list) or not all(isinstance(audit, dict) for audit in audits):
        raise HistoryError(line, '"audits" must be a list of objects')
    return End(
        requests=whole(line, body, "requests", least=0),
        audits=tuple(
            Audited(
                cursor=whole(line, audit, "cursor", least=0),
                taken=whole(line, audit, "taken", least=0),
                jumped=whole(line, audit, "jumped", least=0),
                balanced=truth(line, audit, "balanced"),
            )
            for audit in audits
        ),
    )


def items(line: int, body: Body) -> tuple[list[list[int]], list[Any]]:
    """The ranges of seqs of an answer and as many values, in the same order."""
    seqs, values = needed(line, body, "seqs"), needed(line, body, "values")
    if not isinstance(seqs, list) or not all(_is_range(pair) for pair in seqs):
        raise HistoryError(line, '"seqs" must be a list of [first, last], with 1 <= first <= last')
    if not isinstance(values, list):
        raise HistoryError(line, '"values" must be a list')
    total = sum(last - first + 1 for first, last in seqs)
    if total != len(values):
        raise HistoryError(line, f"{total} seqs, but {len(values)} values")
    return seqs, values


def _is_range(pair: object) -> bool:
    return (
        isinstance(pair, list) and [type(bound) for bound in pair] == [int, int] and 1 <= pair[0] <= pair[1]
    )


def outcome(line: int, body: Body) -> Outcome:
    """One of the three outcomes."""
    value = needed(line, body, "outcome")
    try:
        return Outcome(value)
    except ValueError:
        raise HistoryError(line, f'"outcome" must be ok, failed or unknown, not {value!r}') from None


def key(line: int, body: Body) -> str | None:
    """The idempotency key: a text, or null for a request that was sent without one."""
    value = needed(line, body, "key")
    if value is not None and not isinstance(value, str):
        raise HistoryError(line, '"key" must be a text or null')
    return value


def needed(line: int, body: Body, name: str) -> Any:
    """A field that must be there."""
    if name not in body:
        raise HistoryError(line, f'"{name}" is missing')
    return body[name]


def text(line: int, body: Body, name: str) -> str:
    """A text that must be there."""
    value = needed(line, body, name)
    if not isinstance(value, str):
        raise HistoryError(line, f'"{name}" must be a text')
    return value


def whole(line: int, body: Body, name: str, *, least: int | None = None) -> int:
    """A whole number that must be there."""
    value = needed(line, body, name)
    if type(value) is not int:
        raise HistoryError(line, f'"{name}" must be a whole number')
    if least is not None and value < least:
        raise HistoryError(line, f'"{name}" must be at least {least}')
    return value


def truth(line: int, body: Body, name: str, *, default: bool | None = None) -> bool:
    """True or false; it must be there unless there is a default."""
    value = needed(line, body, name) if default is None else body.get(name, default)
    if not isinstance(value, bool):
        raise HistoryError(line, f'"{name}" must be true or false')
    return value


def _optional_text(line: int, body: Body, name: str) -> str | None:
    return None if body.get(name) is None else text(line, body, name)


def _optional_whole(line: int, body: Body, name: str, *, least: int | None = None) -> int | None:
    return None if body.get(name) is None else whole(line, body, name, least=least)
