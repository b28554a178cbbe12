"""Gives the methods of a facade what their operation has: name, documentation and signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import update_wrapper
from typing import Any, TypeVar

C = TypeVar("C", bound=Callable[..., Any])


def declared(operation: Callable[..., Any], method: C, answer: str = "") -> C:
    """The method, declared as the operation is, for ``help()`` and editors.

    ``answer``: the type of what the method gives. Without: what the operation's flow returns.
    """
    signature = inspect.signature(operation)
    given = [
        inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        *list(signature.parameters.values())[1:],
    ]
    inside = signature.return_annotation.partition("[")[2].removesuffix("]")
    result = f"{answer}[{inside}]" if answer and inside else answer or inside
    update_wrapper(method, operation)
    vars(method)["__signature__"] = signature.replace(parameters=given, return_annotation=result)
    return method
