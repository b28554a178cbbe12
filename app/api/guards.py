"""Who may ask: the guards against browsers that were sent by someone else.

Without tokens everyone who reaches the port may use it. On loopback that is everyone on this machine, and
without these guards also every web page that is open on it: a page can send a form to
``http://localhost:8000/next`` (cross-site request forgery), and a page whose own name was pointed at
127.0.0.1 can read the answer too (DNS rebinding). Programs send none of these headers and notice nothing.

- A request whose Host is not one of the server's names is refused (see ``Hosts``), except health checks,
  which take any name that is one.
- What changes something is refused when another site's page asks (Sec-Fetch-Site, or else Origin).
- GET /next changes something too, and browsers get pages on their own account: a prefetch is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.types import Scope

from ..cluster.messages import NOT_OWNER
from ..config import is_loopback
from ..errors import Forbidden
from ..quote import quoted
from .problems import RequestRefused, malformed

Headers = Mapping[bytes, bytes]

READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
HEALTH: Final = frozenset({"/healthz", "/readyz"})
BROWSER: Final = b"sec-fetch-site"
"""The header by which a browser says whose page asks: programs send none."""
_OWN_SITE: Final = frozenset({b"same-origin", b"none"})
_PREFETCH: Final = ((b"sec-purpose", "Sec-Purpose"), (b"purpose", "Purpose"), (b"x-moz", "X-Moz"))
HEADERS_MOST: Final = 100
"""Headers of one request."""
_ONCE: Final = frozenset(
    {
        b"host",
        b"origin",
        b"content-type",
        b"idempotency-key",
        b"idempotency-sequence",
        b"sec-fetch-site",
        b"authorization",
        b"cookie",
        b"x-forwarded-user",
    }
)
_REMEMBERED: Final = 64
_AUTHORITY: Final = re.compile(rb"(\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z._-]{1,255})(?::([0-9]{1,5}))?")
_PORTS: Final = 65_536


def read_headers(raw: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers by name; those that decide something may stand there once only.

    Accept is a list by its nature, so its lines are joined.
    """
    if len(raw) > HEADERS_MOST:
        raise RequestRefused(
            "headers-too-large",
            f"there are more than {HEADERS_MOST} headers",
            field="headers",
            limit=HEADERS_MOST,
        )
    headers = dict(raw)
    if len(headers) != len(raw):
        seen: set[bytes] = set()
        for name, _ in raw:
            if name in seen and name in _ONCE:
                shown = name.decode("latin-1").title()
                raise malformed(f"{shown} is there more than once", shown)
            seen.add(name)
        if b"accept" in headers:
            headers[b"accept"] = b",".join([value for name, value in raw if name == b"accept"])
    return headers


def check_missing_host(scope: Scope) -> None:
    """HTTP/1.1 has to name the server. Older programs, which may not, are let through: browsers always do."""
    if scope.get("http_version") == "1.1":
        raise malformed("HTTP/1.1 has to name the server (Host)", "Host")


def check_coding(headers: Headers) -> None:
    """Refuse a body that is compressed, or encoded in any other way: it would be read as something else."""
    coding = headers.get(b"content-encoding")
    if coding is not None and coding.strip().lower() != b"identity":
        raise RequestRefused(
            "unsupported-media-type",
            "a body is sent as it is; Content-Encoding says that it is encoded",
            field="Content-Encoding",
            headers=[(b"accept-encoding", b"identity")],
        )


def misdirected() -> RequestRefused:
    """421: a request that was passed on, but not by a server of this ledger, is not for this one.

    A front goes on to ask who owns its ledger, as it does where another server of that says that it does not.
    """
    return RequestRefused(
        "misdirected",
        "the request was passed on (Dibs-Hops), but not by a server of the ledger that is served here;"
        " nothing was done. If a server did that: do servers of both ledgers say the same in --advertise?",
        field="Dibs-Hops",
        headers=[NOT_OWNER],
    )


def check_authority(authority: bytes, where: str) -> bytes:
    """The name or address of ``name:port``, an IPv6 address without its brackets.

    Raises:
        RequestRefused: 400, where a reader could take one part of it for another: user@, no name, odd signs.
    """
    found = _AUTHORITY.fullmatch(authority)
    good = found is not None and (found[2] is None or int(found[2]) < _PORTS)
    if found is not None and good and found[1].startswith(b"["):
        good = _is_address(found[1][1:-1].decode("ascii"))
    if found is None or not good:
        raise malformed(f"{where} names no host, or no valid one", "Host")
    return found[1].strip(b"[]").lower()


def _is_address(text: str) -> bool:
    try:
        return ip_address(text).version == 6  # noqa: PLR2004  # IPv6 alone stands in brackets
    except ValueError:
        return False


class Hosts:
    """The names that the server answers to.

    Args:
        allowed: The setting ``allowed_hosts``. Empty: bound to loopback, loopback's own names (whatever
            else resolves to 127.0.0.1 is somebody's rebinding); bound elsewhere, any.
        bound: The address that the server listens on.
    """

    def __init__(self, allowed: tuple[str, ...], bound: str) -> None:
        self._any = not allowed and not is_loopback(bound)
        self._names = frozenset(name.lower() for name in allowed)
        self._good: set[bytes] = set()

    def check(self, host: bytes) -> None:
        """Refuse a Host that is not ours, or not well-formed."""
        if host in self._good:
            return
        name = check_authority(host, "Host").decode("ascii")
        if not self._any and name not in self._names and not _names_loopback(name):
            raise Forbidden(
                f"this server is not called {quoted(name)} (Host); the setting allowed_hosts has its names",
                field="Host",
            )
        if len(self._good) < _REMEMBERED:
            self._good.add(host)


def check_site(headers: Headers) -> None:
    """Refuse what another site's page asks for, in a browser of this machine's user."""
    site = headers.get(b"sec-fetch-site")
    origin = headers.get(b"origin")
    if site is not None:
        if site.lower() not in _OWN_SITE:
            raise Forbidden("another site's page asked for this (Sec-Fetch-Site)", field="Sec-Fetch-Site")
    elif origin is not None and _origin_host(origin) != headers.get(b"host", b"").lower():
        raise Forbidden("another site's page asked for this (Origin is not Host)", field="Origin")


def check_get(headers: Headers) -> None:
    """Refuse to hand out to a browser that only looks ahead, or on another site's behalf."""
    for name, shown in _PREFETCH:
        if b"prefetch" in headers.get(name, b"").lower():
            raise Forbidden(f"a prefetch hands out nothing ({shown})", field=shown)
    check_site(headers)


def _names_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _origin_host(origin: bytes) -> bytes | None:
    """The host and port of an Origin; None for ``null`` and for what can't be read."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
