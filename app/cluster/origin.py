"""The origin of a relayed request: whose it was before a front passed it on, in a header to be believed.

Who can't read the ledger's secret can't write the header, so a client that sends one is not believed: it is
taken off, and the request counts as the client's own.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

HOPS: Final = b"dibs-hops"
"""Says that a request was passed on once, and may not be again."""
ORIGIN: Final = b"dibs-origin"
INTERNAL: Final = frozenset({HOPS, ORIGIN})
_LABEL: Final = b"dibs origin 1"

Headers = list[tuple[bytes, bytes]]


class Origin(NamedTuple):
    """Whose a request is: the client's address, how it came to the front, in which term that passed it on.

    ``exposed``: other machines reach the front, so the request needs a token.
    """

    term: int
    version: str
    scheme: str
    exposed: bool
    port: int
    host: str

    @classmethod
    def of(cls, scope: Any, term: int, *, exposed: bool) -> Origin:
        """The origin of a request that a front has from a client."""
        host, port = scope.get("client") or ("", 0)
        return cls(term, scope["http_version"], scope["scheme"], exposed, port, host)

    def header(self, secret: bytes, scope: Any) -> tuple[bytes, bytes]:
        """The header that says so, for this request alone."""
        text = " ".join(map(str, (*self[:3], int(self.exposed), *self[4:]))).encode("ascii", "replace")
        return ORIGIN, text + b" " + _mac(secret, text, scope).encode("ascii")

    def put_into(self, scope: Any) -> None:
        """Let the request be the client's, as if that had come here."""
        scope["client"] = (self.host, self.port) if self.host else None
        scope["scheme"], scope["http_version"] = self.scheme, self.version


def read(value: bytes, secret: bytes, scope: Any) -> Origin | None:
    """What the header says; None where the secret's owner has not written it, or for another request."""
    text, _, mac = value.rpartition(b" ")
    if not hmac.compare_digest(mac, _mac(secret, text, scope).encode("ascii")):
        return None
    term, version, scheme, exposed, port, host = text.decode("ascii").split(" ", 5)
    return Origin(int(term), version, scheme, exposed == "1", int(port), host)


def taken_off(headers: Iterable[tuple[bytes, bytes]]) -> tuple[Headers, list[bytes], bool]:
    """The headers without those between servers; the origins among these; whether it was passed on."""
    own, origins, hopped = [], [], False
    for name, value in headers:
        if name == ORIGIN:
            origins.append(value)
        elif name == HOPS:
            hopped = True
        else:
            own.append((name, value))
    return own, origins, hopped


def target_of(scope: Any) -> bytes:
    """The target of a request, as it stands in its first line."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return path + b"?" + query if query else path


def _mac(secret: bytes, text: bytes, scope: Any) -> str:
    parts = (_LABEL, text, scope["method"].encode("ascii"), target_of(scope))
    return hmac.new(secret, b"\0".join(parts), "sha256").hexdigest()
