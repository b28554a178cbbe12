"""The bodies by which operators define queues and look after items, as models (see ``models``)."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import AfterValidator, Field, with_config
from typing_extensions import TypedDict

from ..queue.definition import CENTURY
from ..sources import BUILTINS, MAX_SAFE
from .fields import Choice, Many, Number, Ranges, Seqs, Whole, invalid
from .models import STRICT, about, examples
from .values import fault_of

STATES: Final = ("waiting", "dead")


@with_config(examples({"seqs": [[1, 5]], "limit": 100, "rate": 10}))
class Redrive(TypedDict):
    """Which dead items wait again, and at what rate; an empty request means all of them, at once."""

    seqs: NotRequired[Annotated[Seqs, Ranges(), about("Only the dead items of these ranges.")]]
    limit: NotRequired[Annotated[int, Whole(1, MAX_SAFE), about("The most items to redrive.")]]
    rate: NotRequired[Annotated[float, Number(0.001, 100_000), about("Items per second.")]]


@with_config(examples({"confirm": "jobs", "states": ["dead"]}))
class Purge(TypedDict):
    """The items to drop for good. ``confirm`` must be the queue's name."""

    confirm: str
    states: NotRequired[
        Annotated[
            list[Annotated[Literal["waiting", "dead"], Choice(STATES)]],
            Many(len(STATES)),
            about("The states whose items are dropped; leased items stay with their holders.", list(STATES)),
        ]
    ]


# -- define


def _sound(args: dict[str, Any]) -> dict[str, Any]:
    if fault := fault_of(args):
        raise invalid(fault)
    return args


def _in_order(settings: QueueSettings) -> QueueSettings:
    first, most = settings.get("backoff", 0), settings.get("backoff_max", 0)
    if "backoff_max" in settings and first > most:
        raise invalid(f"backoff is over backoff_max ({most:g} seconds)")
    return settings


@with_config(STRICT)
class QueueSettings(TypedDict):
    """The settings of a queue: its retries, how many items may wait, and how long it remembers.

    Durations are in seconds. Settings that a request does not name stay as they are; a new queue begins with
    the defaults.
    """

    max_attempts: NotRequired[
        Annotated[
            int | None,
            Whole(0, 1_000_000, nullable=True),
            about("Attempts after which a failing item is dead; null or 0: any number.", 10),
        ]
    ]
    backoff: NotRequired[
        Annotated[
            float,
            Number(0, 86_400),
            about("The delay after the first nack; doubled with each further attempt.", 1.0),
        ]
    ]
    backoff_max: NotRequired[
        Annotated[float, Number(0, 2_592_000), about("The longest delay after a nack.", 3600.0)]
    ]
    jitter: NotRequired[Annotated[float, Number(0, 1), about("The share of the delay that is random.", 0.1)]]
    max_ready: NotRequired[
        Annotated[
            int | None,
            Whole(0, 10**15, nullable=True),
            about("Items that may wait before producers are refused (429); null or 0: any number."),
        ]
    ]
    key_ttl: NotRequired[
        Annotated[
            float | None,
            Number(1, CENTURY, nullable=True),
            about(
                "How long the answer to an idempotency key is kept; null: for ever. The default is the"
                " server's limit `key_ttl`.",
                86_400.0,
            ),
        ]
    ]
    item_key_ttl: NotRequired[
        Annotated[
            float | None,
            Number(1, CENTURY, nullable=True),
            about(
                "How long the `key` of a pushed item is known; null: for ever. The default is the"
                " server's limit `key_ttl`.",
                86_400.0,
            ),
        ]
    ]
    history: NotRequired[
        Annotated[
            float | None,
            Number(0, CENTURY, nullable=True),
            about(
                "How long the server keeps who took or acked which items; null: for ever; 0: not at all.",
                0.0,
            ),
        ]
    ]


@with_config(
    examples(
        {"source": "count", "args": {"start": 100}},
        {"source": None, "settings": {"max_attempts": 3, "max_ready": 100_000}},
    )
)
class DefineQueue(TypedDict):
    """A queue's definition: a built-in source and its arguments, or none if producers push."""

    source: NotRequired[
        Annotated[
            str | None,
            Field(
                description="A built-in source; null: producers push; missing: unchanged, none for a new"
                " queue.",
                json_schema_extra={"enum": [*BUILTINS, None]},
            ),
        ]
    ]
    args: NotRequired[
        Annotated[dict[str, Any], AfterValidator(_sound), about("The source's arguments, by name.")]
    ]
    reset: NotRequired[
        Annotated[
            bool,
            about("If a queue of this name was deleted, begin again at seq 1, in a new generation.", False),
        ]
    ]
    settings: NotRequired[
        Annotated[
            Annotated[QueueSettings, AfterValidator(_in_order)] | None,
            about("The queue's settings to change; null or missing: none."),
        ]
    ]


@with_config(examples({"to_seq": 1000}))
class Advance(TypedDict):
    """The cursor to jump to."""

    to_seq: Annotated[
        int,
        Whole(1, MAX_SAFE),
        about("The new cursor, above the old one; the next item has the seq after it."),
    ]
