"""The layers that settings come from: defaults, ``dibs.toml``, the environment, the command's options."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsError

from .errors import ConfigError
from .inert import inert
from .queue.limits import Limits

PREFIX: Final = "DIBS_"
DEFAULT_FILE: Final = Path("dibs.toml")
_OTHERS: Final = {"CONFIG", "URL", "TOKEN", "TOKEN_FILE", "TRACEBACK", "QUEUE", "SEQ", "ATTEMPT"}
"""Variables (after ``DIBS_``) that are no settings of the server, and have a meaning all the same."""
_LIMIT: Final = PREFIX + "LIMITS__"
_FIELD: Final = re.compile(r'field "(\w+)"')
"""The setting of an error of pydantic-settings."""


class Layers(NamedTuple):
    """What each layer says, by the settings' names; the last one wins. ``path``: where the file would be."""

    path: Path
    written: Mapping[str, Any]
    environment: Mapping[str, Any]
    options: Mapping[str, Any]

    def merged(self) -> dict[str, Any]:
        """All in one; tables are merged by their names."""
        return _merged(self.written, self.environment, self.options)

    def origin(self, setting: Sequence[str], member: str = "") -> str:
        """The place where the user wrote a setting (or one of a table: two names), with its name there.

        ``member``: of a setting that is a table, the one that is meant, which several places may have.
        """
        whole = [*setting, member] if member else setting
        place = self.place(whole)
        ends = tuple("__".join(names).upper() for names in (setting, whole))
        named = place.startswith("option") or place.upper().endswith(ends)
        return place if named else f"{place}: {'.'.join(setting)}"

    def place(self, setting: Sequence[str]) -> str:
        """Where a setting comes from: ``option --port``, ``environment variable …``, ``config file …``."""
        name, *_ = setting
        if _has(self.options, setting):
            return "option --" + ("queue" if name == "queues" else name.replace("_", "-"))
        if _has(self.environment, setting):
            whole, table = PREFIX + "__".join(setting).upper(), PREFIX + name.upper()
            for meant in (whole, table):
                for variable in os.environ:
                    if variable.upper() == meant:
                        return f"environment variable {variable}"
            return f"environment variables {table}__…"
        return f"config file {self.path}" if _has(self.written, setting) else "default"


def _has(layer: Mapping[str, Any], setting: Sequence[str]) -> bool:
    """Whether a layer says something of a setting; what is no table says all of it."""
    here: Any = layer
    for name in setting:
        if not isinstance(here, Mapping):
            return True
        if name not in here:
            return False
        here = here[name]
    return True


def read_layers(settings: type[BaseSettings], options: Mapping[str, Any] | None, file: Path | None) -> Layers:
    """Read the layers. Nothing of it is checked, but that the file can be read, and JSON in the environment.

    Raises:
        ConfigError: one of them can't be read.
    """
    path, written = _read_file(file)
    try:
        environment = _without_unknown_limits(EnvSettingsSource(settings)())
    except SettingsError as error:
        found = _FIELD.search(str(error))
        where = f"environment variable {PREFIX}{found[1].upper()}" if found else "the environment"
        raise ConfigError(f'{where}: it must be JSON, such as {{"NAME": "VALUE"}}') from None
    return Layers(path, written, environment, dict(options or {}))


def _merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            both = isinstance(merged.get(name), Mapping) and isinstance(value, Mapping)
            merged[name] = _merged(merged[name], value) if both else value
    return merged


def _read_file(file: Path | None) -> tuple[Path, dict[str, Any]]:
    named = file or (Path(os.environ[PREFIX + "CONFIG"]) if os.environ.get(PREFIX + "CONFIG") else None)
    path = named or DEFAULT_FILE
    try:
        return path, tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if named is None:
            return path, {}
        raise ConfigError(f"config file {path}: there is no such file") from None
    except OSError as error:
        raise ConfigError(f"config file {path}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"config file {path}: {error}") from None


def unknown_variables(settings: type[BaseSettings], environ: Mapping[str, str] | None = None) -> list[str]:
    """A sentence for each variable that looks like a setting and is none; an environment may have others."""
    told = []
    variables = {name.upper() for name in settings.model_fields} | _OTHERS
    for name in sorted(os.environ if environ is None else environ):
        beginning, known = PREFIX, variables
        if name.upper().startswith(_LIMIT):
            beginning, known = _LIMIT, {limit.upper() for limit in Limits.model_fields}
        meant = name[len(beginning) :].partition("__")[0].upper()  # as they are read: in any case
        if not name.startswith(PREFIX) or meant in known:
            continue
        close = get_close_matches(meant, known, n=1, cutoff=0.75)
        told.append(
            inert(f"environment variable {name[:64]} is no setting of dibs and has no effect")
            + (f"; did you mean {beginning}{close[0]}?" if close else "")
        )
    return told


def _without_unknown_limits(environment: dict[str, Any]) -> dict[str, Any]:
    """Leave out limits that there are not: they are told, as other unknown variables are."""
    limits = environment.get("limits")
    if not isinstance(limits, dict):
        return environment
    named = {name.upper().removeprefix(_LIMIT).partition("__")[0].lower() for name in os.environ}
    unknown = named - Limits.model_fields.keys()
    return environment | {"limits": {name: limit for name, limit in limits.items() if name not in unknown}}
