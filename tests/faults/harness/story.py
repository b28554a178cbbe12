"""A fixed story on several queues: what is asked, in which order, what at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

QUEUES = ("count", "lines", "range", "broken")


@dataclass(frozen=True)
class Step:
    """One request. ``expect`` names the refusal that is the right answer, ``*`` any final one."""

    id: str
    verb: str
    queue: str = ""
    amount: int = 0
    source: str = ""
    keyed: bool = False
    expect: str = ""

    @property
    def key(self) -> str | None:
        return f"key-{self.id}" if self.keyed else None

    @property
    def hands_out(self) -> bool:
        return self.verb in ("take", "block")


class Story:
    """The steps, in groups; those of a group are asked at the same time.

    ``epilogue``: one more item of each queue, for a story that ended early. ``bulky``: another story, short,
    whose lines are so long that one answer makes SQLite bring its log into the database by itself.
    """

    def __init__(self, place: Path, *, bulky: bool = False) -> None:
        self.flag = place / "mended"
        self._lines = place / "lines.txt"
        self._length = 30_000 if bulky else 8
        self._lines.write_text("".join(f"{self.value('lines', seq)}\n" for seq in range(1, 51)))
        self._count = 0
        self.groups = list(self._bulky() if bulky else self._groups())
        self.epilogue = [
            self._step("take", queue, 1, keyed=True, expect="*")
            for queue in QUEUES
            if not bulky or queue in ("count", "lines")
        ]
        everything = chain(chain.from_iterable(self.groups), self.epilogue)
        self.steps = {step.id: step for step in everything}

    def value(self, queue: str, seq: int) -> Any:
        """What the item ``seq`` of a queue is."""
        line = f"line {seq} ".ljust(self._length, "x")
        return {"count": seq, "lines": line, "range": seq - 1, "broken": seq * 10}[queue]

    def _step(self, verb: str, queue: str = "", amount: int = 0, **more: Any) -> Step:
        self._count += 1
        return Step(f"{self._count:02}-{verb}-{queue}", verb, queue, amount, **more)

    def _groups(self) -> Iterator[list[Step]]:
        step = self._step
        broken = f"functions:mended_by(flag='{self.flag}', at=4, end=9)"
        yield [step("define", "count", source="count()")]
        yield [step("take", "count", 1)]
        yield [
            step("define", "lines", source=f"lines('{self._lines}')", keyed=True),
            step("define", "range", source="range(0, 5)"),
            step("define", "broken", source=broken),
        ]
        yield [
            step("take", "count", 1),
            step("take", "lines", 2, keyed=True),
            step("take", "count", 2, keyed=True),
            step("block", "count", 100, keyed=True),
            step("take", "count", 1),
            step("take", "range", 3, keyed=True),
        ]
        yield [step("take", "range", 10, keyed=True), step("take", "broken", 10, keyed=True)]
        yield [
            step("take", "range", 1, expect="QueueExhausted"),
            step("take", "broken", 1, expect="QueueFailed"),
        ]
        yield [step("pause", "count", keyed=True), step("take", "lines", 1)]
        yield [step("restart")]
        yield [
            step("take", "count", 1, expect="QueuePaused"),
            step("take", "broken", 1, expect="QueueFailed"),
        ]
        yield [step("resume", "count"), step("mend"), step("take", "lines", 3, keyed=True)]
        yield [step("retry", "broken", keyed=True)]
        yield [step("take", "broken", 2, keyed=True), step("take", "count", 4)]
        yield [step("advance", "count", 500, keyed=True)]
        yield [step("take", "count", 1), step("block", "count", 7), step("take", "count", 2, keyed=True)]
        yield [step("delete", "range", keyed=True)]
        yield [step("define", "range", source="range(0, 9)", keyed=True)]
        yield [step("take", "range", 2, keyed=True), step("close", "lines", keyed=True)]
        yield [step("take", "lines", 1, expect="QueueExhausted"), step("take", "count", 1)]

    def _bulky(self) -> Iterator[list[Step]]:
        step = self._step
        yield [
            step("define", "count", source="count()"),
            step("define", "lines", source=f"lines('{self._lines}')"),
        ]
        yield [step("take", "count", 1)]
        yield [step("take", "lines", 40, keyed=True), step("take", "count", 1, keyed=True)]
        yield [step("take", "count", 1), step("take", "lines", 1)]
        yield [step("take", "lines", 2, keyed=True)]
