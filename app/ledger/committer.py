"""The committer: takes every op that waits, applies them in one transaction, syncs once, wakes all callers.

The committer adds no delay of its own: while one batch is being synced the next one gathers by itself. It
never waits for a source's lock, so a source that sleeps holds up no other queue's commit.

When a commit fails, nobody knows at first what is on disk (measured: a commit that failed with EIO reads as
absent on the same connection and as present after a kill). So the committer suspends every line that has
drawn ops under way, which raises their epoch; closes the engine, reopens it, checkpoints it; and then *the
ledger's cursor decides*: drawn ops at or below it are granted, those above go back, in seq order, to be drawn
first. Other ops are resolved by their key, or answered with "maybe".
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, perf_counter

from ..errors import LedgerDamaged, LedgerError, LedgerFull, LedgerUnavailable, OutcomeUnknown
from .entry import Entry, Line, Settled, answered, drawn, grant, on_disk, tells, weight
from .ops import Advance, Define, Engine, EngineDamaged, EngineFailed, QueueRow, Take
from .pending import settle_all

log = logging.getLogger("dibs.ledger")

GRACE = 2.0  # seconds: how long callers of a failed commit wait for certainty before they hear "maybe"
LOOK_EVERY = 1.0  # seconds between two looks at the ledger's files while nothing is committed
LOOK_BUSY = 0.01  # and while much is: a look costs as much as a tenth of a commit
ROOM_EVERY = 0.5  # seconds between two looks for room on a full disk
BATCH_MOST = 1_024  # ops a transaction
BATCH_BYTES = 16 * 1024 * 1024  # of values and texts that its ops bring along, one op at least
_PAUSES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # seconds between attempts to reopen


class Committer:
    """One thread that owns the engine's writing side.

    ``observe(batch, seconds)`` is called after each commit. After a reopening, ``refresh(rows)`` gets the
    rows of the ledger before any line goes on, and ``refreshed(rows)`` when ops are taken again; then callers
    wake.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        observe: Callable[[int, float], None] = lambda batch, seconds: None,
        refresh: Callable[[list[QueueRow]], None] = lambda rows: None,
        refreshed: Callable[[list[QueueRow]], None] = lambda rows: None,
    ) -> None:
        self._engine = engine
        self._observe = observe
        self._refresh = refresh
        self._refreshed = refreshed
        self._guard = threading.Lock()
        self._work = threading.Condition(self._guard)
        self._waiting: deque[Entry] = deque()
        self._batch: list[Entry] = []  # what is being committed: it may be on disk
        self._absent: list[Entry] = []  # taken out of the line and certainly not on disk
        self._asleep = False
        self._closing = False
        self._down: LedgerError | None = None
        self._unread: LedgerError | None = None  # while nobody knows what a failed commit has left on disk
        self._interrupted: LedgerError = LedgerUnavailable("the ledger was reopened; nothing was handed out")
        self._looked = 0.0
        self.reopened = 0
        self._thread = threading.Thread(target=self._run, name="dibs-committer", daemon=True)
        self._thread.start()

    # -- the line

    def submit(self, entry: Entry) -> None:
        """Put an op into the line, from which it can't be withdrawn.

        Raises:
            LedgerFull, LedgerUnavailable: the ledger can't be written now; the op is not in the line.
        """
        with self._guard:
            if self._down is not None:
                raise _again(self._down)
            self._waiting.append(entry)
            if self._asleep:
                self._asleep = False
                self._work.notify()

    def check(self) -> None:
        """Raise what :meth:`submit` would raise; draws call this first, so that nothing is drawn in vain."""
        if (down := self._down) is not None:
            raise _again(down)

    def check_read(self) -> None:
        """Raise while the content of the disk is not known: then no final answer may come from memory."""
        if (unread := self._unread) is not None:
            raise _again(unread)

    def interruption(self) -> LedgerError:
        """The last error for which the lines were suspended between a draw and its op."""
        return _again(self._interrupted)

    @property
    def down(self) -> LedgerError | None:
        """Why the ledger can't be written now, after a look at its files; None while it can."""
        trouble = self._engine.trouble()
        if trouble is not None:
            self._looked = 0.0  # so that the next batch is not committed on an older look
        return self._down or trouble

    def close(self, timeout: float = 5.0) -> bool:
        """Commit the ops in the line, refuse later ones, close the engine.

        Returns False if the disk did not let this end within ``timeout`` seconds.
        """
        with self._guard:
            self._closing = True
            self._work.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _next_batch(self) -> list[Entry] | None:
        """The waiting ops that fit one transaction; no ops after a while without; None at the end."""
        with self._guard:
            if not self._waiting and not self._closing:
                self._asleep = True
                unheard = self._engine.unheard()
                self._work.wait(LOOK_EVERY if unheard is None else min(unheard, LOOK_EVERY))
                self._asleep = False
            if not self._waiting:
                if not self._closing:
                    return []
                self._down = LedgerUnavailable("the server is going down")
                return None
            waiting, batch, size = self._waiting, [self._waiting.popleft()], 0
            while waiting and len(batch) < BATCH_MOST:
                size += weight(batch[-1].op)
                if size >= BATCH_BYTES:
                    break
                batch.append(waiting.popleft())
            return batch

    def _run(self) -> None:
        try:
            self._commit_all()
        except BaseException:
            log.critical("the committer has ended; nothing is handed out any more", exc_info=True)
            with self._guard:
                self._down = LedgerUnavailable("the committer has ended: restart the server")
                late = [*self._absent, *self._waiting]
                self._waiting.clear()
            settle_all(_fail_all(self._batch, OutcomeUnknown("the committer has ended: restart the server")))
            settle_all(_fail_all(late, self._down))
        finally:
            self._engine.close()

    def _commit_all(self) -> None:
        while (batch := self._next_batch()) is not None:
            self._batch, self._absent = batch, []
            if (trouble := self._trouble(batch)) is not None:
                self._stand_still(batch, trouble)
                continue
            if not batch:
                self._keep_time()
                continue
            started = perf_counter()
            try:
                outcomes = self._engine.apply([entry.op for entry in batch])
            except EngineDamaged as error:
                self._stand_still(batch, LedgerDamaged(str(error)))
            except EngineFailed as error:
                self._recover(batch, [], error)
            except Exception:
                log.exception("a transaction of %d ops was refused; applying them singly", len(batch))
                self._apply_singly(batch)
            else:
                self._observe(len(batch), perf_counter() - started)
                settle_all([grant(entry, outcome) for entry, outcome in zip(batch, outcomes, strict=True)])
        if self._engine.trouble() is not None:
            self._save()

    # -- when the files are at fault, though the disk is not

    def _trouble(self, batch: list[Entry]) -> LedgerError | None:
        """Why nothing may be committed. After a pause the files are looked at before any hand-out."""
        now = monotonic()
        if batch and now - self._looked < LOOK_BUSY:
            return None
        self._looked = now
        return self._engine.trouble()

    def _stand_still(self, batch: list[Entry], trouble: LedgerError) -> None:
        """Hand out nothing until the files are back; if they are damaged, never again."""
        log.critical("%s", trouble)
        absent, lines = self._suspend(batch, trouble)
        told = self._save()
        self._resume(lines)
        settle_all(_fail_all(absent, trouble))
        while (again := self._engine.trouble()) is not None and not self._closing:
            with self._guard:
                self._down = again
                self._work.wait(LOOK_EVERY)
            told = self._save(told)
        if again is None:
            self._save(told)  # what is handed out from here on needs saving anew
            log.warning("the files of the ledger are back; it goes on")
            with self._guard:
                self._down = None
            with suppress(LedgerError):
                self._refreshed(self._engine.rows())

    def _suspend(
        self, batch: list[Entry], refusal: LedgerError
    ) -> tuple[list[Entry], dict[Line, list[Entry]]]:
        """Take no more ops, let no line draw, and return the ops that are certainly not on disk, by line."""
        with self._guard:
            self._down = self._interrupted = refusal
            absent = [*batch, *self._waiting]
            self._absent = absent
            self._waiting.clear()
        lines: dict[Line, list[Entry]] = {}
        for entry in absent:
            if entry.line is not None:
                lines.setdefault(entry.line, []).append(entry)
        for line in lines:
            line.suspend()
        return absent, lines

    def _resume(self, lines: dict[Line, list[Entry]]) -> None:
        for line, entries in lines.items():
            line.resume(entries, self._cursor(line))

    def _save(self, told: str | None = None) -> str | None:
        """Save the content of the open files, which may be all that is left; what was logged of it last."""
        try:
            news = self._engine.rescue()
        except Exception as error:
            news = f"the content of the open files could not be saved: {error}"
        if news is not None and news != told:
            log.critical("%s", news)
        return news or told

    def _keep_time(self) -> None:
        """Persist ledger time while nothing else is written and a lease is live."""
        if self._engine.unheard() != 0:
            return
        try:
            self._engine.keep_time()
        except EngineFailed as error:
            self._recover([], [], error)

    # -- when an op is at fault

    def _apply_singly(self, batch: list[Entry]) -> None:
        """Apply ops one by one: one at fault fails alone, with the later draws of its queue."""
        broken: dict[Line, list[Entry]] = {}
        for at, entry in enumerate(batch):
            if entry.line is not None and entry.line in broken:
                broken[entry.line].append(entry)
                continue
            started = perf_counter()
            try:
                outcome = self._engine.apply([entry.op])[0]
            except EngineDamaged as error:
                late = [other for entries in broken.values() for other in entries]
                self._stand_still([*late, *batch[at:]], LedgerDamaged(str(error)))
                return
            except EngineFailed as error:
                self._recover(batch[at:], [late for entries in broken.values() for late in entries], error)
                return
            except Exception as error:
                log.exception("refused by the ledger: %r", entry.op)
                if entry.line is None:
                    refused = LedgerUnavailable(f"the ledger refused this: {error}")
                    entry.pending.fail(error if isinstance(error, LedgerDamaged) else refused)
                else:
                    entry.line.suspend()
                    broken[entry.line] = [entry]
            else:
                self._observe(1, perf_counter() - started)
                settle_all([grant(entry, outcome)])
        with self._guard:
            for entry in self._waiting:
                if entry.line in broken:
                    broken[entry.line].append(entry)
                    self._absent.append(entry)
            self._waiting = deque(entry for entry in self._waiting if entry.line not in broken)
        for line, entries in broken.items():
            line.resume(entries, self._cursor(line))
            settle_all((e.pending, None, LedgerUnavailable("the ledger refused a hand-out")) for e in entries)

    def _cursor(self, line: Line) -> int | None:
        try:
            row = self._engine.row(line.queue)
        except LedgerError:
            return None
        return row.cursor if row else None

    # -- when the disk is at fault

    def _recover(self, batch: list[Entry], back: list[Entry], error: EngineFailed) -> None:
        """The failure rule. ``batch`` may be on disk; ``back`` and what waits in the line can't be."""
        log.error("a commit of %d ops failed: %s; reopening the ledger", len(batch), error)
        refusal = _refusal(error)
        with self._guard:
            self._down = self._unread = self._interrupted = refusal
            absent = [*back, *self._waiting]
            self._absent = absent
            self._waiting.clear()
        lines: dict[Line, list[Entry]] = {e.line: [] for e in (*batch, *absent) if e.line is not None}
        for line in lines:
            line.suspend()
        rows = self._reopen(batch, absent, refusal)
        if rows is None:
            return
        self._refresh(rows)
        self._unread = None
        by_id = {row.id: row for row in rows}
        settled = self._decide(batch, rows, refusal) + _fail_all(absent, refusal)
        for entry in batch:
            if entry.line is not None and not on_disk(entry.op, by_id.get(entry.line.queue)):
                lines[entry.line].append(entry)
        for entry in absent:
            if entry.line is not None:
                lines[entry.line].append(entry)
        cursors = {row.id: row.cursor for row in rows}
        for line, entries in lines.items():
            line.resume(entries, cursors.get(line.queue))
        room = self._has_room()
        self._refreshed(rows)
        settle_all(settled)
        while not room and not self._closing:
            with self._guard:
                self._work.wait(ROOM_EVERY)
            room = self._has_room()
            if room:
                self._refreshed(rows)

    def _has_room(self) -> bool:
        """Take ops again, if the disk has room for one more failure with a certain outcome."""
        try:
            self._engine.reserve()
        except EngineFailed as error:
            self._down = _refusal(error)
            return False
        with self._guard:
            self._down = None
        return True

    def _reopen(self, batch: list[Entry], absent: list[Entry], refusal: LedgerError) -> list[QueueRow] | None:
        """Reopen the ledger, until it works or the server goes down.

        After the grace the callers are told what is known so far; drawn ops wait for the decision.
        """
        grace, attempt = monotonic() + GRACE, 0
        while True:
            try:
                self._engine.reopen()
                rows = self._engine.rows()
            except (EngineFailed, LedgerError) as error:
                if attempt == 0:
                    log.warning("the ledger can't be reopened yet: %s", error)
            else:
                self.reopened += 1
                log.warning("the ledger is open again, at attempt %d", attempt + 1)
                return rows
            if self._closing or monotonic() > grace:
                unsure = OutcomeUnknown(
                    "the disk failed during the commit: send the request again with its key"
                )
                known = refusal if isinstance(refusal, LedgerFull) else unsure
                settle_all(_fail_all(batch, known) + _fail_all(absent, refusal))
            if self._closing:
                return None
            with self._guard:
                self._work.wait(_PAUSES[min(attempt, len(_PAUSES) - 1)])
            attempt += 1

    def _decide(self, batch: list[Entry], rows: list[QueueRow], refusal: LedgerError) -> list[Settled]:
        by_id = {row.id: row for row in rows}
        by_name = {row.name: row for row in rows}
        settled: list[Settled] = []
        for entry in batch:
            op = entry.op
            row = by_name.get(op.name) if isinstance(op, Define) else by_id.get(op.queue)
            if drawn(op) is not None and not on_disk(op, row):
                settled.append((entry.pending, None, _again(refusal)))
            elif isinstance(op, Take):
                settled.append(answered(entry, None))
            elif isinstance(op, Advance):
                settled.append((entry.pending, row, None if on_disk(op, row) else _again(refusal)))
            else:
                settled.append(self._resolve(entry, row, refusal))
        return settled

    def _resolve(self, entry: Entry, row: QueueRow | None, refusal: LedgerError) -> Settled:
        """Resolve an op that the cursor does not decide: by its key, if it has one."""
        op, pending = entry.op, entry.pending
        if op.remember is None:
            # What had no room did not come to the log: its last frame was never written whole.
            if isinstance(refusal, LedgerFull):
                return pending, None, _again(refusal)
            error = OutcomeUnknown("the disk failed during this request: look at the queue, then ask again")
            return pending, None, error
        if row is None:
            return pending, None, _again(refusal)
        try:
            found = self._engine.recall(row.id, row.generation, op.remember.caller, op.remember.key)
        except LedgerError as error:
            return pending, None, OutcomeUnknown(f"the disk failed in the middle of this: {error}")
        if found is None or not tells(found, op):
            return pending, None, _again(refusal)
        return answered(entry, QueueRow.of(found.outcome) if found.work is None else found.work)


def _fail_all(entries: list[Entry], error: LedgerError) -> list[Settled]:
    return [(entry.pending, None, _again(error)) for entry in entries]


def _refusal(error: EngineFailed) -> LedgerError:
    if error.full:
        return LedgerFull("the disk of the ledger is full; nothing was handed out")
    return LedgerUnavailable(f"the disk of the ledger fails ({error}); nothing was handed out")


def _again(error: LedgerError) -> LedgerError:
    """An error of its own for each caller: tracebacks pile up on a shared one."""
    return type(error)(*error.args)
