"""The parameters in a URL, as models; read as strictly as bodies.

A typo must never spend an item: unknown and repeated parameters are refused, and a number is what JSON calls
one (``1_000``, ``+1``, ``" 1"`` and ``1.0`` for a count are not). What is read is also what OpenAPI says.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import Annotated, Any, Final, Generic, TypeVar, get_type_hints
from urllib.parse import parse_qsl

from typing_extensions import TypedDict

from ..ledger.looks import ItemState
from ..ledger.sights import ERROR_MOST
from ..queue.limits import Limits
from ..quote import bare
from ..sources.encode import MAX_SAFE
from .fields import Choice, Json, Number, QueueName, Text, Whole
from .problems import invalid, malformed
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
                raise invalid(bare(name), f"there is no such parameter; this path takes {known}")
            if name in found:
                raise invalid(name, "it is given more than once")
            found[name] = literal(text, self._kinds[name])
        return self._model.read(found)


def literal(text: str, kind: Any) -> Any:
    """The number that a text of the URL stands for, where one is wanted (``kind``); else the text."""
    if kind is int and _WHOLE.fullmatch(text):
        return int(text[:_MAX_DIGITS])  # the rest of a longer one tells nothing: it is over every limit
    if kind is float and len(text) <= _MAX_DIGITS and _NUMBER.fullmatch(text) and isfinite(float(text)):
        return float(text)
    return text


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS
        )
    except UnicodeDecodeError:
        raise malformed("the query is not UTF-8, percent-encoded") from None
    except ValueError:
        raise invalid("query", "it has too many parameters", _MAX_FIELDS) from None


class Nothing(TypedDict):
    """No parameters."""


class Take(TypedDict, total=False):
    """The parameters of a take."""

    count: Annotated[int, Whole(1, "count", "The most items to take; with it, the answer is a list.")]
    wait: Annotated[
        float, Number(0, "wait", "How many seconds to wait while the queue has nothing to hand out.", 0.0)
    ]


class Block(TypedDict):
    """The parameters of a block."""

    size: Annotated[int, Whole(1, "block", "The most numbers of the block.")]


class Confirmation(TypedDict, total=False):
    """The parameters of what may drop the items inside a queue."""

    confirm: Annotated[str, QueueName("The queue's name once more; required if items would be dropped.")]


class QueuesPage(TypedDict, total=False):
    """A page of queues, by their names."""

    limit: Annotated[int, Whole(1, MAX_PAGE, "The most queues of a page.", 100)]
    after: Annotated[str, QueueName("Show the queues whose names come after this one.")]


class ItemsPage(TypedDict, total=False):
    """A page of the items inside a queue."""

    state: Annotated[ItemState, Choice(STATES, "Show only items in this state. Default: all items.")]
    after: Annotated[int, Whole(0, MAX_SAFE, "Show the items whose seq is above this one.", 0)]
    limit: Annotated[int, Whole(1, MAX_PAGE, "The most items of a page.", 100)]


class DeadPage(TypedDict, total=False):
    """A page of dead letters, newest first."""

    error: Annotated[
        str, Text(0, ERROR_MOST, "Only those whose last error is this, by its first 200 characters.")
    ]
    before: Annotated[int, Whole(1, MAX_SAFE, "Show the items whose seq is below this one.")]
    limit: Annotated[int, Whole(1, MAX_PAGE, "The most items of a page.", 100)]


class HistoryPage(TypedDict, total=False):
    """A page of a queue's history."""

    seq: Annotated[int, Whole(1, MAX_SAFE, "Show only the history of this item.")]
    after: Annotated[int, Whole(0, MAX_SAFE, "The `next` of the page before this one.", 0)]
    before: Annotated[
        int, Whole(1, MAX_SAFE, "Show those that are older than this one, newest first; not with `seq`.")
    ]
    limit: Annotated[int, Whole(1, MAX_PAGE, "The most ranges of a page.", 100)]


class RefusedPage(TypedDict, total=False):
    """A page of what was pushed by SQL and refused."""

    queue: Annotated[str, QueueName("Only what was pushed to this queue.")]
    after: Annotated[int, Whole(0, MAX_SAFE, "The `next` of the page before this one.", 0)]
    limit: Annotated[int, Whole(1, MAX_PAGE, "The most rows of a page.", 100)]


class KeysPage(TypedDict, total=False):
    """A page of the keys of items."""

    prefix: Annotated[str, Text(1, "key_bytes", "List the keys that begin so.")]
    after: Annotated[str, Text(1, "key_bytes", "List the keys that come after this one.")]
    limit: Annotated[int, Whole(1, MAX_PAGE, "The most keys of a page.", 100)]
