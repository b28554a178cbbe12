"""Slows those who try tokens, by their addresses."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

TRIES: Final = 10
"""Wrong tokens that an address may show one after the other."""
EVERY: Final = 6.0
"""Seconds after which it may show one more."""
ADDRESSES_MOST: Final = 4_096
"""Addresses that are remembered; then the one that failed longest ago is forgotten."""
_NETWORK: Final = 64


class Throttle:
    """Counts the wrong tokens of each address. Lives on the event loop, which alone touches it.

    It slows only what is wrong: a token is 256 random bits, so nobody comes to a right one by trying, and
    those who share an address with a worker whose token was revoked must not stand still with it. ``now`` is
    a clock in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._free_at: OrderedDict[str, float] = OrderedDict()
        """When all tries of an address would be free again, the one that failed last at the end."""

    def failed(self, address: str) -> float:
        """Count a wrong token; the seconds after which the next may come, 0 if it may come now."""
        now, place = self._now(), _place(address)
        due = max(self._free_at.pop(place, now), now)
        if due + EVERY > now + TRIES * EVERY:
            self._free_at[place] = due
            return due + EVERY - (now + TRIES * EVERY)
        self._free_at[place] = due + EVERY
        if len(self._free_at) > ADDRESSES_MOST:
            self._free_at.popitem(last=False)
        return 0.0


def address_of(text: str) -> IPv4Address | IPv6Address | None:
    """The address that a text is; one of IPv4 that came to a socket for both kinds (``::ffff:…``) is that."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _place(address: str) -> str:
    """An address, or the network that one host may have to itself; some proxies tell its port, too."""
    found = address_of(address.strip("[]")) or address_of(address.rpartition(":")[0].strip("[]"))
    if isinstance(found, IPv6Address):
        return str(int(found) >> _NETWORK)
    return address if found is None else str(found)
