"""Compares the queues of the configuration with the ledger: at the start, and for a reload.

At a start, before any queue is open, a queue that can't be as the configuration has it fails alone, with its
cause and with the command that resolves it. The others run. A later start, or a reload, with a sound
configuration lifts such a failure. A reload with a queue that can't be so is refused, and changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, NamedTuple

from ..errors import ConfigError, SourceError
from ..ledger.ops import Define, Fail, Op, QueueRow, Retry
from ..ledger.work import DEFAULT_SETTINGS
from ..sources import Registry, SourceSpec
from ..sources.masking import shown
from .definition import KEPT, Definition, Kept, changed_settings
from .info import spec_of, written
from .rounds import Rounds

log = logging.getLogger("dibs.queue")

HAS: Final = "the configuration has "
"""The beginning of the message of each failure of this kind, and of no other."""

_OR: Final = ", and start again"
"""What follows is for queues that have failed."""
_SHOWN: Final = 64
_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class Fault:
    """The reason why a queue can't be as the configuration has it: a failure's type and message."""

    type: str
    message: str


class Beside(NamedTuple):
    """Queues of a ledger that this configuration does not decide on.

    ``named``: those of the configurations of other servers. ``again``: the sources that are looked for once
    more, see ``looked_into_again``.
    """

    named: Set[str] = frozenset()
    again: Mapping[str, SourceSpec] = MappingProxyType({})


ALONE: Final = Beside()
"""A configuration that decides on all queues."""


class Configuring:
    """Compares the ledger's rows with the queues that are ``wanted``; used once. ``beside``: other queues."""

    def __init__(
        self,
        rows: Iterable[QueueRow],
        rounds: Rounds,
        sources: Registry,
        wanted: Mapping[str, Definition],
        *,
        beside: Beside = ALONE,
    ) -> None:
        self._again = {name: spec for name, spec in beside.again.items() if name not in wanted}
        self._rounds = rounds
        self._sources = sources
        self._wanted = wanted
        self._named = {*wanted, *beside.named}
        self.rows = {row.name: row for row in rows}
        self.sound: dict[str, Definition] = {}

    async def run(self) -> None:
        """Record which queues fail. Then ``sound`` has the queues that can be defined, ``rows`` the rows.

        Raises:
            ConfigError: no queue would run.
            LedgerError: the failures can't be recorded.
        """
        faults = await self._examined()
        self._refuse_where_nothing_runs(faults)
        for name, fault in faults.items():
            await self._fail(name, fault)
        for name in {*self.sound, *self.gone()} - faults.keys():
            for op in self.lifts(name):
                await self._apply(op)
        self.tell_gone()
        self._tell_failed()

    @property
    def defined(self) -> dict[str, Definition]:
        """What is to be defined as the configuration has it."""
        return {name: found for name, found in self.sound.items() if name not in self._again}

    async def check(self, wrong: Sequence[str] = ()) -> None:
        """See that all queues can be as the configuration has them; then ``sound`` has them all.

        Raises:
            ConfigError: some can't, a line for each, or something else is ``wrong``.
        """
        faults = await self._examined()
        if told := [*wrong, *(_refused(name, fault) for name, fault in faults.items())]:
            raise ConfigError("\n".join(told))

    async def _examined(self) -> Mapping[str, Fault]:
        examined = await asyncio.to_thread(self._examine_all)
        self.sound = {name: found for name, found in examined.items() if isinstance(found, Definition)}
        return {name: found for name, found in examined.items() if isinstance(found, Fault)}

    def _live(self, name: str) -> QueueRow | None:
        row = self.rows.get(name)
        return None if row is None or row.deleted_at is not None else row

    def _examine_all(self) -> dict[str, Definition | Fault]:
        examined = {name: self._examine(name, definition) for name, definition in self._wanted.items()}
        return examined | {name: self._look_for(name, spec) for name, spec in self._again.items()}

    def _look_for(self, name: str, spec: SourceSpec) -> Definition | Fault:
        try:
            self._sources.check(spec, trusted=True)
        except SourceError as error:
            return Fault("source-invalid", f"{HAS}{_wrong(spec, error)}{_invalid(name)}")
        return Definition(KEPT)

    def _examine(self, name: str, definition: Definition) -> Definition | Fault:
        """Sort the queues into sound ones and faults, on a thread: it imports modules and looks for files."""
        row, spec = self._live(name), definition.source
        if isinstance(spec, Kept):
            return definition
        try:
            checked = self._sources.check(spec, trusted=True) if spec else None
        except SourceError as error:
            if row is not None and row.ending is not None and not _is_ours(row):
                log.warning("queue %s is %s; %s", name, row.ending, _wrong(spec, error))
                return replace(definition, source=KEPT)
            kind = "source-changed" if row is not None and row.cursor else "source-invalid"
            return Fault(kind, f"{HAS}{_wrong(spec, error)}{_invalid(name)}")
        if row is None or not row.cursor or self._same(spec_of(row), checked):
            return replace(definition, source=KEPT if row is not None and row.cursor else checked)
        if row.ending == "closed":
            log.warning("queue %s is closed, and not %s as in the configuration", name, _short(checked))
            return replace(definition, source=KEPT)
        return Fault("source-changed", _changed(row, checked))

    def _same(self, old: SourceSpec | None, new: SourceSpec | None) -> bool:
        """Whether both are one source, also where the old one was written down before it could be checked."""
        if old == new or old is None or new is None or not old.positional:
            return old == new
        try:
            return self._sources.check(old, trusted=True) == new
        except SourceError:
            return False

    def _refuse_where_nothing_runs(self, faults: Mapping[str, Fault]) -> None:
        """Refuse to start if every queue fails: a first start with a slip in it is better told at once."""
        if self.sound or not faults or any(row.deleted_at is None for row in self.rows.values()):
            return
        name, fault = next(iter(faults.items()))
        raise ConfigError(_refused(name, fault))

    async def _fail(self, name: str, fault: Fault) -> None:
        """Record the failure in the queue, which is created for that if there is none."""
        row, definition = self._live(name), self._wanted.get(name, Definition(KEPT))
        settings = changed_settings(
            row.settings if row else DEFAULT_SETTINGS, definition.settings, trusted=True
        )
        if row is not None:
            source, args = row.source, row.args
        else:
            assert not isinstance(definition.source, Kept)  # noqa: S101  # what is not named has no fault
            source, args = written(definition.source)
        await self._apply(Define(name, source, args, settings=settings, configured="file"))
        await self._apply(Fail(self.rows[name].id, fault.type, fault.message))
        log.warning("queue %s has failed: %s", name, fault.message)

    def lifts(self, name: str) -> list[Retry]:
        """The op that lifts the failure of a queue, if its configuration is sound again, or is gone."""
        row = self._live(name)
        if row is None or not _is_ours(row):
            return []
        if name not in self._wanted and name not in self._again:
            return [Retry(row.id)] if (row.failure_message or "").startswith(HAS) else []
        # another source takes the place of the failed one by a definition
        return [Retry(row.id)] if self.sound[name].source in {KEPT, spec_of(row)} else []

    async def _apply(self, op: Op) -> None:
        row = await self._rounds.commit(op)
        if isinstance(row, QueueRow):  # else it is not as it was a moment ago
            self.rows[row.name] = row

    def gone(self) -> list[str]:
        """The queues that were removed from the configuration, and go on handing out items."""
        return sorted(
            name
            for name, row in self.rows.items()
            if row.configured == "file" and row.deleted_at is None and name not in self._named
        )

    def _tell_failed(self) -> None:
        """Log the queues whose sources failed before; a fault of the configuration is told already."""
        failed = [row for row in self.rows.values() if row.ending == "failed" and row.deleted_at is None]
        for row in [row for row in failed if not _is_ours(row)][:_NAMED]:
            at = (row.name, row.cursor + 1, row.failure_type, row.failure_message, row.name)
            log.warning("queue %s has failed at item %d: %s: %s; `dibs retry %s` opens its source again", *at)

    def tell_gone(self) -> None:
        """Log the queues that were removed from the configuration."""
        gone = self.gone()
        for name in gone[:_NAMED]:
            log.warning(
                "queue %s is no longer in the configuration, and goes on: `dibs delete %s` (DELETE"
                " /queues/%s?confirm=%s) drops it, `dibs define %s` (PUT /queues/%s with {}) keeps it",
                *[name] * 6,
            )
        if len(gone) > _NAMED:
            log.warning("and %d more queues are no longer in the configuration", len(gone) - _NAMED)


def looked_into_again(rows: Iterable[QueueRow]) -> dict[str, SourceSpec]:
    """The sources that depend on what another machine may have, or lack, by their queues.

    These are the functions of users, and the sources that could not be used as they were defined. For a
    server that begins to own a ledger which another one has owned: a queue whose function it lacks fails, and
    one that failed for that reason goes on.
    """
    found = {}
    for row in rows:
        spec = spec_of(row) if row.deleted_at is None else None
        if spec is None:
            continue
        failed = (row.failure_message or "").startswith(f"{HAS}{_short(spec)}: ")
        if failed or (spec.is_function and row.ending is None):
            found[row.name] = spec
    return found


def _refused(name: str, fault: Fault) -> str:
    """Why the queue can't be so, for the one who wrote the configuration just now: nothing was changed."""
    message = fault.message.removeprefix(HAS).removesuffix(_invalid(name))
    return f"queue {name} = {message.partition(_OR)[0]}"


def _is_ours(row: QueueRow) -> bool:
    """Whether a queue has failed because of the configuration, or never came to be open."""
    never_open = not row.cursor and row.failure_type in {"source-changed", "source-invalid"}
    return never_open or (row.failure_message or "").startswith(HAS)


def _wrong(spec: SourceSpec | None, error: SourceError) -> str:
    """A source and what is wrong with it; most errors name it, too, and once is enough."""
    told = str(error) if spec is None else str(error).removeprefix(f"{spec.name}: ")
    return f"{_short(spec)}: {told}"


def _short(spec: SourceSpec | None) -> str:
    text = shown(spec) if spec else "producers"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _invalid(name: str) -> str:
    """The message of a wrong definition, with the command that resolves it."""
    return f". When that is mended, `dibs retry {name}` (POST /queues/{name}/retry) or a new start goes on"


def _changed(row: QueueRow, new: SourceSpec | None) -> str:
    """The message of a changed source, with each way to resolve it and its command."""
    name, old = row.name, _short(spec_of(row))
    return (
        f"{HAS}{_short(new)}, but the {row.cursor} items so far are of {old}. Give the new source a queue of"
        f" its own, or put {old} back{_OR}; `dibs retry {name}` (POST /queues/{name}/retry) goes"
        f" on with {old} until the next start; `dibs delete {name}` (DELETE /queues/{name}?confirm={name})"
        f" and a new start go on with the new source behind item {row.cursor}"
    )
