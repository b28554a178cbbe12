"""The bodies by which operators define queues and look after items, as models (see ``models``)."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Required

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from ..ledger.sights import ERROR_MOST
from ..queue.definition import CENTURY
from ..sources import BUILTINS, MAX_SAFE
from .fields import Choice, Flag, Many, Number, QueueName, Ranges, Seqs, Text, Whole, invalid
from .models import strict
from .values import fault_of

STATES: Final[tuple[Literal["waiting", "dead"], ...]] = ("waiting", "dead")
State = Annotated[Literal["waiting", "dead"], Choice(STATES)]


@strict({"seqs": [[1, 5]], "limit": 100, "rate": 10})
class Redrive(TypedDict, total=False):
    """Which dead items wait again, and at what rate; an empty request means all of them, at once."""

    seqs: Annotated[Seqs, Ranges("Only the dead items of these ranges.")]
    limit: Annotated[int, Whole(1, MAX_SAFE, "The most items to redrive.")]
    rate: Annotated[float, Number(0.001, 100_000, "Items per second.")]
    error: Annotated[
        str, Text(0, ERROR_MOST, "Only items whose last error is this, by its first 200 characters.")
    ]
    expect: Annotated[
        int, Whole(0, MAX_SAFE, "How many items this should be; with another number, nothing is redriven.")
    ]


@strict({"queue": "mails"})
class RetryRefused(TypedDict, total=False):
    """What of the refused rows is tried again; an empty request means all of them."""

    queue: Annotated[str, QueueName("Only what was pushed to this queue.")]


@strict({"confirm": "jobs", "states": ["dead"]})
class Purge(TypedDict, total=False):
    """The items to drop for good. ``confirm`` must be the queue's name."""

    confirm: Required[str]
    states: Annotated[
        list[State],
        Many(len(STATES)),
        Field(
            description="The states whose items are dropped; leased items stay with their holders.",
            json_schema_extra={"default": list(STATES)},
        ),
    ]
    expect: Annotated[int, Whole(0, MAX_SAFE, "How many this should be; of more, nothing is dropped.")]


def _in_order(settings: QueueSettings) -> QueueSettings:
    first, most = settings.get("backoff", 0), settings.get("backoff_max", 0)
    if "backoff_max" in settings and first > most:
        raise invalid(f"backoff is over backoff_max ({most:g} seconds)")
    return settings


_DEFAULT: Final = "The default is the server's limit `key_ttl`."


@strict()
class QueueSettings(TypedDict, total=False):
    """The settings of a queue: its retries, how many items may wait, and how long it remembers.

    Durations are in seconds. Settings that a request does not name stay as they are; a new queue begins with
    the defaults.
    """

    max_attempts: Annotated[
        int | None,
        Whole(0, 10**6, "Attempts until a failing item is dead; null or 0: any number.", 10, nullable=True),
    ]
    backoff: Annotated[
        float, Number(0, 86_400, "The delay after the first nack; doubled with each further attempt.", 1.0)
    ]
    backoff_max: Annotated[float, Number(0, 2_592_000, "The longest delay after a nack.", 3600.0)]
    jitter: Annotated[float, Number(0, 1, "The share of the delay that is random.", 0.1)]
    max_ready: Annotated[
        int | None,
        Whole(
            0,
            10**15,
            "Items that may wait before producers are refused (429); null or 0: any number.",
            nullable=True,
        ),
    ]
    key_ttl: Annotated[
        float | None,
        Number(
            1,
            CENTURY,
            f"How long the answer to an idempotency key is kept; null: for ever. {_DEFAULT}",
            86_400.0,
            nullable=True,
        ),
    ]
    item_key_ttl: Annotated[
        float | None,
        Number(
            1,
            CENTURY,
            f"How long the `key` of a pushed item is known; null: for ever. {_DEFAULT}",
            86_400.0,
            nullable=True,
        ),
    ]
    history: Annotated[
        float | None,
        Number(
            0,
            CENTURY,
            "How long the server keeps who took or acked which items; null: for ever; 0: not at all.",
            0.0,
            nullable=True,
        ),
    ]


def _sound(args: dict[str, Any]) -> dict[str, Any]:
    if fault := fault_of(args):
        raise invalid(fault)
    return args


@strict(
    {"source": "count", "args": {"start": 100}},
    {"source": None, "settings": {"max_attempts": 3, "max_ready": 100_000}},
)
class DefineQueue(TypedDict, total=False):
    """A queue's definition: a built-in source and its arguments, or none if producers push."""

    source: Annotated[
        str | None,
        Field(
            description="A built-in source; null: producers push; missing: unchanged, none for a new queue.",
            json_schema_extra={"enum": [*BUILTINS, None]},
        ),
    ]
    args: Annotated[
        dict[str, Any], AfterValidator(_sound), Field(description="The source's arguments, by name.")
    ]
    reset: Annotated[
        bool, Flag("If a queue of this name was deleted, begin again at seq 1, in a new generation.")
    ]
    settings: Annotated[
        Annotated[QueueSettings, AfterValidator(_in_order)] | None,
        Field(description="The queue's settings to change; null or missing: none."),
    ]


@strict({"name": "dibs-20260131T120000.000000Z.db"})
class BackupKept(TypedDict):
    """The copy that has arrived."""

    name: Annotated[str, Text(1, 128, "The name that the copy was sent under.")]


By = Annotated[int, Whole(0, MAX_SAFE, "How many seqs after the backup are passed over.")]


@strict({"advance": 1000, "queues": {"invoices": 20}})
class AcceptRestored(TypedDict, total=False):
    """How the queues of a restored backup go on."""

    advance: Required[By]
    queues: Annotated[dict[str, By], Field(description="Other numbers for some queues, by name.")]


@strict({"accept_loss": True})
class RecoverLedger(TypedDict, total=False):
    """How a ledger goes on whose database has lost transactions."""

    accept_loss: Annotated[bool, Flag("Go on without them; else they are written back.")]


@strict({"to_seq": 1000})
class Advance(TypedDict):
    """The cursor to jump to."""

    to_seq: Annotated[
        int, Whole(1, MAX_SAFE, "The new cursor, above the old one; the next item has the seq after it.")
    ]
