"""The type of answer that a request accepts (RFC 9110 section 12.5.1)."""

from __future__ import annotations

import re
from typing import Final, Literal

from .problems import RequestRefused

Type = Literal["application/json", "text/plain"]

JSON: Final = "application/json"
TEXT: Final = "text/plain"

_COMMON: Final[dict[bytes, Type]] = {b"*/*": JSON, b"application/json": JSON, b"text/plain": TEXT}
_RANGES_MOST: Final = 100
_WEIGHT = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)


def negotiate(accept: bytes | None, *, text: bool = False) -> Type:
    """JSON, or plain text where ``text`` says that there is one and the request prefers it.

    Raises:
        RequestRefused: 406, when Accept takes neither; before anything is handed out.
    """
    if not accept:
        return JSON
    common = _COMMON.get(accept)
    if common is JSON or (common is TEXT and text):
        return common
    ranges = _ranges(accept.decode("latin-1"))
    json_weight = _weight(ranges, JSON)
    text_weight = _weight(ranges, TEXT) if text else 0.0
    if not json_weight and not text_weight:
        offers = f"{JSON} or {TEXT}" if text else JSON
        raise RequestRefused(
            "not-acceptable", f"this path answers with {offers}, which Accept does not take", field="Accept"
        )
    return TEXT if text_weight > json_weight else JSON


def _ranges(accept: str) -> dict[str, float]:
    """The media ranges and their weights; a range that can't be read has weight 0."""
    ranges: dict[str, float] = {}
    if accept.count(",") >= _RANGES_MOST:
        raise RequestRefused(
            "headers-too-large",
            f"Accept names more than {_RANGES_MOST} types",
            field="Accept",
            limit=_RANGES_MOST,
        )
    for part in accept.split(","):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                found = _WEIGHT.fullmatch(parameter)
                weight = float(found[1]) if found else 0.0
        ranges[media] = max(weight, ranges.get(media, 0.0))
    return ranges


def _weight(ranges: dict[str, float], offer: str) -> float:
    """The weight that the most specific range gives to ``offer``."""
    kind = offer.partition("/")[0]
    for media in (offer, f"{kind}/*", "*/*"):
        if media in ranges:
            return ranges[media]
    return 0.0
