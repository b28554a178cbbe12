"""The parameters in a URL, as models; read as strictly as bodies.

A typo must never spend an item: unknown and repeated parameters are refused, and a number is what JSON calls
one (``1_000``, ``+1``, ``" 1"`` and ``1.0`` for a count are not). What is read is also what OpenAPI says.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import Annotated, Any, Final, Generic, NotRequired, TypeVar, get_type_hints
from urllib.parse import parse_qsl

from typing_extensions import TypedDict

from ..ledger.work import ItemState
from ..queue.limits import Limits
from ..quote import bare
from ..sources.encode import MAX_SAFE
from .fields import Choice, Json, Number, QueueName, Text, Whole
from .models import about
from .problems import RequestRefused
from .validation import Model

_WHOLE: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_MAX_DIGITS: Final = 30
_MAX_FIELDS: Final = 20
MAX_PAGE: Final = 1000
STATES: Final[tuple[ItemState, ...]] = ("waiting", "leased", "dead")

T = TypeVar("T")


class Query(Generic[T]):
    """The query parameters of one operation, compiled; anything else in the query is refused."""

    def __init__(self, of: Any, limits: Limits) -> None:
        self._model: Model[T] = Model(of, limits, root="query")
        self._kinds: dict[str, Any] = get_type_hints(of)
        self._nothing: T | None = None

    @property
    def schema(self) -> Json:
        """As OpenAPI writes it: an object with the parameters as properties."""
        return self._model.adapter.json_schema()

    def parse(self, query: bytes) -> T:
        """The parameters that are given.

        Raises:
            RequestRefused: A parameter is unknown, repeated, missing or not what it should be.
            LimitExceeded: It is over or under its limit.
        """
        if not query:
            if self._nothing is None:
                self._nothing = self._model.read({})
            return self._nothing
        found: dict[str, Any] = {}
        for name, text in _pairs(query):
            if name not in self._kinds:
                known = ", ".join(self._kinds) or "no parameters"
                raise refusal(bare(name), f"there is no such parameter; this path takes {known}")
            if name in found:
                raise refusal(name, "it is given more than once")
            found[name] = literal(text, self._kinds[name])
        return self._model.read(found)


def literal(text: str, kind: Any) -> Any:
    """The number that a text of the URL stands for, where one is wanted (``kind``); else the text."""
    if kind is int and _WHOLE.fullmatch(text):
        return int(text[:_MAX_DIGITS])  # the rest of a longer one tells nothing: it is over every limit
    if kind is float and len(text) <= _MAX_DIGITS and _NUMBER.fullmatch(text) and isfinite(float(text)):
        return float(text)
    return text


def refusal(field: str, why: str) -> RequestRefused:
    """422: the parameter is not what it should be."""
    return RequestRefused("invalid", f"{field}: {why}", field=field)


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS
        )
    except UnicodeDecodeError:
        raise RequestRefused("malformed", "the query is not UTF-8, percent-encoded") from None
    except ValueError:
        raise RequestRefused(
            "invalid", "the query has too many parameters", field="query", limit=_MAX_FIELDS
        ) from None


class Nothing(TypedDict):
    """No parameters."""


class Take(TypedDict):
    """The parameters of a take."""

    count: NotRequired[
        Annotated[int, Whole(1, "count"), about("The most items to take; with it, the answer is a list.")]
    ]
    wait: NotRequired[
        Annotated[
            float,
            Number(0, "wait"),
            about("How many seconds to wait while the queue has nothing to hand out.", 0.0),
        ]
    ]


class Block(TypedDict):
    """The parameters of a block."""

    size: Annotated[int, Whole(1, "block"), about("The most numbers of the block.")]


class Confirmation(TypedDict):
    """The parameters of what may drop the items inside a queue."""

    confirm: NotRequired[
        Annotated[
            str,
            QueueName(),
            about("The queue's name once more; required if items inside would be dropped."),
        ]
    ]


class QueuesPage(TypedDict):
    """A page of queues, by their names."""

    limit: NotRequired[Annotated[int, Whole(1, MAX_PAGE), about("The most queues of a page.", 100)]]
    after: NotRequired[Annotated[str, QueueName(), about("Show the queues whose names come after this one.")]]


class ItemsPage(TypedDict):
    """A page of the items inside a queue."""

    state: NotRequired[
        Annotated[ItemState, Choice(STATES), about("Show only items in this state. Default: all items.")]
    ]
    after: NotRequired[
        Annotated[int, Whole(0, MAX_SAFE), about("Show the items whose seq is above this one.", 0)]
    ]
    limit: NotRequired[Annotated[int, Whole(1, MAX_PAGE), about("The most items of a page.", 100)]]


class HistoryPage(TypedDict):
    """A page of a queue's history."""

    seq: NotRequired[Annotated[int, Whole(1, MAX_SAFE), about("Show only the history of this item.")]]
    after: NotRequired[
        Annotated[int, Whole(0, MAX_SAFE), about("The `next` of the page before this one.", 0)]
    ]
    limit: NotRequired[Annotated[int, Whole(1, MAX_PAGE), about("The most ranges of a page.", 100)]]


class KeysPage(TypedDict):
    """A page of the keys of items."""

    prefix: NotRequired[Annotated[str, Text("key_bytes", least=1), about("List the keys that begin so.")]]
    after: NotRequired[
        Annotated[str, Text("key_bytes", least=1), about("List the keys that come after this one.")]
    ]
    limit: NotRequired[Annotated[int, Whole(1, MAX_PAGE), about("The most keys of a page.", 100)]]
