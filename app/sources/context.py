"""The context that every source is given besides its own arguments."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .encode import MAX_VALUE_BYTES, Encode, encoder, wide_encoder
from .floors import Floor


@dataclass(frozen=True, slots=True)
class Context:
    """The limit of a value, and the sources of time and randomness (arguments, so that tests need no sleep).

    ``clock`` gives nanoseconds since 1970; ``random_bits(n)`` an integer below 2^n, not to be guessed.
    ``snowflakes`` has a floor for each (node, epoch), ``uuids`` is the one of all UUIDs.
    Without ``judge``, arguments that an older release accepted are not refused, so that values handed out
    under them can still be computed.
    """

    max_value_bytes: int = MAX_VALUE_BYTES
    judge: bool = True
    clock: Callable[[], int] = time.time_ns
    random_bits: Callable[[int], int] = secrets.randbits
    snowflakes: dict[tuple[int, int], Floor[int]] = field(default_factory=dict)
    uuids: Floor[tuple[int, int]] = field(default_factory=lambda: Floor((-1, 0)))

    def encode(self, *, wide: bool = False) -> Encode:
        """The encoder for this limit."""
        return wide_encoder(self.max_value_bytes) if wide else encoder(self.max_value_bytes)
