"""One command as a process: in a session of its own, with what it wrote in files."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO, Final, Self

from .work_children import Children
from .work_signals import GRACE

ERROR_BYTES: Final = 8192
"""The longest error that the server takes, in bytes of UTF-8."""
_ENDING: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
_SHELL: Final = 128
"""A shell adds this to the number of the signal that ended its command."""
_BUSY: Final = frozenset(
    {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.ETXTBSY}
)
"""Errors of a system that lacks processes, memory, files or disk space for a while."""


class CannotStart(Exception):
    """The command can't be run at all: no item of the queue would fare better. ``missing``: there is none."""

    def __init__(self, program: str, why: str, *, missing: bool = False) -> None:
        super().__init__(f"{program}: {why}")
        self.missing = missing


class Busy(Exception):
    """The system has no room for another command just now."""


class Unfit(Exception):
    """The command can't be run for this item: its words are too long, or have a NUL in them."""


@dataclass(frozen=True, slots=True)
class End:
    """How a process ended: ``why`` it failed, empty if it did not.

    ``status`` of a process that has ended by itself, as ``Popen`` has it. None: it was ended here.
    """

    why: str = ""
    status: int | None = field(default=None, compare=False)

    @property
    def good(self) -> bool:
        """Whether it exited with 0, by itself."""
        return not self.why

    @property
    def told(self) -> bool:
        """Whether a signal that asks to end has ended it, by its status or by that of a shell."""
        return any(self.status in {-number, _SHELL + number} for number in _ENDING)


class Process:
    """A command that runs. Leaving the ``with`` frees what it wrote, which is kept in files without a name.

    It has a session of its own: Ctrl-C on the terminal reaches ``dibs`` alone. Signals go to the whole group,
    so that what the command has started ends with it. Files rather than pipes: a command that leaves
    something behind in the background has ended all the same, and none waits for a reader.

    The thread that makes it leaves it, too: see ``Children``.

    Raises:
        Busy, CannotStart, Unfit: Nothing was run.
    """

    def __init__(
        self,
        words: Sequence[str],
        children: Children,
        *,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        timeout: float | None = None,
        grace: float = GRACE,
    ) -> None:
        self._children = children
        self._grace = grace
        self._lock = threading.Lock()
        self._over = False
        self._ended_for: str | None = None
        self._timers: list[threading.Timer] = []
        with ExitStack() as files:
            self._process = self._start(words, env, stdin, files)
            self._files = files.pop_all()
        if timeout is not None:
            self._after(timeout, lambda: self.end(f"timed out after {timeout:g} s"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end("abandoned")
        self.wait()
        self._files.close()

    def _start(
        self, words: Sequence[str], env: Mapping[str, str] | None, stdin: bytes | None, files: ExitStack
    ) -> subprocess.Popen[bytes]:
        try:
            self.out = files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  # the stack closes it
            self.err = files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
            with _file_of(stdin) as given:
                return self._children.start(
                    partial(  # to run what the user says is what this is for
                        subprocess.Popen, words, stdin=given, stdout=self.out, stderr=self.err, env=env
                    )
                )
        except ValueError as error:
            raise Unfit(
                f"the value can't be the argument of a command ({error}): --stdin takes any value"
            ) from error
        except OSError as error:
            raise _not_started(words[0], error) from error

    def wait(self) -> End:
        """Wait until it has ended; return how."""
        _await_end(self._process)
        with self._lock:
            if self._ended_for is not None and not self._over:
                self._signal(signal.SIGKILL)  # what it left behind, while its group can't be another's
            status = self._children.reap(self._process)
            self._over = True
            why = self._ended_for
        for timer in self._timers:
            timer.cancel()
        return End(_described(status), status) if why is None else End(why)

    def end(self, why: str) -> None:
        """Send SIGTERM, and SIGKILL in ``grace`` seconds; ``wait`` returns ``why``. This does not wait.

        May be called from any thread, at any time; what has ended by itself stays so.
        """
        with self._lock:
            if self._over or self._ended_for is not None:
                return
            self._ended_for = why
            self._signal(signal.SIGTERM)
        self._after(self._grace, self._kill)

    def _kill(self) -> None:
        with self._lock:
            if not self._over:
                self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        """Signal the whole group. Its leader has not been waited for, so the group's id is still its own."""
        with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
            os.killpg(self._process.pid, number)

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, action)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()


def _not_started(program: str, error: OSError) -> Exception:
    """The exception for an error of the system at the start of a command."""
    if error.errno == errno.E2BIG:
        return Unfit("the value is too long for the argument of a command: --stdin takes any length")
    why = error.strerror or str(error)
    if error.errno in _BUSY:
        return Busy(why)
    return CannotStart(program, why, missing=isinstance(error, FileNotFoundError))


def error_text(why: str, err: BinaryIO, most: int = ERROR_BYTES) -> str:
    """Why a command failed, and below it the tail of its stderr; at most ``most`` bytes in all."""
    room = most - len(f"{why}\n".encode())
    size = err.seek(0, os.SEEK_END)
    err.seek(max(0, size - room))
    tail = err.read().decode(errors="replace").replace("\0", "\ufffd").strip()
    tail = tail.encode()[-room:].decode(errors="ignore")
    return f"{why}\n{tail}" if tail else why


@contextmanager
def _file_of(content: bytes | None) -> Iterator[BinaryIO | int]:
    if content is None:
        yield subprocess.DEVNULL
        return
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield file


def _await_end(process: subprocess.Popen[bytes]) -> None:
    """Wait until the process has ended, without reaping it where the system can: so its id stays its own."""
    if not hasattr(os, "waitid"):  # macOS has it from Python 3.13 on
        process.wait()
    elif process.returncode is None:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def _described(status: int) -> str:
    if status == 0:
        return ""
    if status > 0:
        return f"exit {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
