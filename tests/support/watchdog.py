"""What ends a test that hangs: the watchdog bites again and again, and at last all ends with a traceback.

pytest-timeout raises its exception once. A loop may give that to a task that nobody waits for, or it leads
into a ``finally`` that waits without end; and once a test has failed, neither its teardown nor its second
try (see ``reruns``) has a limit, of pytest-timeout or of pytest's ``faulthandler_timeout``. So each phase of
a test has the limit anew here.
"""

from __future__ import annotations

import faulthandler
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import pytest_timeout
from _pytest.faulthandler import fault_handler_stderr_fd_key

AGAIN = 30.0
"""Seconds from one exception in a phase to the next."""
LAST = 180.0
"""Seconds after the first one until the whole run ends, where no exception ends the phase."""
SETTINGS = pytest.StashKey[Any]()


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool:
    """Keep what pytest-timeout would set a timer by."""
    item.stash[SETTINGS] = settings
    return True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    with _limited(item):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with _limited(item):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    with _limited(item):
        return (yield)


@contextmanager
def _limited(item: pytest.Item) -> Iterator[None]:
    settings = item.stash.get(SETTINGS, None)
    if settings is None:  # ``--timeout 0``
        yield
        return
    shown = item.config.stash[fault_handler_stderr_fd_key]
    before = signal.signal(signal.SIGALRM, lambda *_: pytest_timeout.timeout_sigalrm(item, settings))
    faulthandler.dump_traceback_later(settings.timeout + LAST, file=shown, exit=True)
    signal.setitimer(signal.ITIMER_REAL, settings.timeout, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """A thread that a test left behind holds nothing up, either."""
    faulthandler.dump_traceback_later(LAST, exit=True)
