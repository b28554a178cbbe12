"""``app`` as another name of ``dibs``, in a checkout: one set of modules, whatever name they are asked by.

The folder is called ``app``, the package ``dibs``. From the checkout ``python -m app`` works as well, and so
does ``uvicorn app.main:app``; without this they would load every module a second time, and there would be two
classes called ``Client``. An installed dibs has no ``app``.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Final

NAME: Final = "dibs"


class _Alias(MetaPathFinder):
    """Finds ``app.x`` where it is ``dibs.x``; ``python -m`` reads the main module itself."""

    def __init__(self, alias: str) -> None:
        self._prefix = f"{alias}."

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(self._prefix) or name == f"{self._prefix}__main__":
            return None
        return spec_from_loader(name, _Loaded(importlib.import_module(f"{NAME}.{name[len(self._prefix) :]}")))


class _Loaded(Loader):
    """Gives a module that is there already, and leaves it as it is."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, _: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


def stand_in(alias: str, file: str) -> None:
    """Make ``alias`` a name of dibs, which is loaded from the same folder unless it is there already."""
    if NAME not in sys.modules:
        spec = spec_from_file_location(NAME, file, submodule_search_locations=[str(Path(file).parent)])
        if spec is None or spec.loader is None:
            raise ImportError(f"can't load {NAME} from {file}", name=NAME)
        sys.modules[NAME] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[NAME])
    sys.modules[alias] = sys.modules[NAME]
    sys.meta_path.insert(0, _Alias(alias))
