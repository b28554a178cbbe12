"""The fields of the lines of a history of work, each checked where it is read, each error naming its line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .. import fields
from ..errors import HistoryError
from ..fields import Body
from ..records import Outcome, identity
from ..spans import Span
from .records import (
    Came,
    Do,
    Entry,
    Inside,
    Lease,
    Note,
    PushRequest,
    WorkAudit,
    WorkEnd,
    WorkHeader,
    WorkRequest,
)

T = TypeVar("T")
_NOTES = ("crash", "late", "restart")
_AUDITED = ("cursor", "taken", "acked", "purged", "jumped", "waiting", "leased", "dead", "overlaps")


def header(line: int, body: Body) -> WorkHeader:
    """The first line."""
    most = body.get("max_attempts")
    return WorkHeader(
        queue=fields.text(line, body, "queue"),
        url=str(body.get("url") or ""),
        instance=None if body.get("instance") is None else fields.text(line, body, "instance"),
        server=None if body.get("server") is None else fields.text(line, body, "server"),
        started_at=None if body.get("started_at") is None else fields.text(line, body, "started_at"),
        max_attempts=None if most is None else fields.whole(line, body, "max_attempts", least=1),
        cursor=fields.whole(line, body, "cursor", least=0),
        acked=fields.whole(line, body, "acked", least=0),
    )


def push(line: int, body: Body) -> PushRequest:
    """A push, with its seqs if it was answered."""
    asked = _common(line, body)
    values = tuple(identity(value) for value in _list(line, body, "values"))
    names = _list(line, body, "names")
    if len(names) != len(values) or not all(name is None or isinstance(name, str) for name in names):
        raise HistoryError(line, '"names" must be a list of texts and nulls, one a value')
    seqs: tuple[int, ...] = ()
    known = frozenset[int]()
    if asked["outcome"] is Outcome.OK:
        seqs = _seqs(line, body, "seqs")
        if len(seqs) != len(values):
            raise HistoryError(line, f"{len(values)} values, but {len(seqs)} seqs")
        known = frozenset(_list(line, body, "known"))
        if not all(type(at) is int and 0 <= at < len(values) for at in known):
            raise HistoryError(line, '"known" must be a list of positions')
    return PushRequest(**asked, values=values, names=tuple(names), seqs=seqs, known=known)


def work(line: int, body: Body) -> WorkRequest:
    """A settle, with the next lease or without; or a lease alone."""
    asked = _common(line, body)
    entries = tuple(_each(line, body, "entries", _entry))
    most = fields.whole(line, body, "max", least=0)
    ttl = _duration(line, body, "ttl")
    if asked["outcome"] is not Outcome.OK:
        return WorkRequest(**asked, entries=entries, most=most, ttl=ttl)
    outcomes = tuple(_each(line, body, "outcomes", _outcomes))
    if len(outcomes) != len(entries):
        raise HistoryError(line, f"{len(entries)} entries, but {len(outcomes)} outcomes")
    lease = None if body.get("lease") is None else _lease(line, body["lease"])
    return WorkRequest(**asked, entries=entries, most=most, ttl=ttl, outcomes=outcomes, lease=lease)


def note(line: int, body: Body) -> Note:
    """A note of something that the test did."""
    what = fields.text(line, body, "what")
    if what not in _NOTES:
        raise HistoryError(line, f'"what" must be one of {", ".join(_NOTES)}')
    at, until = fields.whole(line, body, "at"), fields.whole(line, body, "until")
    return Note(what, at, until, str(body.get("client") or ""), str(body.get("token") or ""))  # type: ignore[arg-type]


def end(line: int, body: Body) -> WorkEnd:
    """The last line."""
    inside = None if body.get("inside") is None else tuple(_each(line, body, "inside", _inside))
    return WorkEnd(
        lines=fields.whole(line, body, "lines", least=0),
        inside=inside,
        audits=tuple(_each(line, body, "audits", _audit)),
        steady=fields.truth(line, body, "steady"),
    )


def _common(line: int, body: Body) -> dict[str, Any]:
    outcome = fields.outcome(line, body)
    ok = outcome is Outcome.OK
    invoked, completed = fields.whole(line, body, "invoked"), fields.whole(line, body, "completed")
    if completed < invoked:
        raise HistoryError(line, '"completed" is before "invoked"')
    return {
        "client": str(fields.needed(line, body, "client")),
        "key": fields.key(line, body),
        "invoked": invoked,
        "completed": completed,
        "outcome": outcome,
        "replay": fields.truth(line, body, "replay") if ok else False,
        "error": None if ok else str(body.get("error") or ""),
        "line": line,
    }


def _entry(line: int, body: Any) -> Entry:
    if not isinstance(body, dict) or body.get("do") not in list(Do):
        raise HistoryError(
            line, '"entries" must be a list of objects with "do": ack, nack, extend or release'
        )
    seqs = None if body.get("seqs") is None else _spans(line, body, "seqs")
    ttl = _duration(line, body, "ttl") if "ttl" in body else 0
    return Entry(Do(body["do"]), fields.text(line, body, "token"), seqs, ttl)


def _outcomes(line: int, body: Any) -> tuple[Came, ...]:
    if not isinstance(body, list):
        raise HistoryError(line, '"outcomes" must be a list of lists')
    return tuple(_came(line, one) for one in body)


def _came(line: int, body: Any) -> Came:
    """``[first, last, verdict]``, and of an extension the seconds from then on."""
    if not (isinstance(body, list) and len(body) in {3, 4} and isinstance(body[2], str)):
        raise HistoryError(line, "an outcome must be [first, last, verdict] or [null, null, verdict]")
    if body[:2] != [None, None] and not _is_span(body[:2]):
        raise HistoryError(line, "an outcome must be [first, last, verdict], with 1 <= first <= last")
    return Came(body[0], body[1], body[2], _nanoseconds(line, body[3]) if len(body) > 3 else 0)  # noqa: PLR2004


def _lease(line: int, body: Any) -> Lease:
    if not isinstance(body, dict):
        raise HistoryError(line, '"lease" must be an object or null')
    seqs, values, attempts = (
        _seqs(line, body, "seqs"),
        _list(line, body, "values"),
        _list(line, body, "attempts"),
    )
    if not len(seqs) == len(values) == len(attempts):
        raise HistoryError(line, f"{len(seqs)} seqs, {len(values)} values and {len(attempts)} attempts")
    if not all(type(attempt) is int for attempt in attempts):
        raise HistoryError(line, '"attempts" must be a list of whole numbers')
    return Lease(
        token=fields.text(line, body, "token"),
        expires_in=_duration(line, body, "expires_in"),
        seqs=seqs,
        values=tuple(identity(value) for value in values),
        attempts=tuple(attempts),
    )


def _inside(line: int, body: Any) -> Inside:
    if not (isinstance(body, list) and [type(part) for part in body] == [int, str, int]):
        raise HistoryError(line, '"inside" must be a list of [seq, state, attempt]')
    return Inside(*body)


def _audit(line: int, body: Any) -> WorkAudit:
    if not isinstance(body, dict):
        raise HistoryError(line, '"audits" must be a list of objects')
    counters = {name: fields.whole(line, body, name, least=0) for name in _AUDITED}
    return WorkAudit(**counters, balanced=fields.truth(line, body, "balanced"))


def _list(line: int, body: Body, name: str) -> list[Any]:
    value = fields.needed(line, body, name)
    if not isinstance(value, list):
        raise HistoryError(line, f'"{name}" must be a list')
    return value


def _each(line: int, body: Body, name: str, parse: Callable[[int, Any], T]) -> list[T]:
    return [parse(line, one) for one in _list(line, body, name)]


def _spans(line: int, body: Body, name: str) -> tuple[Span, ...]:
    spans = _list(line, body, name)
    if not all(_is_span(span) for span in spans):
        raise HistoryError(line, f'"{name}" must be a list of [first, last], with 1 <= first <= last')
    return tuple((first, last) for first, last in spans)


_LARGEST_SPAN = 1_000_000


def _seqs(line: int, body: Body, name: str) -> tuple[int, ...]:
    spans = _spans(line, body, name)
    if any(last - first >= _LARGEST_SPAN for first, last in spans):
        raise HistoryError(line, f'"{name}" has a range of over {_LARGEST_SPAN} items')
    return tuple(seq for first, last in spans for seq in range(first, last + 1))


def _is_span(span: object) -> bool:
    return isinstance(span, list) and [type(end) for end in span] == [int, int] and 1 <= span[0] <= span[1]


def _duration(line: int, body: Body, name: str) -> int:
    return _nanoseconds(line, fields.needed(line, body, name))


def _nanoseconds(line: int, seconds: Any) -> int:
    """Seconds, as on the wire."""
    if type(seconds) not in {int, float} or not abs(seconds) < 1e9:  # noqa: PLR2004
        raise HistoryError(line, "a duration must be a number of seconds")
    return round(float(seconds) * 1e9)
