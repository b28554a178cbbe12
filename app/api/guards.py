"""Who may ask: the guards against browsers that were sent by someone else.

There are no tokens yet, so everyone who reaches the port may use it. On loopback that is everyone on
this machine, and without these guards also every web page that is open on it: a page can send a form to
``http://localhost:8000/next`` (cross-site request forgery), and a page whose own name was pointed at
127.0.0.1 can read the answer too (DNS rebinding). Programs send none of these headers and notice nothing.

- A request whose Host is not one of the server's names is refused (see ``Hosts``), except health checks.
- What changes something is refused when another site's page asks (Sec-Fetch-Site, or else Origin).
- GET /next changes something too, and browsers get pages on their own account: a prefetch is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from ..config import is_loopback
from ..errors import Forbidden
from ..quote import quoted
from .problems import RequestRefused

Headers = Mapping[bytes, bytes]

READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
HEALTH: Final = frozenset({"/healthz", "/readyz"})
_OWN_SITE: Final = frozenset({b"same-origin", b"none"})
_PREFETCH: Final = ((b"sec-purpose", "Sec-Purpose"), (b"purpose", "Purpose"), (b"x-moz", "X-Moz"))
_ONCE: Final = frozenset({b"host", b"origin", b"content-type", b"idempotency-key", b"sec-fetch-site"})
_REMEMBERED: Final = 64


def read_headers(raw: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers by name; those that decide something may stand there once only.

    Accept is a list by its nature, so its lines are joined.
    """
    headers = dict(raw)
    if len(headers) != len(raw):
        seen: set[bytes] = set()
        for name, value in raw:
            if name in seen and name in _ONCE:
                shown = name.decode("latin-1").title()
                raise RequestRefused("malformed", f"{shown} is there more than once", field=shown)
            if name in seen and name == b"accept":
                headers[name] = b",".join(value for other, value in raw if other == name)
            seen.add(name)
    return headers


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

    def check(self, host: bytes | None) -> None:
        """Refuse a Host that is not ours. None at all is let through: browsers always send one."""
        if self._any or host is None or host in self._good:
            return
        name = _host_name(host)
        if name not in self._names and not _names_loopback(name):
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


def _host_name(host: bytes) -> str:
    """Host without its port."""
    text = host.decode("latin-1").strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


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
