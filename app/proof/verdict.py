"""The verdict as data: the cases that the rules found, and the judgement that follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from .case import Case
from .kinds import Column, Kind
from .records import Header, Sighting
from .values import Span

EXIT_CLEAN = 0
EXIT_VIOLATED = 1
EXIT_FAULT = 3
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Finding:
    """One case of a rule. ``count`` is in the rule's unit; ``seqs`` are the ones it is about."""

    count: int
    detail: str
    seqs: tuple[Span, ...]
    requests: tuple[Sighting, ...]


Found = Iterable[Finding]


class Witness(Protocol):
    """A request, an effect, a hand-out or a settle."""

    def seen(self) -> Sighting:
        """The request as a finding names it."""


def finding(count: int, detail: str, seqs: Iterable[Span], *witnesses: Witness | None) -> Finding:
    """A case; the witnesses that are None are not known."""
    return Finding(count, detail, tuple(seqs), tuple(one.seen() for one in witnesses if one is not None))


def of_item(seq: int, detail: str, *witnesses: Witness | None) -> Finding:
    """A case of one item."""
    return finding(1, detail, [(seq, seq)], *witnesses)


class Rule(NamedTuple):
    """A rule: the function that finds its cases, counted in ``unit``, and the sentence that tells of them.

    One that ``violates`` none of the promises leaves a question open: the history can't prove the promise
    kept, nor broken.
    """

    find: Callable[[Case], Found]
    kinds: frozenset[Kind]
    column: Column
    unit: str
    sentence: str
    violates: bool = True

    @property
    def name(self) -> str:
        """The rule's name for programs, such as ``seq-twice``: it is the function's."""
        return self.find.__name__.replace("_", "-")


class Cases(NamedTuple):
    """All cases of one rule: how many, and the first few."""

    rule: Rule
    total: int
    examples: tuple[Finding, ...]


class Judgement(StrEnum):
    """The judgement of a history. ``inconclusive``: no promise is proved broken, and none proved kept."""

    CLEAN = "clean"
    VIOLATED = "violated"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on a history. ``columns`` and ``totals`` are those of its kind, with their counts."""

    header: Header
    window: Span | None
    totals: Mapping[str, Any]
    cases: tuple[Cases, ...]
    columns: Mapping[Column, int]
    notes: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        """The counts of all rules that have a case, by their names."""
        return {cases.rule.name: cases.total for cases in self.cases}

    @property
    def judgement(self) -> Judgement:
        """``violated`` if one rule that breaks a promise has a case; else ``inconclusive`` or ``clean``."""
        if any(cases.rule.violates for cases in self.cases):
            return Judgement.VIOLATED
        return Judgement.INCONCLUSIVE if self.cases else Judgement.CLEAN

    @property
    def exit_code(self) -> int:
        """0 clean, 1 violated, 3 can't be judged, which is the harness's fault and not the server's."""
        codes = {Judgement.CLEAN: EXIT_CLEAN, Judgement.VIOLATED: EXIT_VIOLATED}
        return codes.get(self.judgement, EXIT_FAULT)

    @property
    def seconds(self) -> float:
        """The seconds from the first request to the last reply."""
        began, ended = self.totals["began"], self.totals["ended"]
        return 0.0 if began is None or ended is None else float(ended - began) / 1e9

    def as_json(self) -> dict[str, Any]:
        """The verdict as JSON, for programs."""
        return {
            "outcome": self.judgement.value,
            **{column.slug: count for column, count in self.columns.items()},
            **({"window": self.window} if self.header.kind is Kind.TAKES else {}),
            "totals": dict(self.totals),
            "rules": self.counts,
            "findings": [
                {"rule": name, **asdict(found), "requests": [seen._asdict() for seen in found.requests]}
                for name, found in ((cases.rule.name, one) for cases in self.cases for one in cases.examples)
            ],
            "notes": list(self.notes),
        }
