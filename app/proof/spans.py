"""Spans of whole numbers, both ends inside: what lets the checker count ranges instead of items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

Span = tuple[int, int]

_ONE = {"replies": "reply", "pushes": "push"}


def size(spans: Iterable[Span]) -> int:
    """How many numbers disjoint spans hold."""
    return sum(last - first + 1 for first, last in spans)


def numbers(spans: Iterable[Span]) -> Iterator[int]:
    """The numbers of the spans, one by one."""
    return (number for first, last in spans for number in range(first, last + 1))


def ranges(found: Sequence[int]) -> list[Span]:
    """The fewest spans that have the numbers in their order."""
    if (
        found
        and found[-1] - found[0] == len(found) - 1
        and list(found) == list(range(found[0], found[-1] + 1))
    ):
        return [(found[0], found[-1])]
    spans: list[Span] = []
    for number in found:
        if spans and spans[-1][1] == number - 1:
            spans[-1] = (spans[-1][0], number)
        else:
            spans.append((number, number))
    return spans


def gaps(spans: Iterable[Span], first: int, last: int) -> Iterator[Span]:
    """The gaps that ascending, disjoint spans leave in first..last."""
    at = first
    for start, end in spans:
        if start > last:
            break
        if start > at:
            yield at, start - 1
        at = max(at, end + 1)
    if at <= last:
        yield at, last


def counted(count: int, units: str) -> str:
    """``1 item`` or ``2,000 items``: ``units`` is the plural."""
    return f"{count:,} {_ONE.get(units, units.removesuffix('s')) if count == 1 else units}"


def shown(span: Span) -> str:
    """``7`` or ``7..9``."""
    first, last = span
    return str(first) if first == last else f"{first}..{last}"
