"""What was handed out, as bytes. The values are JSON text already, so an answer is spliced, not encoded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final

from ..inert import inert_json
from ..ledger.work import Span
from ..queue.answers import Answer, Values
from .reply import REPLAYED, TEXT, Headers, Reply
from .wire import instant

_BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_REPLAYED: Final[Headers] = [REPLAYED]


def as_one(taken: Answer) -> Reply:
    """200 with one item."""
    body = f'{{"queue":"{taken.queue}","seq":{taken.first},"value":{taken.values[0]}}}'
    return Reply(body.encode(), headers=_REPLAYED if taken.replayed else None)


def as_list(taken: Answer) -> Reply:
    """200 with a list of items."""
    pairs = zip(taken.seqs, taken.values, strict=True)
    items = ",".join([f'{{"seq":{seq},"value":{value}}}' for seq, value in pairs])
    body = f'{{"queue":"{taken.queue}","state":"{taken.state}","items":[{items}]}}'
    return Reply(body.encode(), headers=_REPLAYED if taken.replayed else None)


def as_lines(taken: Answer) -> Reply:
    """200 with one value a line."""
    body = "".join([f"{line(value)}\n" for value in taken.values])
    return Reply(body.encode(), content=TEXT, headers=_REPLAYED if taken.replayed else None)


def line(value: int | str) -> str:
    """A value on one line: text as it is, everything else as JSON.

    Text with line breaks or other control characters stays JSON, in quotes and escaped: a line is a value,
    and a terminal is not written to by data.
    """
    if not isinstance(value, str):
        return str(value)
    if not value.startswith('"'):
        return inert_json(value) if _BREAKS.search(value) else value
    text: str = json.loads(value)
    return json.dumps(text) if _BREAKS.search(text) else text


def as_lease(leased: Answer) -> Reply:
    """200 with items under a lease."""
    return Reply(lease_text(leased).encode(), headers=_REPLAYED if leased.replayed else None)


def lease_text(leased: Answer) -> str:
    """A lease as ``schemas_work.Lease``."""
    return lease_json(
        leased.queue,
        leased.state,
        leased.token,
        leased.due,
        leased.expires_in,
        leased.spans,
        leased.values,
    )


def lease_json(  # noqa: PLR0917  # the fields of a lease, in their order
    queue: str,
    state: str,
    token: str,
    due: int,
    expires_in: float,
    spans: Iterable[Span],
    values: Values,
) -> str:
    """The same, of its parts."""
    if len(values) == 1:
        [(first, _, attempt)] = spans
        items = f'{{"seq":{first},"value":{values[0]},"attempt":{attempt}}}'
    else:
        items = ",".join(_leased_items(spans, values))
    return (
        f'{{"queue":"{queue}","state":"{state}","token":"{token}",'
        f'"expires_at":"{instant(due)}","expires_in":{max(expires_in, 0.0):.3f},'
        f'"items":[{items}]}}'
    )


def _leased_items(spans: Iterable[Span], values: Values) -> list[str]:
    items: list[str] = []
    at = 0
    for first, last, attempt in spans:
        part, rest = values[at : at + last - first + 1], f',"attempt":{attempt}}}'
        pairs = zip(range(first, last + 1), part, strict=True)
        items += [f'{{"seq":{seq},"value":{value}{rest}' for seq, value in pairs]
        at += last - first + 1
    return items
