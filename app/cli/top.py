"""``dibs top``: the page's first screen in a terminal, live."""

from __future__ import annotations

from .options import DEFAULT_URL, Url


def top(*, once: bool = False, url: Url = DEFAULT_URL) -> None:
    """Show how all queues are, live, sorted by trouble; q or Ctrl-C ends it.

    First a sentence that says how everything is; then rates, what waits, is leased and dead, how long the
    oldest item has waited, and what was handed out in the last 15 minutes. It shows what the page shows. If
    the server goes away, that is told, and it is waited for.

    Args:
        once: Show one picture and end; so it is too where stdout is no terminal.

    Example: `dibs top --once`
    """
    from .console import console
    from .http import Api
    from .top_live import Watch, look_once

    out = console(width=120)
    with Api(url) as api:
        if once or not out.is_terminal:
            look_once(api, out)
        else:
            Watch(api, out).run()
