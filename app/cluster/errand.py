"""An errand: what a server itself asks of the owner. Only who can read the database can ask it."""

from __future__ import annotations

import asyncio
import hmac
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from .link import ENDED, Begun, Link, Lost
from .messages import NOT_OWNER, chunk, request_head
from .origin import Origin
from .passage import PATIENCE, SOONEST, Declined
from .reached import declined

if TYPE_CHECKING:
    from ..ledger.terms import Owner
    from .office import Office

PATH: Final = "/internal/configuration"
PROOF: Final = b"dibs-proof"
MOST: Final = 64 * 1024 * 1024
"""Bytes of what is asked."""
ANSWERED: Final = 60.0
"""Seconds that the owner may take: it imports functions."""
_LABEL: Final = b"dibs errand 1"


def proof_of(secret: bytes, term: int, body: bytes) -> bytes:
    """Shows to the owner of a term that the body comes from a server of its ledger."""
    digest = sha256(body).hexdigest()
    return f"{digest} {_mac(secret, term, digest)}".encode("ascii")


def proven(scope: Any, secret: bytes, term: int) -> str | None:
    """The digest of the body that a request proves to bring; None where it proves nothing.

    So nothing is read from whoever can't read the database.
    """
    shown = [value for name, value in scope["headers"] if name == PROOF]
    digest, _, mac = (shown[0] if len(shown) == 1 else b"").decode("latin-1").partition(" ")
    proof = _mac(secret, term, digest).encode("ascii")
    return digest if hmac.compare_digest(mac.encode("latin-1"), proof) else None


def is_of(body: bytes, digest: str) -> bool:
    """Whether a body is the one that was proven."""
    return hmac.compare_digest(sha256(body).hexdigest().encode("ascii"), digest.encode("latin-1"))


def _mac(secret: bytes, term: int, digest: str) -> str:
    return hmac.new(secret, b"%b\0%d\0%b" % (_LABEL, term, digest.encode("latin-1")), "sha256").hexdigest()


async def send(office: Office, body: bytes) -> tuple[int, bytes] | None:
    """The owner's status and answer; None where this server is the owner by now. It may be sent twice.

    Raises:
        NoOwner: No owner was there in time, or it was lost.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE
    while not office.seat.owns():
        owner = office.seat.owner()
        if owner is not None:
            try:
                return await _over(office, owner, body)
            except (OSError, TimeoutError, Lost, Declined) as error:
                office.reached.failed(owner, str(error) if isinstance(error, Declined) else error)
        if loop.time() > until:
            raise office.refusal()
        await office.news(SOONEST)
    return None


async def _over(office: Office, owner: Owner, body: bytes) -> tuple[int, bytes]:
    scope = {
        "method": "POST",
        "path": PATH,
        "query_string": b"",
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", b"application/json"),
            (b"transfer-encoding", b"chunked"),
            (PROOF, proof_of(office.secret(), owner.term, body)),
        ],
        "http_version": "1.1",
        "scheme": "http",
    }
    link = await office.pool.link(owner)
    try:
        async with asyncio.timeout(ANSWERED):
            origin = Origin.of(scope, owner.term, exposed=False).header(office.secret(), scope)
            link.begin("POST", request_head(scope, origin))
            await link.write(chunk(body))
            await link.write(b"0\r\n\r\n")
            answer = await _answer(link)
            office.reached.well()
            return answer
    finally:
        office.pool.give_back(link, owner.term)


async def _answer(link: Link) -> tuple[int, bytes]:
    status, body = 0, b""
    while (event := await link.next()) is not ENDED:
        if isinstance(event, Begun):
            if NOT_OWNER in event.headers:
                raise Declined(declined(event.status))
            status = event.status
        elif isinstance(event, bytes):
            body += event
    return status, body
