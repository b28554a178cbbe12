"""Every exception that dibs raises, in one tree.

::

    DibsError
    ├── IteratorError              a shared iterator
    │   ├── ReentrantPull          the thread that pulls asked again
    │   ├── SourceFailed           the source raised; carries its cause
    │   ├── SourceClosed           the iterator was closed
    │   ├── PullTimeout            another thread's pull took too long; nothing was consumed
    │   └── ForkedIterator         used in a child process
    ├── SourceError                a source's definition, or what it yields
    │   ├── SourceUnknown          no such source, or not allowed from here
    │   ├── SourceInvalid          an argument is missing, unknown or out of range
    │   ├── SourceChanged          not the source that the cursor was counted on
    │   └── ValueRefused           a value that is not JSON, or too large
    ├── Refused                    a queue says no; nothing was handed out
    │   ├── QueueUnknown           no such queue
    │   ├── QueueExhausted         the source has ended or the queue is closed
    │   ├── QueueFailed            the source raised; the cause is shown
    │   ├── QueuePaused            paused by an operator
    │   ├── QueueStarting          the source is being replayed
    │   ├── SourceBusy             the source did not yield in time
    │   ├── QueueConflict          the queue's state does not allow this
    │   ├── NotArithmetic          blocks need a source that counts
    │   ├── KeyReused              the idempotency key belongs to another request
    │   ├── KeySuperseded          a later request of the same session has been answered
    │   ├── LimitExceeded          over a limit; names the field and the limit
    │   ├── Forbidden              not allowed from here, or not to this caller
    │   ├── Unauthenticated        no token, or none that is valid here
    │   ├── TooManyTries           too many wrong tokens from one address
    │   ├── QueueFull              more may not wait; come again later
    │   ├── ItemUnknown            not in the queue: not drawn yet, or done
    │   ├── StaleLease             the token holds none of these items any more
    │   ├── ResultRefused          the queue that a result goes to does not take it
    │   ├── Stopping               the server is going down
    │   ├── NotOwner               another server of the same ledger decides, and this one may not ask it
    │   ├── NoOwner                no server of the ledger decides now, or it can't be reached
    │   └── Crowded                as many requests are passed on as a server passes on at once
    ├── LedgerError                the durable record
    │   ├── LedgerFull             no room on the disk; nothing was handed out
    │   ├── LedgerUnavailable      the disk fails; nothing was handed out
    │   │   └── LedgerMoved        another server owns the ledger now; nothing was handed out
    │   ├── LedgerLost             the database has lost transactions that were told; nothing was handed out
    │   ├── LedgerFault            a bug of ours: the op was undone, and fails alone; the log has the cause
    │   ├── OutcomeUnknown         asked, but whether it is on disk can't be told: maybe
    │   ├── LedgerCopied           a restored backup, which nobody has accepted yet
    │   ├── LedgerDamaged          not what was written: refused, never served
    │   ├── LedgerLocked           another server owns the data; names its pid
    │   ├── LedgerMigrated         it was moved to a database, or is on the way; says where to
    │   ├── LedgerUnfit            a database in which the promises would not hold; says what to set
    │   ├── LedgerForeign          not a ledger of dibs, or damaged
    │   └── LedgerTooNew           written by a newer dibs
    ├── ConfigError                a setting is wrong; names it
    └── ProofError                 a history, a load test: drawn in app/proof/errors.py, never over HTTP
"""

from __future__ import annotations

from typing import Final, Literal


class DibsError(Exception):
    """The root of all exceptions that dibs raises on purpose."""


class IteratorError(DibsError):
    """A shared iterator can't give a value."""


class ReentrantPull(IteratorError, RuntimeError):
    """The thread that is pulling asked the same iterator again: it would wait for itself."""


class SourceFailed(IteratorError, RuntimeError):
    """The source raised earlier. ``__cause__`` is its exception; callers never take this for an end."""


class SourceClosed(IteratorError, RuntimeError):
    """The iterator was closed; it gives nothing more."""


class PullTimeout(IteratorError, TimeoutError):
    """Another thread was pulling for the whole of the timeout. Nothing was consumed."""


class ForkedIterator(IteratorError, RuntimeError):
    """The iterator was used in a child process: parent and child would both hand out the same values."""


class SourceError(DibsError):
    """A source can't be used as it is."""


class SourceUnknown(SourceError):
    """There is no source of this name, or it may not be named from here."""

    field = "source"


class SourceInvalid(SourceError, ValueError):
    """A source's argument is missing, unknown or out of range; it says ``source.argument:`` first."""

    @property
    def field(self) -> str:
        """The argument, as a request names it."""
        name, dot, argument = str(self).partition(":")[0].partition(".")
        return f"args.{argument}" if dot and name.isidentifier() else "args"


class SourceChanged(SourceError):
    """A replay differs from what was handed out, ends early or raises."""


class ValueRefused(SourceError, ValueError):
    """A source yielded a value that JSON can't carry exactly, or that is over the limit."""


class Refused(DibsError):
    """A queue says no. Nothing was handed out and nothing was changed.

    ``field`` and ``limit`` name what was wrong, ``retry_after`` (seconds) says when asking again helps.
    """

    def __init__(
        self,
        detail: str,
        *,
        field: str | None = None,
        limit: int | str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.field = field
        self.limit = limit
        self.retry_after = retry_after


class QueueUnknown(Refused):
    """There is no queue of this name."""


class QueueExhausted(Refused):
    """The queue is exhausted: its source has ended or it is closed, and no item is left inside."""


class QueueFailed(Refused):
    """The queue's source raised. The queue stays failed until it is retried."""

    def __init__(self, detail: str, *, cause_type: str, cause_message: str, seq: int) -> None:
        super().__init__(detail)
        self.cause_type = cause_type
        self.cause_message = cause_message
        self.seq = seq


class QueuePaused(Refused):
    """An operator paused the queue."""


class QueueStarting(Refused):
    """The source is being replayed up to the cursor."""


class SourceBusy(Refused):
    """The source did not yield in time; what it yields later goes to a later caller."""


class QueueConflict(Refused):
    """The queue's state or definition does not allow this.

    ``reason`` is the word for programs, such as ``source-changed``.
    """

    def __init__(self, detail: str, *, reason: str = "conflict", field: str | None = None) -> None:
        super().__init__(detail, field=field)
        self.reason = reason


class NotArithmetic(Refused):
    """Only a source that counts can hand out blocks."""


class KeyReused(Refused):
    """The idempotency key was first sent with another request."""


class KeySuperseded(Refused):
    """A later request of the key's session has been answered: of this one nobody knows any more."""


class LimitExceeded(Refused):
    """A value is over (or under) its limit. Never clamped: nothing was spent."""


class Forbidden(Refused):
    """The server does not allow the request from here, or not to who asks."""


class Unauthenticated(Refused):
    """The server asks for a token, and the request has none that is valid there."""


class TooManyTries(Refused):
    """Too many wrong tokens came from the address of the request."""


class QueueFull(Refused):
    """As many items wait as the queue's ``max_ready`` allows. Nothing was pushed; ask again later."""


class ItemUnknown(Refused):
    """The item is not inside the queue: not drawn or pushed yet, or done."""


class StaleLease(Refused):
    """The token holds none of these items: the lease expired, or they were settled. Nothing was changed."""


class ResultRefused(Refused):
    """The queue that a result should go to does not take it. The lease is untouched.

    ``reason`` is the word for programs: ``unknown``, ``closed`` or ``source-fed``.
    """

    def __init__(self, detail: str, *, reason: str, field: str | None = "push") -> None:
        super().__init__(detail, field=field)
        self.reason = reason


class Stopping(Refused):
    """The server is going down; another one, or the next, will answer."""


class NotOwner(Refused):
    """Another server owns the ledger now; a request that was passed on already is not passed on again."""


class NoOwner(Refused):
    """No server owns the ledger at the moment, or the one that does can't be reached. Nothing was done."""


class Crowded(Refused):
    """As many requests are passed on to the owner as a server passes on at once. Nothing was done."""


class LedgerError(DibsError):
    """The durable record can't do what was asked."""


class LedgerFull(LedgerError):
    """There is no room on the disk. Nothing was handed out."""


class LedgerUnavailable(LedgerError):
    """The disk fails or the ledger is being reopened. Nothing was handed out."""


class LedgerMoved(LedgerUnavailable):
    """Another server owns the ledger now: it has to be asked. Nothing was handed out."""


class LedgerLost(LedgerError):
    """The database has lost transactions that were told to callers. Nothing was handed out."""

    handed_out: Final = "no"


class LedgerFault(LedgerError):
    """The ledger can't do this, by a fault of ours and not of the disk; the log has it. Nothing was done."""

    handed_out: Final = "no"


class OutcomeUnknown(LedgerError):
    """The request reached the ledger, but whether it is on disk can't be told: it may have happened."""


class LedgerCopied(LedgerError):
    """The ledger is a restored backup: nothing is handed out or taken in until an operator accepts it."""

    handed_out: Final = "no"


class LedgerDamaged(LedgerError):
    """What the disk gives back is not what was written to it: it is refused.

    ``handed_out`` is ``maybe`` where the damage is in the answer that was kept under a key.
    """

    def __init__(self, detail: str, handed_out: Literal["no", "maybe"] = "no") -> None:
        super().__init__(detail, handed_out)
        self.handed_out = handed_out

    def __str__(self) -> str:
        return str(self.args[0])


class LedgerLocked(LedgerError):
    """Another server owns the data; the message names its process."""


class LedgerMigrated(LedgerError):
    """The ledger was moved from here, or its move is not finished; the message says what is to be done."""


class LedgerUnfit(LedgerError):
    """The database is set up so that the promises would not hold; the message says what to change."""


class LedgerForeign(LedgerError):
    """The file is not a ledger of dibs, or it is damaged."""


class LedgerTooNew(LedgerError):
    """The ledger was written by a newer dibs, whose format this one does not know."""


class ConfigError(DibsError, ValueError):
    """A setting is wrong; the message names it and where it came from."""
