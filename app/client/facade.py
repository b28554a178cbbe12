"""Gives the methods of a facade what their operation has: name, documentation and signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import update_wrapper
from typing import Any, TypeVar

C = TypeVar("C", bound=Callable[..., Any])


def declared(operation: Callable[..., Any], method: C, answer: str | None = None) -> C:
    """The method, declared as the operation is, for ``help()`` and editors.

    ``answer`` stands for the type of what it gives; None: what the operation's flow returns.
    """
    signature = inspect.signature(operation)
    result = answer or signature.return_annotation.removeprefix("Flow[").removesuffix("]")
    update_wrapper(method, operation)
    vars(method)["__signature__"] = signature.replace(return_annotation=result)
    return method
