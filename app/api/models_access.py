"""The body and the query by which admins make and list access tokens, as models (see ``models``)."""

from __future__ import annotations

from typing import Annotated, Final, Required

from typing_extensions import TypedDict

from .fields import Many, Number, Text, Whole
from .models import strict
from .queries import MAX_PAGE

ROLES_MOST: Final = 100
LONGEST: Final = 10 * 366 * 86_400
"""Seconds of the longest life of a token that expires: ten years."""


@strict({"name": "encoder", "roles": ["consume:jobs*", "produce:results"], "expires_in": 7_776_000})
class NewToken(TypedDict, total=False):
    """A token to make: its name, and its roles with the queues that each is for."""

    name: Annotated[
        str, Text(1, 64, "Who its owner is, in lists, logs and histories. Default: the token's id.")
    ]
    roles: Required[
        Annotated[
            list[
                Annotated[
                    str, Text(1, 80, "A role, for all queues or those of a pattern: `read`, `consume:jobs*`.")
                ]
            ],
            Many(ROLES_MOST),
        ]
    ]
    expires_in: Annotated[float, Number(1, LONGEST, "Seconds until it expires. Default: never.")]


class TokensPage(TypedDict, total=False):
    """A page of tokens, in the order in which they were made."""

    limit: Annotated[int, Whole(1, MAX_PAGE, "The most tokens of a page.", 100)]
    after: Annotated[str, Text(1, 64, "Show the tokens that were made after the one with this id.")]
