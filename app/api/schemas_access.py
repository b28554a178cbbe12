"""The answers of the operations on access tokens, as the OpenAPI document shows them (see ``schemas``)."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel

from .schemas import Moment, example

_TOKEN: Final[dict[str, Any]] = {
    "id": "0f3a5c7e91",
    "name": "encoder",
    "roles": ["consume:jobs*", "produce:results"],
    "state": "valid",
    "made_by": "admin",
    "created_at": "2026-11-29T12:00:00.000Z",
    "expires_at": "2027-02-27T12:00:00.000Z",
    "revoked_at": None,
}
_MADE: Final[dict[str, Any]] = {**_TOKEN, "token": "dibs_0f3a5c7e91_Zk3q…"}


class TokenState(BaseModel):
    """A token, without its secret."""

    model_config = example(**_TOKEN)

    id: str
    name: str
    roles: list[str]
    state: Literal["valid", "expired", "revoked"]
    made_by: str
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None


class TokenMade(BaseModel):
    """A token that was made. ``token`` is what its owner shows; it is told here and never again."""

    model_config = example(**_MADE)

    id: str
    name: str
    roles: list[str]
    state: Literal["valid"]
    made_by: str
    created_at: Moment
    expires_at: Moment | None
    revoked_at: None
    token: str


class TokenList(BaseModel):
    """Tokens in the order in which they were made; ``next`` is the ``after`` of the next page."""

    tokens: list[TokenState]
    next: str | None
