"""The load test: a crowd of clients, their history, the server's audit, and the checker's verdict.

The verdict says only what the history proves. It is made from the file that was written, so that
``dibs verify`` on the same file says the same.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .clients import Crowd, Plan
from .history import HistoryWriter
from .progress import Watch
from .records import Audited
from .stage import STOP_GRACE, TICK, Result, Stage
from .target import Target
from .work.load import WorkLoad
from .work.plan import WorkPlan

__all__ = ["STOP_GRACE", "Load", "Result", "load_of", "run_load"]


@dataclass(slots=True)
class Load(Stage[Audited]):
    """A load test of takes."""

    plan: Plan
    target: Target = field(init=False)
    _writer: HistoryWriter = field(init=False)

    def set_up(self, stack: contextlib.ExitStack) -> None:
        """Make the target, the history's writer and the crowd."""
        plan = self.plan
        self.target = Target(plan.url, plan.queue, timeout=plan.timeout, patience=plan.patience)
        stack.callback(self.target.close)
        self._writer = stack.enter_context(HistoryWriter(self.path, self.target.open()))
        self.crowd = Crowd(plan, self.target.queue, self._writer)

    def audit(self) -> Audited:
        """The server's counters now."""
        return self.target.audit()

    def write_end(self, audits: tuple[Audited, ...]) -> None:
        """Write the last line of the history."""
        self._writer.end(audits)


def load_of(plan: Plan | WorkPlan, watch: Watch, history: Path | None = None) -> Stage[Any]:
    """The load test of a plan."""
    if isinstance(plan, WorkPlan):
        return WorkLoad(plan, watch, history)
    return Load(plan, watch, history)


def run_load(plan: Plan | WorkPlan, watch: Watch, *, history: Path | None = None) -> Result:
    """Run a load test to its end, or to Ctrl-C.

    Args:
        plan: The load to make.
        watch: Shows the progress.
        history: The file for the history; None keeps none.

    Raises:
        HarnessFault: it could not begin.
        OSError: the history can't be written.
    """
    with load_of(plan, watch, history) as load:
        with load.until_interrupted():
            load.start()
            while not load.is_done(TICK):
                pass
        return load.finish()
