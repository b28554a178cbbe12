"""How everything is, in a sentence, as the page says it; and numbers and lines for narrow columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..inert import inert
from .words import span

_NONE: Final = "This server is ready, and has no queues yet"
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400
_TYPE_MOST: Final = 60
_BARS: Final = "▁▂▃▄▅▆▇█"
_WIDE: Final = 1000
_WRITTEN_OUT: Final = 10**9
"""A number below is written out where there is room."""


def sentence(data: Mapping[str, Any]) -> str:
    """How everything is: the worst that was found, and how many queues are well."""
    findings, count = data["findings"], data["count"]
    if data["restored"]:
        told = inert(str(data["restored"]))
        return f"{told[:1].upper()}{told[1:]}."
    if not count:
        partly = "there are no queues that you may look at: that needs a token with the role read"
        return f"This server is ready; {partly}." if data["partly"] else f"{_NONE}."
    if not findings:
        return "The queue is well." if count == 1 else f"All {count:,} queues are well."
    well = count - data["look"]
    head = f"{well:,} queue{' is' if well == 1 else 's are'} well; " if well else ""
    more = data["states"]["failed"] - 1 if findings[0]["kind"] == "failed" else 0
    return f"{head}{finding(findings[0], data['now'], more=more)}."


def servers(found: Mapping[str, Any] | None) -> list[str]:
    """Who owns the ledger, in which term, and how many servers there are; nothing where one has it alone."""
    if found is None:
        return []
    inbox = found["inbox"]
    return [
        f"owner {_host(found['owner']) if found['owner'] else 'nobody'}, term {found['term']:,}",
        f"{found['count']:,} server{'' if found['count'] == 1 else 's'}",
        "warm copy" if found["warm"] else "",
        f"inbox {inbox['rows']:,}" if inbox and inbox["rows"] else "",
    ]


def troubles(found: Mapping[str, Any] | None) -> list[str]:
    """What an operator should know of the servers and their database, a sentence each, as the page has it."""
    if found is None:
        return []
    of_servers = [*found["unfit"], *found.get("troubles", ())]  # an older server tells none
    told = [*found["warnings"], *(f"{_host(server['url'])}: {server['note']}" for server in of_servers)]
    return [inert(each) for each in told]


def _host(url: object) -> str:
    return inert(str(url)).rpartition("://")[2]


def finding(found: Mapping[str, Any], now: int, *, more: int = 0) -> str:
    """What is not well about a queue. ``more``: so many others have failed, too."""
    queue, age = inert(str(found["queue"])), _age(max(now - found["since"], 0) / 1000)
    if found["kind"] == "failed":
        others = f" and {more:,} more failed" if more else f" failed {age} ago"
        why = inert(str(found["type"]))[:_TYPE_MOST]
        return f"{queue}{others}: {why} at item {found['seq']:,}"
    if found["kind"] == "dead":
        letters = "dead letter" if found["dead"] == 1 else "dead letters"
        return f"{queue} has {found['dead']:,} {letters}; {found['died']:,} died within the hour"
    if found["kind"] == "paused":
        waits = "waits" if found["waiting"] == 1 else "wait"
        return f"{queue} has been paused for {age}; {found['waiting']:,} {waits}"
    return f"an item of {queue} has waited for {_age(found['oldest'])}"


def _age(seconds: float) -> str:
    """``12 s``, ``3 minutes``, ``1 day``."""
    for least, unit, size in ((_DAY, "day", _DAY), (_HOUR, "hour", _HOUR), (_MINUTE, "minute", _MINUTE)):
        if seconds >= least:
            number = round(seconds / size)
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{round(seconds)} s"


def brief(number: float, *, wide: bool) -> str:
    """A count or a rate: whole where there is room (``12,345``), else short (``12k``)."""
    if number < (_WRITTEN_OUT if wide else _WIDE):
        return f"{number:,.1f}" if 0 < number < 100 and number % 1 else f"{number:,.0f}"  # noqa: PLR2004
    for unit in "kMGTP":
        number /= _WIDE
        if number < _WIDE - 0.5 or unit == "P":
            break
    return f"{number:.1f}{unit}" if number < 9.95 else f"{number:.0f}{unit}"  # noqa: PLR2004


def age(seconds: float | None) -> str:
    """How long the oldest item has waited; a dash where none waits."""
    return "–" if seconds is None else span(seconds)


def sparkline(steps: Sequence[int | None], width: int) -> str:
    """So many bars, the newest last; a step before the server began is blank."""
    if not steps:
        return ""
    shown, size = [], len(steps) / width
    for at in range(width):
        part = steps[int(at * size) : max(int((at + 1) * size), int(at * size) + 1)]
        known = [step for step in part if step is not None]
        shown.append(max(known) if known else None)
    most = max((step for step in shown if step), default=0)
    return "".join(" " if step is None else _bar(step, most) for step in shown)


def _bar(step: int, most: int) -> str:
    return _BARS[0] if not step else _BARS[min(1 + step * (len(_BARS) - 2) // most, len(_BARS) - 1)]
