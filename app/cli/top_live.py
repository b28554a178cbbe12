"""The live screen of ``dibs top``: a thread hears the server, the main one draws and reads keys."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ..client.errors import ClientError, Unreachable
from .events import listen
from .http import Api
from .output import writing
from .terminable import terminable
from .top_screen import screen
from .words import span

VIEW: Final = "overview"
AGAIN: Final = 1.0
"""Seconds after which a stream that was lost is joined again."""
DRAW: Final = 0.25
"""Seconds between two looks at keys, and at how long the server has been silent."""
_ENDS: Final = frozenset({"q", "Q", "\x03", "\x04"})
SILENT: Final = 8.0
"""Seconds without a word after which what is shown is told to be old."""


def look_once(api: Api, out: Console) -> None:
    """Print one picture.

    Raises:
        Unreachable: There is no server.
        ServerRefused: It lets nobody watch.
    """
    data = next(event.data for event in listen(api, VIEW) if event.name == VIEW)
    with writing():
        out.print(screen(data, url=api.url, width=out.width, height=None))


class Heard:
    """What was heard of a server, by one thread for another: each attribute is replaced as a whole."""

    def __init__(self) -> None:
        self.data: Mapping[str, Any] | None = None
        self.at = 0.0
        self.trouble = ""
        self.failed: ClientError | None = None


class Watch:
    """Shows the overview until a key or Ctrl-C ends it. It owns the ``heard`` that its thread writes.

    ``clock`` gives seconds that only go up.
    """

    def __init__(self, api: Api, out: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.heard = Heard()
        self._api = api
        self._out = out
        self._clock = clock
        self._ended = threading.Event()

    def run(self) -> None:
        """Show it.

        Raises:
            Unreachable: There was never a server.
            ServerRefused: It lets nobody watch.
        """
        threading.Thread(target=self.hear, daemon=True).start()
        shown = Live(self.picture(), console=self._out, screen=True, auto_refresh=False)
        with suppress(KeyboardInterrupt), terminable(), _keys() as key, shown:
            while self.heard.failed is None and key(DRAW) not in _ENDS:
                shown.update(self.picture(), refresh=True)
        self._ended.set()
        if self.heard.failed is not None:
            raise self.heard.failed
        if self.heard.data is not None:  # what was seen last stays on the terminal, above the prompt
            with writing():
                self._out.print(self.picture(ended=True))

    def hear(self) -> None:
        """Hear the server, and join again when it was lost, until the end."""
        heard = self.heard
        while not self._ended.is_set():
            try:
                for event in listen(self._api, VIEW):
                    heard.at = self._clock()
                    heard.trouble = ""
                    if event.name == VIEW:
                        heard.data = event.data
                    elif event.name == "beat" and "trouble" in event.data:
                        heard.trouble = f"The ledger can't be read: {event.data['trouble']}"
                    if self._ended.is_set():
                        return
            except Unreachable as error:
                if heard.data is None and not error.reached:
                    heard.failed = error
                    return
                heard.trouble = f"No word from the server ({error}); it is waited for"
            except ClientError as error:
                if heard.data is None:
                    heard.failed = error
                    return
                heard.trouble = f"The server refuses: {error}"
            self._ended.wait(AGAIN)

    def picture(self, *, ended: bool = False) -> Any:
        """What is to be seen now, or what was seen last."""
        heard = self.heard
        if heard.data is None:
            return Text(heard.trouble or f"Waiting for {self._api.url} …", style="dim")
        silence = self._clock() - heard.at
        trouble = heard.trouble
        if silence > SILENT:
            trouble = trouble or "No word from the server"
            trouble += f"; what you see is {span(silence)} old"
        size = self._out.size
        return screen(
            heard.data,
            url=self._api.url,
            width=size.width,
            height=size.height - ended,
            trouble=trouble,
            keys="" if ended else "q ends",
        )


@contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """Keys as they are pressed, without Enter: a function that waits so long for one, else gives ''."""
    if sys.stdin is None or not sys.stdin.isatty():
        yield _none
        return
    try:
        import termios
        import tty
    except ImportError:  # Windows: Ctrl-C ends it
        yield _none
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)
    try:
        yield lambda seconds: _key(number, seconds)
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _none(seconds: float) -> str:
    time.sleep(seconds)
    return ""


def _key(number: int, seconds: float) -> str:
    ready, _, _ = select.select([number], [], [], seconds)
    if not ready:
        return ""
    return os.read(number, 1).decode("latin-1") or "\x04"  # the terminal is gone
