"""The one encoder of answers to hot calls, for both doors.

Values are JSON text already, so an answer is spliced, not encoded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

from ..access.owned import NO_QUEUE
from ..errors import ResultRefused, StaleLease
from ..inert import line
from ..ledger.serve import Handed
from ..ledger.work import UNCHANGED, Settled, Traced
from ..queue.answers import Answer, Values
from .problems import problem_fields
from .records import dumps, exact, instant
from .reply import JSON, NO_CONTENT, REPLAYED, TEXT, Reply
from .requests import How, Request
from .settling import KINDS

Encoder = Callable[[Request, Answer], str]
_REASONS: Final = {"source": "source-fed", "end": "closed"}
"""Words of the ledger for which HTTP has other ones."""
_NOTHING: Final[dict[type, str]] = dict.fromkeys(KINDS, "")
_LISTS: Final = ",".join([f'"{kind}":[%s]' for kind in KINDS.values()])
_WHY: Final = {
    "unknown": "there is no queue {}",
    "closed": "{} is closed",
    "source-fed": "{} is fed by a source",
}


def encode(request: Request, answer: Answer) -> bytes | None:
    """The body of the answer to a request; None where nothing was handed out: 204.

    Raises:
        StaleLease, ResultRefused: One entry was all that was asked, and it changed nothing.
    """
    handed, how = answer.served.handed, request.how
    if handed is None:
        if how not in SETTLED:
            return None
    elif how == "one":  # the most usual one
        seq = handed.spans[0][0]
        return f'{{"queue":"{answer.queue}","seq":{seq},"value":{answer.values[0]}}}'.encode()
    return ENCODERS[how](request, answer).encode()


def reply(request: Request, answer: Answer, body: bytes | None) -> Reply:
    """The answer to a request, with its body."""
    if body is None:
        return Reply(b"", NO_CONTENT)
    headers = [REPLAYED] if answer.served.replayed else None
    return Reply(body, content=TEXT if request.how == "lines" else JSON, headers=headers)


# -- taken for good


def _list(request: Request, answer: Answer) -> str:
    items = _joined('{"seq":%d,"value":%s}', _seqs(_handed(answer)), answer.values)
    return f'{{"queue":"{answer.queue}","state":"{answer.served.state}","items":[{items}]}}'


def _lines(request: Request, answer: Answer) -> str:
    return "".join([f"{line(value)}\n" for value in answer.values])


def _block(request: Request, answer: Answer) -> str:
    """The bounds of consecutive numbers; those of a wide source are strings."""
    values, shown = answer.values, str if request.how == "wide block" else exact
    assert isinstance(values, range)  # noqa: S101  # blocks are asked of sources that count
    first, last, step = [dumps(shown(number)) for number in (values[0], values[-1], values.step)]
    return (
        f'{{"queue":"{answer.queue}","state":"{answer.served.state}","seq":{_handed(answer).spans[0][0]},'
        f'"first":{first},"last":{last},"step":{step},"count":{len(values)}}}'
    )


# -- leased


def _lease(request: Request, answer: Answer) -> str:
    served, handed, values = answer.served, _handed(answer), answer.values
    if handed.traces is not None:
        items = ",".join(_traced_items(handed, handed.traces, values))
    elif len(values) == 1:
        first, _, attempt = handed.spans[0]
        items = f'{{"seq":{first},"value":{values[0]},"attempt":{attempt}}}'
    else:
        items = ",".join(_leased_items(handed, values))
    return (
        f'{{"queue":"{answer.queue}","state":"{served.state}","token":"{handed.token}",'
        f'{_until(handed.due or 0, answer.now)},"items":[{items}]}}'
    )


@lru_cache(maxsize=256)
def _until(due: int, now: int) -> str:
    """The end of a lease; leases that were given together end together."""
    return f'"expires_at":"{instant(due)}","expires_in":{max(due - now, 0) / 1000:.3f}'


def _leased_items(handed: Handed, values: Values) -> Iterator[str]:
    """The items of each span, which have one attempt."""
    at = 0
    for first, last, attempt in handed.spans:
        of, at = at, at + last - first + 1
        form = f'{{"seq":%d,"value":%s,"attempt":{attempt}}}'
        yield _joined(form, range(first, last + 1), values[of:at])


def _traced_items(handed: Handed, traces: Iterable[Traced], values: Values) -> Iterator[str]:
    """The items of a lease, some of which tell the traceparent with which they were pushed."""
    parents = {seq: each.parent for each in traces for seq in range(each.first, each.last + 1)}
    attempts = [attempt for first, last, attempt in handed.spans for _ in range(first, last + 1)]
    for seq, value, attempt in zip(_seqs(handed), values, attempts, strict=True):
        more = f',"traceparent":"{parents[seq]}"' if seq in parents else ""
        yield f'{{"seq":{seq},"value":{value},"attempt":{attempt}{more}}}'


def _joined(form: str, seqs: Sequence[int], values: Values) -> str:
    """Items of one form, each a seq and a value, in one step: a step for each of thousands takes longer."""
    members: list[int | str] = [0] * (2 * len(seqs))
    members[::2], members[1::2] = seqs, values
    return (f"{form}," * len(seqs) % tuple(members))[:-1]


# -- settled


def _settled(request: Request, answer: Answer) -> str:
    """The outcomes of each entry, in the order of the request, and the next lease."""
    ask, served = request.ask, answer.served
    told = _NOTHING.copy()
    for entry, outcomes in zip(ask.entries, served.entries, strict=True):
        kind, text = type(entry), _outcomes(outcomes, answer.now)
        told[kind] = f"{told[kind]},{text}" if told[kind] else text
    body = f'{{"queue":"{answer.queue}","state":"{served.state}",{_LISTS % (*told.values(),)}'
    if ask.handout is None:
        return body + "}"
    if served.handed is not None:
        return f'{body},"lease":{_lease(request, answer)}}}'
    problem = json.dumps(problem_fields(answer.refusal)) if answer.refusal else "null"
    return f'{body},"lease":null,"lease_problem":{problem}}}'


def _outcome(request: Request, answer: Answer) -> str:
    """The outcomes of one entry."""
    (settled,) = answer.served.entries
    for each in settled:
        if each.verdict == "refused" and each.target is not None:
            reason = _reason(each)
            why = _WHY.get(reason, "it does not take results").format(each.target.lstrip(NO_QUEUE))
            raise ResultRefused(f"the result was refused, and the lease is as it was: {why}", reason=reason)
    if all(each.verdict in UNCHANGED for each in settled):
        raise StaleLease("the token holds none of these items any more", field="token")
    return f'{{"queue":"{answer.queue}","outcomes":{_outcomes(settled, answer.now)}}}'


def _outcomes(settled: Iterable[Settled], now: int) -> str:
    return f"[{','.join([_told(each, now) for each in settled])}]"


def _told(each: Settled, now: int) -> str:
    if each.verdict == "acked":
        return f'{{"seqs":[{each.first},{each.last}],"outcome":"acked"}}'
    seqs = "null" if each.first is None else f"[{each.first},{each.last}]"
    return f'{{"seqs":{seqs},"outcome":"{each.verdict}"{_more(each, now)}}}'


def _more(each: Settled, now: int) -> str:
    """The members that only this verdict has."""
    if each.verdict == "refused":
        target = "" if each.target is None else f',"queue":"{each.target.lstrip(NO_QUEUE)}"'
        return f',"reason":"{_reason(each)}"{target}'
    if each.due is not None and each.verdict == "nacked":
        return f',"due_at":"{instant(each.due)}"'
    if each.due is not None and each.verdict == "extended":
        return f',"expires_at":"{instant(each.due)}","expires_in":{max(each.due - now, 0) / 1000}'
    return ""


def _reason(each: Settled) -> str:
    reason = each.reason or "unknown"
    return _REASONS.get(reason, reason)


def _handed(answer: Answer) -> Handed:
    assert answer.served.handed is not None  # noqa: S101  # else there is nothing to encode
    return answer.served.handed


def _seqs(handed: Handed) -> Sequence[int]:
    if len(handed.spans) == 1:
        first, last, _ = handed.spans[0]
        return range(first, last + 1)
    return [seq for first, last, _ in handed.spans for seq in range(first, last + 1)]


SETTLED: Final = frozenset({"settled", "outcome"})
ENCODERS: Final[Mapping[How, Encoder]] = {  # of all answers but one item
    "list": _list,
    "lines": _lines,
    "block": _block,
    "wide block": _block,
    "lease": _lease,
    "settled": _settled,
    "outcome": _outcome,
}
