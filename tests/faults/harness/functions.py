"""Sources of the fault tests, named in definitions as ``functions:NAME``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def mended_by(flag: str, at: int, end: int) -> Iterator[int]:
    """Tens; raises at item ``at`` for as long as the file ``flag`` is not there."""
    for seq in range(1, end + 1):
        if seq == at and not Path(flag).exists():
            raise ValueError(f"broken at {at}")
        yield seq * 10
