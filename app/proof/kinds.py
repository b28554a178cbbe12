"""The kinds of a history, the columns of a verdict, and the damages that can be planted: names only."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """The kind of a history: items that are taken for good, or items that are pushed, leased and settled."""

    TAKES = "takes"
    WORK = "work"


class Column(StrEnum):
    """The columns of a verdict, which the rules are counted in."""

    DUPLICATES = "duplicates"
    SKIPPED = "skipped"
    REORDERED = "reordered"
    LOST = "lost"
    TWO_OWNERS = "two owners"
    ACKED_AGAIN = "acked again"
    FENCING = "fencing"
    VALUES = "values"
    ATTEMPTS = "attempts"
    PUSHES = "pushes"
    UNEXPLAINED = "unexplained"
    ALLOWED = "allowed"

    @property
    def slug(self) -> str:
        """The column's name for programs, such as ``two_owners``."""
        return self.value.replace(" ", "_")


class Damage(StrEnum):
    """A damage that can be planted, named after the violation that the checker must then find."""

    DUPLICATE = "duplicate"
    SKIP = "skip"
    REORDER = "reorder"
    LOST = "lost"
    TWO_OWNERS = "two-owners"
    ACKED_AGAIN = "acked-again"
    VALUE = "value"

    @property
    def kind(self) -> Kind:
        """The kind of history that it can be planted in."""
        return _DAMAGES[self][0]

    @property
    def column(self) -> Column:
        """The column of the verdict that must grow."""
        return _DAMAGES[self][1]


_DAMAGES = {
    Damage.DUPLICATE: (Kind.TAKES, Column.DUPLICATES),
    Damage.SKIP: (Kind.TAKES, Column.SKIPPED),
    Damage.REORDER: (Kind.TAKES, Column.REORDERED),
    Damage.LOST: (Kind.WORK, Column.LOST),
    Damage.TWO_OWNERS: (Kind.WORK, Column.TWO_OWNERS),
    Damage.ACKED_AGAIN: (Kind.WORK, Column.ACKED_AGAIN),
    Damage.VALUE: (Kind.WORK, Column.VALUES),
}


def damages(kind: Kind) -> str:
    """The names of the damages of one kind of history."""
    return ", ".join(damage for damage in Damage if damage.kind is kind)
