"""The plan of a load test: how many clients, what they ask for, and how often workers fail."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

POISON_EVERY = 1_000
"""Each job of a number that this divides fails whenever it is tried, until it is dead."""

_KINDS = 5


@dataclass(frozen=True, slots=True)
class Jobs:
    """The part of a plan that is about work.

    Consumers lease for ``ttl`` seconds. Of the leases, the share ``crash`` is forgotten and its consumer
    replaced, and the share ``late`` is settled when it has expired. Of the items, the shares ``nack`` and
    ``release`` are given back; the share ``partly`` of such leases is settled in two parts. The share
    ``again`` of the pushes is pushed a second time, as by a producer that starts over. ``max_ready`` items
    may wait before producers have to.
    """

    producers: int = 4
    ttl: float = 1.5
    crash: float = 0.05
    late: float = 0.03
    nack: float = 0.02
    release: float = 0.01
    partly: float = 0.1
    again: float = 0.05
    max_attempts: int = 5
    max_ready: int = 5_000
    seed: int = 0

    @property
    def settings(self) -> dict[str, Any]:
        """The queue's settings: failed items come back soon, and producers wait when nobody consumes."""
        return {
            "max_attempts": self.max_attempts,
            "backoff": 0.05,
            "backoff_max": 1.0,
            "jitter": 0.2,
            "max_ready": self.max_ready,
        }

    def random(self, who: str) -> Random:
        """The random numbers of one client, the same in each run with the same seed."""
        return Random(f"{self.seed} {who}")  # noqa: S311  # repeatable, not secret


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a load test.

    ``clients`` take ``count`` items a request, ``total`` in all; with ``total`` None they go on until they
    are stopped. With ``jobs`` they are consumers, who lease them and settle them together with the next
    lease, and producers push them. With ``queue`` None the test has a queue of its own, deleted afterwards.
    ``timeout`` is for one request; ``patience`` is how long one client goes on without an answer, in seconds.
    ``token`` is shown with each request. ``others`` are more servers of the same ledger: the clients are
    spread over all of them, and each goes to the next one where its own does not answer. ``several``: so are
    those behind ``url``, and nobody tells when another one owns.
    """

    url: str = "http://127.0.0.1:8000"
    others: tuple[str, ...] = ()
    several: bool = False
    queue: str | None = None
    clients: int = 64
    total: int | None = 100_000
    count: int = 1
    keys: bool = True
    timeout: float = 10.0
    patience: float = 30.0
    jobs: Jobs | None = None
    token: str | None = field(default=None, repr=False)

    def urls(self, number: int = 0) -> tuple[str, ...]:
        """All servers, that of the client with this number first."""
        all_of_them = (self.url, *self.others)
        at = number % len(all_of_them)
        return all_of_them[at:] + all_of_them[:at]


def value_of(number: int) -> Any:
    """The value of a job: one of several kinds of JSON, each with the number in it, so that all differ."""
    match number % _KINDS:
        case 0:
            return number
        case 1:
            return f'job "{number}"\n\u00fc\u2603'
        case 2:
            return {"job": number, "tags": ["a", None, True], "note": "x" * (number % 50)}
        case 3:
            return [number, number / 2]
        case _:
            return {"job": {"number": number}}


def is_poison(value: Any) -> bool:
    """Whether a job fails however often it is tried."""
    return type(value) is int and value % POISON_EVERY == 0
