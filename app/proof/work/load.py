"""The load test of work: producers, consumers, their history, the audit, and the checker's verdict."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from ..errors import HarnessFault
from ..stage import TICK, Stage
from .crowd import WorkCrowd
from .history import WorkWriter
from .plan import WorkPlan
from .records import Inside, Note, WorkAudit, WorkEnd
from .target import WorkTarget


@dataclass(slots=True)
class WorkLoad(Stage[WorkAudit]):
    """A load test of work."""

    plan: WorkPlan
    target: WorkTarget = field(init=False)
    crowd: WorkCrowd = field(init=False)
    _writer: WorkWriter = field(init=False)
    _restarts: int = field(init=False, default=0)

    def set_up(self, stack: contextlib.ExitStack) -> None:
        """Make the queue, the history's writer and the crowd."""
        self.target = WorkTarget(self.plan)
        stack.callback(self.target.close)
        self._writer = stack.enter_context(WorkWriter(self.path, self.target.open()))
        self.crowd = WorkCrowd(self.plan, self.target.queue, self._writer, self.target.left)

    def quiet(self, grace: float) -> None:
        """Push nothing more and consume the rest; after Ctrl-C, only let requests end."""
        if not self.interrupted:
            self.crowd.finish()
            while not self.is_done(TICK):
                pass
        Stage.quiet(self, grace)

    def restarted(self, killed: int, ready: int) -> None:
        """Note a restart, which explains leases that expired meanwhile."""
        self._restarts += 1
        self._writer.note(Note("restart", killed, ready))

    def audit(self) -> WorkAudit:
        """The server's counters now."""
        return self.target.audit()

    def write_end(self, audits: tuple[WorkAudit, ...]) -> None:
        """List the items that are left inside, and write the last line of the history."""
        inside, steady = self._looked()
        self._writer.end(WorkEnd(0, inside, audits, steady))

    def _looked(self) -> tuple[tuple[Inside, ...] | None, bool]:
        try:
            # A server that is restarted by the harness is its own, and nobody else restarts it.
            return self.target.inside(), bool(self._restarts) or self.target.is_steady()
        except HarnessFault as fault:
            self.crowd.fail(f"can't look at what is left: {fault}")
            return None, False
