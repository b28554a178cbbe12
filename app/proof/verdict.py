"""The verdict as data: the rules, the findings, and the outcome that follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum, StrEnum
from typing import Any, Self

from .records import Header
from .spans import Span

EXIT_CLEAN = 0
EXIT_VIOLATED = 1
EXIT_FAULT = 3
EXIT_INTERRUPTED = 130


class Column(StrEnum):
    """The columns of the verdict, which the rules below are counted in."""

    DUPLICATES = "duplicates"
    SKIPPED = "skipped"
    REORDERED = "reordered"
    UNEXPLAINED = "unexplained"
    ALLOWED = "allowed"


class Kind(Enum):
    """The kind of a rule: its column, its unit, and whether one case of it breaks a promise.

    A rule that breaks none leaves a question open: the history can't prove the promise kept, nor broken.
    """

    def __init__(self, column: StrEnum, violates: bool, unit: str, title: str) -> None:
        self.column = column
        self.violates = violates
        self.unit = unit
        self.title = title

    @property
    def slug(self) -> str:
        """The rule's name for programs, such as ``seq-twice``."""
        return self.name.lower().replace("_", "-")


class Rule(Kind):
    """The rules of the checker of takes."""

    SEQ_TWICE = (Column.DUPLICATES, True, "items", "a seq was handed out twice")
    TWO_VALUES = (Column.DUPLICATES, True, "seqs", "a seq was handed out with two different values")
    VALUE_TWICE = (Column.DUPLICATES, True, "items", "a value was handed out under two seqs")
    GAP = (Column.SKIPPED, True, "seqs", "a seq was never handed out")
    WRONG_VALUE = (Column.SKIPPED, True, "seqs", "a seq's own value was never handed out")
    REORDERED = (Column.REORDERED, True, "requests", "a later request got an earlier seq")
    REPLAY_DIFFERS = (Column.UNEXPLAINED, True, "requests", "a replay is not the first answer of its key")
    REPLAY_OF_NOTHING = (Column.UNEXPLAINED, True, "requests", "a replay, but nothing came before it")
    KEY_SPENT_TWICE = (Column.UNEXPLAINED, True, "requests", "a key that had its answer got a new one")
    TOO_MANY = (Column.UNEXPLAINED, True, "requests", "an answer with more items than asked for")
    OUTSIDE = (Column.UNEXPLAINED, True, "seqs", "a seq outside of what the cursor went through")
    AUDIT = (Column.UNEXPLAINED, True, "audits", "the server's audit contradicts the history or itself")
    UNRESOLVED = (Column.UNEXPLAINED, False, "requests", "no reply, and no later answer to its key")
    UNJUDGED = (Column.UNEXPLAINED, False, "seqs", "missing seqs that others may have taken or jumped over")
    ALLOWED = (Column.ALLOWED, False, "seqs", "missing seqs that requests without a reply may own")


class Outcome(StrEnum):
    """The outcome of a whole history. ``inconclusive``: no promise is proved broken, and none proved kept."""

    CLEAN = "clean"
    VIOLATED = "violated"
    INCONCLUSIVE = "inconclusive"

    @property
    def exit_code(self) -> int:
        """0, 1 or 3: a history that can't be judged is the harness's fault, not the server's."""
        return {"clean": EXIT_CLEAN, "violated": EXIT_VIOLATED, "inconclusive": EXIT_FAULT}[self.value]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A request that a finding names; times in nanoseconds of the history's clock.

    ``invoked`` is None where nothing says when it began (a replay whose first request was not seen).
    """

    line: int
    client: str
    key: str | None
    invoked: int | None
    completed: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One case. ``count`` is in the rule's unit; ``seqs`` are the ones it is about."""

    rule: Kind
    count: int
    detail: str
    seqs: tuple[Span, ...] = ()
    requests: tuple[Sighting, ...] = ()


@dataclass(slots=True)
class Totals:
    """The totals of a history. ``items`` are those of first answers; replays are not counted again."""

    requests: int = 0
    ok: int = 0
    replays: int = 0
    failed: int = 0
    unknown: int = 0
    items: int = 0
    seqs: int = 0
    began: int | None = None
    ended: int | None = None

    @property
    def seconds(self) -> float:
        """The seconds from the first request to the last reply."""
        return 0.0 if self.began is None or self.ended is None else (self.ended - self.began) / 1e9


@dataclass(slots=True)
class Findings:
    """Counts every case, keeps the first ``limit`` of each rule."""

    limit: int
    counts: dict[Kind, int] = field(default_factory=dict)
    examples: list[Finding] = field(default_factory=list)
    _kept: dict[Kind, int] = field(default_factory=dict)

    def add(
        self, rule: Kind, count: int, detail: str, seqs: tuple[Span, ...], *requests: Sighting | None
    ) -> None:
        """Count a case; the requests that are None are not known."""
        self.counts[rule] = self.counts.get(rule, 0) + count
        if self._kept.get(rule, 0) < self.limit:
            self._kept[rule] = self._kept.get(rule, 0) + 1
            self.examples.append(Finding(rule, count, detail, seqs, tuple(r for r in requests if r)))

    def in_order(self) -> tuple[Finding, ...]:
        """The examples by rule, in the order of the rules."""
        rules = [rule for kind in {type(one.rule) for one in self.examples} for rule in kind]
        order = {rule: at for at, rule in enumerate(rules)}
        return tuple(sorted(self.examples, key=lambda finding: order[finding.rule]))


@dataclass(frozen=True, slots=True)
class Judgement:
    """The checker's judgement of a history. ``examples`` are the first few cases of each rule."""

    counts: Mapping[Kind, int]
    examples: tuple[Finding, ...]
    notes: tuple[str, ...]

    def column(self, column: StrEnum) -> int:
        """The sum of a column's rules."""
        return sum(count for rule, count in self.counts.items() if rule.column is column)

    @property
    def outcome(self) -> Outcome:
        """``violated`` if one rule that breaks a promise has a case; else ``inconclusive`` or ``clean``."""
        if any(rule.violates for rule, count in self.counts.items() if count):
            return Outcome.VIOLATED
        return Outcome.INCONCLUSIVE if any(self.counts.values()) else Outcome.CLEAN

    @property
    def exit_code(self) -> int:
        """0 clean, 1 violated, 3 can't be judged."""
        return self.outcome.exit_code

    def cases_as_json(self) -> dict[str, Any]:
        """The findings as JSON, for programs."""
        return {
            "rules": {rule.slug: count for rule, count in self.counts.items()},
            "findings": [asdict(finding) | {"rule": finding.rule.slug} for finding in self.examples],
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class Verdict(Judgement):
    """The verdict on takes."""

    header: Header
    totals: Totals
    window: Span | None

    @classmethod
    def of(
        cls, header: Header, totals: Totals, findings: Findings, window: Span | None, notes: tuple[str, ...]
    ) -> Self:
        """The verdict of all findings."""
        return cls(dict(findings.counts), findings.in_order(), notes, header, totals, window)

    @property
    def duplicates(self) -> int:
        """Items handed out again, by seq or by value."""
        return self.column(Column.DUPLICATES)

    @property
    def skipped(self) -> int:
        """Seqs or values that nobody got, and that no request without a reply explains."""
        return self.column(Column.SKIPPED)

    @property
    def reordered(self) -> int:
        """Requests that got an earlier seq than a reply that had arrived before they were sent."""
        return self.column(Column.REORDERED)

    @property
    def unexplained(self) -> int:
        """Cases of all other rules: answers that the promises don't account for."""
        return self.column(Column.UNEXPLAINED)

    @property
    def allowed(self) -> int:
        """Missing seqs that requests without a reply may own: not proved lost."""
        return self.column(Column.ALLOWED)

    def as_json(self) -> dict[str, Any]:
        """The verdict as JSON, for programs."""
        return {
            "outcome": self.outcome.value,
            **{column.value: self.column(column) for column in Column},
            "window": self.window,
            "totals": asdict(self.totals),
            **self.cases_as_json(),
        }
