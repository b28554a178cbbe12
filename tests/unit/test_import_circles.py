"""No module of dibs needs itself: imports have no circle, those for types and those in functions included."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import dibs
import pytest

ROOT = Path(dibs.__file__).parent
PACKAGE = "dibs"


def modules(root: Path, package: str) -> dict[str, Path]:
    """The modules of a package by their names."""
    found = {}
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join((package, *(part for part in parts if part != "__init__")))] = path
    return found


def imported(name: str, path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """The modules that a module imports, wherever that stands in it.

    The package of an imported module is none of them: that it is imported first orders nothing here.
    """
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                inside = f"{base}.{alias.name}"
                if inside in known:
                    yield inside
                elif base in known:
                    yield base


def circle(root: Path, package: str) -> list[str]:
    """The modules of one circle, in order; none where there is no circle."""
    known = modules(root, package)
    graph = {name: set(imported(name, path, known)) - {name} for name, path in known.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_there_is_no_circle() -> None:
    assert circle(ROOT, PACKAGE) == []


@pytest.mark.parametrize(
    "back",
    [
        "from .first import One",
        "from . import first",
        "import made.first",
        "if TYPE_CHECKING:\n    from .first import One",
        "def use():\n    from .first import One",
    ],
)
def test_a_circle_is_found_however_it_is_closed(tmp_path: Path, back: str) -> None:
    (tmp_path / "__init__.py").write_text("from .first import One")
    (tmp_path / "first.py").write_text("from .second import Two\n\nclass One: pass")
    (tmp_path / "second.py").write_text("class Two: pass")
    assert circle(tmp_path, "made") == []
    (tmp_path / "second.py").write_text(f"{back}\n\nclass Two: pass")
    assert sorted(set(circle(tmp_path, "made"))) == ["made.first", "made.second"]
