"""The consoles of the command: nothing that is printed on them can act on the terminal but rich itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from ..inert import acts, inert


class InertConsole(Console):
    """A console whose texts are inert, wherever they come from."""

    def on_broken_pipe(self) -> None:
        """Let the BrokenPipeError that is being handled go on: it is an error like any other."""
        raise  # noqa: PLE0704

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Make the texts inert; the control codes that rich itself makes are not texts."""
        return _inert(super().render(renderable, options))


def console(*, stderr: bool = False, width: int | None = None, file: Any = None) -> Console:
    """A console on stdout, stderr or ``file``; ``width`` is for what is not a terminal and so has none."""
    options: dict[str, Any] = {"stderr": stderr, "file": file, "highlight": False}
    made = InertConsole(**options)
    return made if width is None or made.is_terminal else InertConsole(width=width, **options)


def _inert(segments: Iterable[Segment]) -> Iterator[Segment]:
    for segment in segments:
        if segment.control or not acts(segment.text):
            yield segment
        else:
            yield Segment(inert(segment.text, lines=True), segment.style)
