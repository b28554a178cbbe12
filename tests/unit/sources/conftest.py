"""What the tests of sources share: a registry, short ways through it, and modules that a user might write."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dibs.sources import Registry, Source, SourceSpec, parse_source


@pytest.fixture(scope="session")
def registry() -> Registry:
    return Registry()


@pytest.fixture(scope="session")
def check(registry) -> Callable[..., SourceSpec]:
    """Check a source written as text, from a trusted place."""
    return lambda text, **options: registry.check(parse_source(text), **{"trusted": True, **options})


@pytest.fixture(scope="session")
def start(registry, check) -> Callable[..., Source]:
    """Check and open a source written as text."""
    return lambda text, **position: registry.open(check(text), **position)


@pytest.fixture(scope="session")
def values(registry, check) -> Callable[[str], Any]:
    """The values of a computed source written as text, by their index."""
    return lambda text: registry.seekable(check(text)).values


@pytest.fixture(scope="session")
def drain() -> Callable[[Source], list[Any]]:
    """Everything that is left in a source whose end is near."""

    def drain(source: Source) -> list[Any]:
        values: list[Any] = []
        while batch := source.iterator.take(7):
            values += batch
        return values

    return drain


@pytest.fixture
def write(tmp_path) -> Callable[[str, str | bytes], Path]:
    """Write a file below ``tmp_path``."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def module(tmp_path, monkeypatch) -> Callable[[str], str]:
    """Write the module ``users_own`` into the current directory (``tmp_path``); gives its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def module(code: str) -> str:
        monkeypatch.delitem(sys.modules, "users_own", raising=False)
        (tmp_path / "users_own.py").write_text(code)
        return "users_own"

    yield module
    sys.modules.pop("users_own", None)


@pytest.fixture
def clock() -> Any:
    """A clock that stands still: ``now`` is in milliseconds, and calling it gives nanoseconds."""

    class Clock(SimpleNamespace):
        def __call__(self) -> int:
            return self.now * 1_000_000

    return Clock(now=1_750_000_000_000)


@pytest.fixture
def ids(clock) -> Registry:
    return Registry(clock=clock)


@pytest.fixture(scope="session")
def first() -> Callable[[Source, int], Sequence[Any]]:
    """The next values of a source."""
    return lambda source, count: source.iterator.take(count)
