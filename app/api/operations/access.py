"""The operations on access tokens: make, list, revoke."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ...access.book import NAME, check_first
from ...access.roles import Grant, Grants
from ...config import is_loopback
from ...errors import Forbidden
from ..models_access import NewToken, TokensPage
from ..operation import Call, Operations, Spec
from ..problem_table import LEDGER
from ..problems import RequestRefused, invalid
from ..records import answer, instant, token_fields
from ..reply import Reply

access: Final = Operations("access")
_NEW: Final = Spec(
    role="admin", answer="TokenMade", status=201, problems=("limit-exceeded", *LEDGER), body=NewToken
)
_REVOKE: Final = Spec(role="admin", answer="TokenState", problems=("token-unknown", *LEDGER))


@access.add("POST", "/tokens", _NEW)
async def new_token(call: Call) -> Reply:
    """Make a token.

    The token is in this answer and nowhere else: the server keeps its SHA-256. It counts at once. Several
    tokens may have one name, and are one caller: so that a token can be replaced while it is in use. From the
    first token on, the server asks everybody for one; so the first is an admin's, and anybody can make it on
    a server that listens on loopback.
    """
    body: NewToken = call.body
    name, book, grants = body.get("name"), call.context.callers.book, _grants(body["roles"])
    if name is not None and not re.fullmatch(NAME, name):
        raise invalid(
            "name", "it has 1 to 64 characters of A-Z a-z 0-9 . _ @ + -, and begins with none of these signs"
        )
    if not book.locked:
        _check_first(grants, call.context.settings.host)
    seconds = body.get("expires_in")
    ttl = None if seconds is None else round(seconds * 1000)
    token, secret = await book.new(name, grants, ttl=ttl, maker=call.caller.name)
    until = f" until {instant(token.expires)}" if token.expires is not None else ""
    told = f"made the token {token.id} of {token.name}: {token.grants}{until}"
    await call.note("", told, "token made")
    return answer({**token_fields(token, call.context.queues.now()), "token": secret}, 201)


@access.add("GET", "/tokens", Spec(role="admin", answer="TokenList", query=TokensPage))
async def list_tokens(call: Call) -> Reply:
    """List the tokens.

    Tokens come in the order in which they were made, a page at a time: `next` is the `after` of the next
    page. Those that were revoked or have expired are listed for 30 days, at least.
    """
    tokens, after, limit = (
        call.context.callers.book.tokens,
        call.query.get("after"),
        call.query.get("limit", 100),
    )
    if after is not None:
        ids = [token.id for token in tokens]
        tokens = tokens[ids.index(after) + 1 :] if after in ids else []
    page = tokens[:limit]
    following = page[-1].id if len(tokens) > limit else None
    return answer(
        {"tokens": [token_fields(token, call.context.queues.now()) for token in page], "next": following}
    )


@access.add("DELETE", "/tokens/{token}", _REVOKE)
async def revoke_token(call: Call) -> Reply:
    """Revoke a token.

    It counts no more, from now on and on every connection; requests that wait under it are cut off. To
    revoke it again changes nothing.
    """
    id = call.request.path_params["token"]
    before = {token.id: token for token in call.context.callers.book.tokens}.get(id)
    revoked = await call.context.callers.book.revoke(id)
    if revoked is None or before is None:
        raise RequestRefused(
            "token-unknown", "there is no such token; `dibs token list` (GET /tokens) has their ids"
        )
    if before.revoked is None:
        told = f"revoked the token {revoked.id} of {revoked.name}"
        await call.note("", told, "token revoked")
    return answer(token_fields(revoked, call.context.queues.now()))


def _grants(roles: Sequence[str]) -> Grants:
    found = []
    for at, role in enumerate(roles):
        try:
            found.append(Grant.read(role))
        except ValueError as error:
            raise invalid(f"roles.{at}", str(error)) from None
    if not found:
        raise invalid("roles", "it names one role at least")
    return Grants(found)


def _check_first(grants: Grants, host: str) -> None:
    """Refuse a first token that would lock everybody out, or that anybody on the network could make."""
    if not is_loopback(host):
        raise Forbidden(
            "the first token of a server that other machines reach is made where its data is: `dibs token new"
            " --role admin --data DIR` before it starts, or with the setting admin_token_file"
        )
    try:
        check_first(grants)
    except ValueError as error:
        raise invalid("roles", str(error)) from None
