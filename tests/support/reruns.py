"""Which failures CI tries once more: there, groups of tests share two cores, and some run out of time."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

SEEN_ON_A_TERMINAL = {"browser", "cli"}
"""Folders whose tests look at what is shown, which comes late under load."""
ITEMS_AT_STAKE = {"upload", "work", "work_for_real"}
"""Folders within these where an item could be lost or done twice: what is found there is found."""


class _Finding(type):
    def __instancecheck__(cls, error: object) -> bool:
        return isinstance(error, BaseException) and any(map(_is_finding, _all_in(error, set())))


class Finding(BaseException, metaclass=_Finding):
    """What an assertion or ``pytest.raises`` found: each error that is or holds such a one is an instance.

    So is an error of a group, and one that was raised while an assertion's was on its way: a ``finally`` that
    ran out of time hides nothing. The watchdog's own ``Failed`` is none.
    """


def _is_finding(error: BaseException) -> bool:
    if isinstance(error, pytest.fail.Exception):
        return not str(error).startswith("Timeout (>")
    return isinstance(error, AssertionError)


def _all_in(error: BaseException | None, seen: set[int]) -> Iterator[BaseException]:
    """The error, those that it came from, and those that it groups."""
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield error
    held = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for each in (error.__cause__, error.__context__, *held):
        yield from _all_in(each, seen)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In CI, try a test once more that failed for another reason than a ``Finding``, and name it (``-rR``).

    In the folders ``SEEN_ON_A_TERMINAL``, but for ``ITEMS_AT_STAKE``, any failure is tried again.
    ``tests/unit/test_reruns.py`` runs all three.
    """
    if "CI" not in os.environ:
        return
    for item in items:
        folders = set(item.nodeid.split("/"))
        anything = SEEN_ON_A_TERMINAL & folders and not ITEMS_AT_STAKE & folders
        item.add_marker(pytest.mark.flaky(reruns=1, **({} if anything else {"rerun_except": [Finding]})))
