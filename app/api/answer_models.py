"""The models of answers by their names, for the reference alone: a start need not make them."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any


def model_of(names: str) -> Any:
    """The model that a ``Spec`` names, or the union of several: ``Pushed | Streamed``."""
    return reduce(or_, (_model(name) for name in names.split(" | ")))


def _model(name: str) -> Any:
    from ..queue import stats
    from . import schemas, schemas_access, schemas_inbox, schemas_items, schemas_settings, schemas_work

    places = (stats, schemas, schemas_access, schemas_inbox, schemas_items, schemas_settings, schemas_work)
    return next(vars(place)[name] for place in places if name in vars(place))
