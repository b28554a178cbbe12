"""``dibs token``: make, list and revoke the tokens by which callers show who they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from .durations import seconds_of
from .exits import DATA, USAGE, fail, say, tell
from .options import DEFAULT_URL, Json, Url, server
from .output import print_json

if TYPE_CHECKING:
    from ..ledger import Engine
    from ..ledger.access import AccessToken

LONGEST: Final = 10 * 366 * 86_400.0
Data = Annotated[
    str | None,
    typer.Option(
        metavar="DIR|URL",
        show_default=False,
        help="A data folder that no server holds now, or a database (postgresql://…) whose ledger none owns.",
    ),
]


def new(
    *,
    role: Annotated[list[str], typer.Option("--role", "-r", metavar="ROLE[:QUEUES]")],
    queue: Annotated[
        list[str] | None, typer.Option("--queue", "-q", metavar="QUEUES", show_default=False)
    ] = None,
    name: Annotated[str | None, typer.Option(show_default=False)] = None,
    expires: Annotated[str | None, typer.Option(metavar="TIME", show_default=False)] = None,
    data: Data = None,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Make a token, and print it: it is shown this once.

    The roles are consume, produce, read, operate (and read) and admin (everything). From the first token on
    the server asks everybody for one, so the first is an admin's, for all queues. Two tokens of one name are
    the same caller: to replace a token, make another, give it out, and revoke the old one.

    Args:
        role: What its owner may do: `consume`, or `consume:jobs*` for some queues only. Can be repeated.
        queue: The queues for the roles that name none: `jobs*`, `*.mail`. Can be repeated.  [default: all]
        name: Who its owner is, in logs and histories.  [default: the token's id]
        expires: How long it counts, such as `12h` or `90d`.  [default: for ever]

    Example: `dibs token new --role consume --queue 'jobs*' --expires 90d --name encoder`
    """
    grants = [
        each for one in role for each in ([one] if ":" in one else [f"{one}:{q}" for q in queue or ["*"]])
    ]
    seconds = None if expires is None else seconds_of(expires, "--expires", least=1.0, most=LONGEST)
    if data is not None:
        made = _offline(data, grants, name, seconds)
    else:
        body = {"roles": grants, "name": name, "expires_in": seconds}
        with server(url) as api:
            made = api.change(
                "POST", "tokens", body={key: told for key, told in body.items() if told is not None}
            )
    if json:
        print_json(made)
        return
    until = f", until {made['expires_at']}" if made["expires_at"] else ""
    say(f"token {made['id']} of {made['name']}: {' '.join(made['roles'])}{until}. It is shown this once:")
    tell(made["token"])


def list_(*, data: Data = None, url: Url = DEFAULT_URL, json: Json = False) -> None:
    """List the tokens, without their secrets.

    Those that were revoked or have expired are there for 30 days, at least.

    Example: `dibs token list`
    """
    if data is not None:
        found = _listed(data)
    else:
        with server(url) as api:
            found = [token for page in api.pages("tokens") for token in page["tokens"]]
    if json:
        print_json(found)
        return
    from .tables import Column, plain, show, table
    from .words import when

    def column(name: str, heading: str = "") -> Column:
        return Column(heading or name, lambda row: plain(row[name] or ""))

    roles = Column("roles", lambda row: plain("\n".join(row["roles"])))
    made = Column("made (UTC)", lambda row: plain(when(row["created_at"])[:16], "dim"))
    ends = Column("expires", lambda row: plain(when(row["expires_at"] or "")[:16]))
    by = column("made_by", "made by"), made, *([ends] if any(row["expires_at"] for row in found) else [])
    show(
        table(found, [column("id"), column("name"), roles, column("state"), *by])
        if found
        else "There are no tokens."
    )


def revoke(
    token: Annotated[str, typer.Argument(metavar="ID")],
    *,
    data: Data = None,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Revoke a token: it counts no more, at once and on every connection.

    Args:
        token: Its id, as `dibs token list` shows it; it is no secret.

    Example: `dibs token revoke 0f3a5c7e91`
    """
    if token.startswith("dibs_"):
        fail("argument ID: that is a token itself; its id is the part between the two first _", USAGE)
    if data is not None:
        revoked = _revoked(data, token)
    else:
        with server(url) as api:
            revoked = api.change("DELETE", "tokens", token)
    if json:
        print_json(revoked)
    else:
        tell(f"token {revoked['id']} of {revoked['name']} is revoked")


# -- a folder that no server holds, a database whose ledger none owns


def _offline(data: str, roles: list[str], name: str | None, seconds: float | None) -> dict[str, Any]:
    import re

    from ..access.book import NAME, check_first, check_room, row_of
    from ..access.roles import Grant, Grants
    from ..ledger.access import AddToken

    try:
        grants = Grants(map(Grant.read, roles))
        if not (known := _looked(data)) or not known[0]:
            check_first(grants)
        else:
            check_room(len(known[0]))
    except ValueError as error:
        fail(f"option --role: {error}", USAGE)
    if name is not None and not re.fullmatch(NAME, name):
        fail(
            "option --name: it has 1 to 64 of A-Z a-z 0-9 . _ @ + -, and begins with a letter or a number",
            USAGE,
        )
    row, secret = row_of(name, grants, "dibs token new --data")
    added, now = _applied(data, AddToken(row, None if seconds is None else round(seconds * 1000)))
    return {**_fields(added, now), "token": secret}


def _listed(data: str) -> list[dict[str, Any]]:
    tokens, now = _found(data)
    return [_fields(token, now) for token in tokens]


def _revoked(data: str, token: str) -> dict[str, Any]:
    from ..ledger.access import RevokeToken

    known = any(each.id == token for each in _found(data)[0])
    revoked, now = _applied(data, RevokeToken(token)) if known else (None, 0)
    if revoked is None:
        fail(f"there is no token {token} in {_shown(data)}")
    return _fields(revoked, now)


def _found(data: str) -> tuple[list[AccessToken], int]:
    """The tokens, and ledger time."""
    found = _looked(data)
    if found is None:
        fail(f"option --data {_shown(data)}: there is no ledger in it", USAGE)
    return found


def _looked(data: str) -> tuple[list[AccessToken], int] | None:
    """The tokens, and ledger time; None where there is no ledger, and to look makes none.

    A database may have an owner meanwhile.
    """
    from ..ledger.database import Database

    if (database := Database.read(data)) is not None:
        from ..ledger.postgres.unowned import tokens_of

        return tokens_of(database.url)
    if not (Path(data) / "dibs.db").exists():
        return None
    with _opened(data) as engine:
        return engine.access_tokens(), engine.now()


def _applied(data: str, op: Any) -> tuple[Any, int]:
    """What came of an op on a ledger, and ledger time."""
    from ..errors import LedgerFull, LedgerUnavailable
    from ..ledger.ops import EngineFailed

    with _opened(data) as engine:
        try:
            return engine.apply((op,)).outcomes[0], engine.now()
        except EngineFailed as error:
            raise (LedgerFull if error.full else LedgerUnavailable)(f"{_shown(data)}: {error}") from error


@contextmanager
def _opened(data: str) -> Iterator[Engine]:
    """The ledger, which is this command's alone for a moment."""
    from ..config import version
    from ..errors import LedgerLocked
    from ..ledger import open_ledger
    from ..ledger.database import Database

    if (database := Database.read(data)) is not None:
        from ..ledger.postgres.unowned import owned

        with owned(database.url, version()) as owner:
            yield owner
        return
    try:
        engine = open_ledger(Path(data))
    except LedgerLocked as error:
        who, _, _ = str(error).partition(": ")
        fail(f"{who}: ask that for it, by --url in the place of --data", DATA)
    try:
        yield engine
    finally:
        engine.close()


def _shown(data: str) -> str:
    """Where it is, without a password."""
    from ..ledger.database import Database

    return str(Database.read(data) or data)


def _fields(token: AccessToken, now: int) -> dict[str, Any]:
    from ..api.records import token_fields

    return token_fields(token, now)
