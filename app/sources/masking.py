"""Sources as they are shown, in answers, errors and logs: without the secrets that functions are given.

The configuration alone names functions, so whoever looks may know of a queue and not of its passwords.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from .spec import SourceSpec

MASKED: Final = "********"
_SECRET: Final = ("token", "secret", "password", "passwd", "api_key")
_PASSWORD: Final = re.compile(r"(://[^:/@\s]*:)[^@/\s]+@")


def is_secret(name: str) -> bool:
    """Whether what has this name is a secret, by how secrets are called."""
    return name.lower().endswith(_SECRET)


def masked(source: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments of a source: of a user's function without secrets and passwords in URLs."""
    return {name: _masked(name, value) for name, value in args.items()} if ":" in source else args


def shown(spec: SourceSpec) -> str:
    """A source as it is written, without its secrets."""
    positional = [_masked("", value) for value in spec.positional] if spec.is_function else spec.positional
    return SourceSpec(spec.name, masked(spec.name, spec.args), tuple(positional)).text


def _masked(name: str, value: Any) -> Any:
    if is_secret(name):
        return MASKED
    if isinstance(value, str):
        return _PASSWORD.sub(rf"\1{MASKED}@", value)
    if isinstance(value, Mapping):
        return {name: _masked(name, member) for name, member in value.items()}
    return [_masked("", member) for member in value] if isinstance(value, list | tuple) else value
