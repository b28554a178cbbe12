"""The kinds of a history, the columns of a verdict, and the damages that can be planted: names only."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """The kind of a history: items that are taken for good, or items that are pushed, leased and settled."""

    TAKES = "takes"
    WORK = "work"


class Column(StrEnum):
    """The columns of a verdict, which the rules are counted in, each with what it means."""

    meaning: str

    DUPLICATES = "duplicates", "handed out twice, by seq or by value"
    SKIPPED = "skipped", "handed out to nobody"
    REORDERED = "reordered", "a later request got an earlier seq"
    LOST = "lost", "neither acked, nor still in the queue"
    TWO_OWNERS = "two owners", "handed out while somebody's lease was certainly live"
    ACKED_AGAIN = "acked again", "handed out after the ack had been answered"
    FENCING = "fencing", "a dead token that had an effect, or a live one that had none"
    VALUES = "values", "not the value that was pushed"
    ATTEMPTS = "attempts", "counted wrongly, or more than allowed"
    PUSHES = "pushes", "pushed twice in spite of a key, or by nobody"
    UNEXPLAINED = "unexplained", "not accounted for"
    ALLOWED = "allowed", "not proved either way: a request without a reply may explain it"

    def __new__(cls, name: str, meaning: str) -> Column:
        """Make the member of this name."""
        column = str.__new__(cls, name)
        column._value_, column.meaning = name, meaning
        return column

    @property
    def slug(self) -> str:
        """The column's name for programs, such as ``two_owners``."""
        return self.value.replace(" ", "_")


class Damage(StrEnum):
    """A damage that can be planted, named after the violation that the checker must then find.

    ``kind`` is the kind of history that it can be planted in, ``column`` that of the verdict that must grow.
    """

    kind: Kind
    column: Column

    DUPLICATE = "duplicate", Kind.TAKES, Column.DUPLICATES
    SKIP = "skip", Kind.TAKES, Column.SKIPPED
    REORDER = "reorder", Kind.TAKES, Column.REORDERED
    LOST = "lost", Kind.WORK, Column.LOST
    TWO_OWNERS = "two-owners", Kind.WORK, Column.TWO_OWNERS
    ACKED_AGAIN = "acked-again", Kind.WORK, Column.ACKED_AGAIN
    VALUE = "value", Kind.WORK, Column.VALUES

    def __new__(cls, name: str, kind: Kind, column: Column) -> Damage:
        """Make the member of this name."""
        damage = str.__new__(cls, name)
        damage._value_, damage.kind, damage.column = name, kind, column
        return damage


def damages(kind: Kind) -> str:
    """The names of the damages of one kind of history."""
    return ", ".join(damage for damage in Damage if damage.kind is kind)
