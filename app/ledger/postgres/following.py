"""The thread that keeps a warm copy: it loads in small pieces, so that requests go on, and then follows."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from time import thread_time
from typing import TYPE_CHECKING, Any, Final

from ...errors import DibsError
from ..ops import EngineFailed, OpFailed
from .filling import NOTICE
from .shipments import Shipments, Torn
from .warm import Gap, WarmCopy

if TYPE_CHECKING:
    import psycopg

    from ..sqlite.scratch import Scratch
    from .fence import Mark

HEARD_MOST: Final = 128 * 1024 * 1024
"""Bytes that were heard and are not done yet: a copy that is so far behind is given up."""
SILENCE: Final = 30.0
"""Seconds after which a copy is given up of whose owner nothing is heard, or that nobody takes."""
PATIENCE: Final = 2.0
"""Seconds for which a new owner waits until the copy has all."""
PIECE: Final = 200
"""Rows that are loaded at once; then for as long as they took this thread does nothing."""
ROUND: Final = 500
"""Transactions that are done in one transaction of the copy."""

log = logging.getLogger("dibs.ledger")


class Following:
    """Keeps one copy, of the owner's memory in one ``term``; for any thread.

    ``lost`` is called once, on its thread, when the copy is given up or taken. ``lag``: how many transactions
    are heard and not done yet; None while it is loaded, and at the end.
    """

    def __init__(
        self, connect: Callable[[], psycopg.Connection[Any]], term: int, *, lost: Callable[[], None]
    ) -> None:
        self.term = term
        self.lag: int | None = None
        self._connect = connect
        self._lost = lost
        self._copy = WarmCopy(term)
        self._shipments = Shipments()
        self._news = threading.Condition()  # guards what follows
        self._changed = self._ended = self._over = False
        self._heard: list[bytes] = []
        self._size = 0
        self._wanted: Mark | None = None
        self._taken: WarmCopy | None = None
        self._stop = ""  # why
        self._thread = threading.Thread(target=self._run, name="dibs-warm", daemon=True)
        self._thread.start()

    # -- for others

    def hear(self, data: bytes) -> None:
        """Hear what the owner sends."""
        with self._news:
            self._heard.append(data)
            self._size += len(data)
            if self._size > HEARD_MOST:
                self._stop = self._stop or "it was too far behind the owner"
            self._tell()

    def end(self) -> None:
        """Hear nothing more: the owner may be gone, so that the copy is wanted in a moment."""
        with self._news:
            self._ended = True
            self._tell()

    def close(self, why: str) -> None:
        """Give the copy up."""
        with self._news:
            self._stop = self._stop or why
            self._tell()

    def take(self, mark: Mark, reader: psycopg.Connection[Any]) -> Scratch | None:
        """The copy, if it has all up to this transaction, and nothing else; it is the caller's then."""
        with self._news:
            self._wanted = mark
            self._tell()
            self._news.wait_for(lambda: self._over, PATIENCE)
            self._stop = self._stop or "it was not there in time"
            self._tell()
            copy, self._taken = self._taken, None
        if copy is None:
            return None
        try:
            differs = copy.check(reader)
        except BaseException:
            copy.close()
            raise
        if differs is not None:
            told = "the warm copy has other rows than PostgreSQL in %s, and is not used. %s"
            log.critical(told, differs, "Unless somebody wrote there by hand, this is a bug of dibs")
            copy.close()
            return None
        return copy.scratch

    def _tell(self) -> None:
        self._changed = True
        self._news.notify_all()

    # -- the thread

    def _run(self) -> None:
        import psycopg

        done, why = False, "it was taken"
        try:
            self._load()
            self._follow()
            done = True
        except (Gap, Torn) as error:
            why = str(error)
        except (DibsError, EngineFailed, OpFailed, psycopg.Error) as error:
            why = f"{type(error).__name__}: {error}"
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            log.exception("the warm copy failed")
        finally:
            self._finish(why, done=done)

    def _load(self) -> None:
        with self._news:  # what is loaded after something was heard has all that was before
            self._news.wait_for(lambda: self._changed, SILENCE)
        with self._connect() as reader:
            self._copy.load(reader, self._paced)
        self.lag = 0
        log.log(NOTICE, "a warm copy of the owner's memory is there: %s", self._copy.mark)

    def _paced(self, rows: Iterable[Any]) -> Iterator[Any]:
        began = thread_time()
        for at, row in enumerate(rows, 1):
            yield row
            if at % PIECE == 0:
                with self._news:
                    over = self._news.wait_for(
                        lambda: bool(self._stop or self._wanted), thread_time() - began
                    )
                if over:
                    raise Gap(self._stop or "it was wanted before it was loaded")
                began = thread_time()

    def _follow(self) -> None:
        while True:
            data, wanted, ended = self._next()
            shipped = list(self._shipments.feed(data))
            for begin in range(0, len(shipped), ROUND):
                self.lag = len(shipped) - begin
                self._copy.follow(shipped[begin : begin + ROUND])
            self.lag = 0
            with self._news:
                self._size -= len(data)
            if wanted is not None:
                if self._copy.reaches(wanted):
                    return
                if ended:
                    raise Gap(f"it is at {self._copy.mark}, and not at {wanted}")

    def _next(self) -> tuple[bytes, Mark | None, bool]:
        """What was heard since the last time, which transaction is wanted, and whether nothing more comes."""
        with self._news:
            if not self._news.wait_for(lambda: self._changed, SILENCE):
                raise Gap(f"nothing was heard for {SILENCE:.0f} s")
            self._changed = False
            if self._stop:
                raise Gap(self._stop)
            heard, self._heard = self._heard, []
            return b"".join(heard), self._wanted, self._ended

    def _finish(self, why: str, *, done: bool) -> None:
        self.lag = None
        with self._news:
            if done and not self._stop:
                self._taken = self._copy
            else:
                self._copy.close()
            self._over = True
            self._heard.clear()
            self._news.notify_all()
        log.log(NOTICE, "the warm copy has ended: %s", " ".join(why.split()))  # psycopg tells by lines
        self._lost()
