"""The settings: frozen, checked, read once and handed on.

Lowest first: the defaults below, ``dibs.toml`` (``--config``, or the one in the current directory), the
environment (``DIBS_PORT=9000``), the command's options. Nothing here is read when a module is imported:
``load`` reads, ``Settings(...)`` on its own takes only what it is given.
"""

from __future__ import annotations

import logging
import os
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import metadata
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from .config_queues import definitions
from .errors import ConfigError
from .inert import inert
from .queue.definition import Definition
from .queue.limits import Limits

PREFIX: Final = "DIBS_"
DEFAULT_FILE: Final = Path("dibs.toml")
DEFAULT_QUEUE: Final = "default"
MEMORY: Final = ":memory:"
_OTHERS: Final = {"CONFIG", "URL", "TRACEBACK", "QUEUE", "SEQ", "ATTEMPT"}
"""Variables (after ``DIBS_``) that are no settings of the server, and have a meaning all the same."""
log: Final = logging.getLogger("dibs.config")


class Settings(BaseSettings):
    """Everything that can be set. Sizes are in bytes, durations in seconds."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__"
    )

    host: str = Field(default="127.0.0.1", min_length=1, description="The address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="The port to listen on; 0 finds a free one.")
    data: Path | Literal[":memory:"] = Field(
        default=Path("dibs-data"), description="The folder of the ledger; `:memory:` keeps nothing."
    )
    queues: dict[str, Definition] = Field(
        default_factory=dict,
        description="Queues with their sources, or without one if producers push. Default: one queue,"
        " `default`, which counts from 1.",
    )
    allow_anonymous: bool = Field(
        default=False, description="Let other machines connect, although no token is asked for."
    )
    allow_get: bool | Literal["all"] = Field(
        default=True,
        description="Hand out over GET too, for browsers and plain curl: `true` on `/next` alone, `all` for"
        " named queues as well, `false` nowhere.",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="The names that clients may use for the server (the Host header). Default: on loopback"
        " its own names, elsewhere any.",
    )
    read_only: bool = Field(
        default=False,
        description="Refuse all that operators may change: the page shows, and changes nothing.",
    )
    show_values: bool = Field(
        default=True, description="Show the values of items on the page; the API gives them all the same."
    )
    old: float = Field(
        default=900.0,
        gt=0,
        description="Seconds after which an item that still waits is trouble on the page.",
    )
    source_root: Path | None = Field(
        default=None,
        description="The folder whose files a source defined over HTTP may read; none: no files.",
    )
    workers: int = Field(default=1, description="Server processes; on SQLite it is 1.")
    limits: Limits = Field(default=Limits(), description="See the table of limits.")

    @classmethod
    def settings_customise_sources(  # type: ignore[override]  # the others are given by name too
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, **_: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what is given and nothing else; ``load`` is what reads."""
        return (init_settings,)

    @field_validator("data", mode="before")
    @classmethod
    def _data(cls, data: object) -> object:
        if isinstance(data, str) and not data.strip():
            raise ValueError("it is empty")
        return data

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split(cls, hosts: object) -> object:
        return (
            [host.strip() for host in hosts.split(",") if host.strip()] if isinstance(hosts, str) else hosts
        )

    @field_validator("queues", mode="before")
    @classmethod
    def _queues(cls, queues: object) -> object:
        if not isinstance(queues, Mapping):
            raise ValueError('it is a table of NAME = "SOURCE"')  # noqa: TRY004  # pydantic wants ValueError
        return definitions(queues)

    @field_validator("workers")
    @classmethod
    def _one_worker(cls, workers: int) -> int:
        if workers != 1:
            raise ValueError(
                f"{workers} processes on one SQLite ledger would each hand out the same values, so there is"
                " one. It serves many connections at once: start more servers, each with its own --data,"
                " if one is not enough"
            )
        return workers

    @model_validator(mode="after")
    def _stay_on_loopback(self) -> Settings:
        if not self.allow_anonymous and not is_loopback(self.host):
            raise ValueError(
                f"host {self.host} can be reached from other machines, and no token is asked for. Say"
                " --allow-anonymous if that is meant, or listen on 127.0.0.1"
            )
        return self


_VARIABLES: Final = {name.upper() for name in Settings.model_fields} | _OTHERS
_LIMIT: Final = PREFIX + "LIMITS__"


def version() -> str:
    """The version of the installed distribution."""
    try:
        return metadata.version("dibs")
    except metadata.PackageNotFoundError:  # run from a folder that was never installed
        return "0"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address. Names but localhost are taken to reach further."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def load(options: Mapping[str, Any] | None = None, *, file: Path | None = None) -> Settings:
    """Read the layers and check them.

    Args:
        options: What the command line gave, by the settings' names; these win.
        file: The configuration file. Without one, ``DIBS_CONFIG``, then ``./dibs.toml`` if it is there.

    Raises:
        ConfigError: Settings are wrong; a line for each names it and where it came from.
    """
    given = dict(options or {})
    for variable in unknown_variables():
        log.warning("%s", variable)
    path, written = _read_file(file)

    try:
        environment = _without_unknown_limits(EnvSettingsSource(Settings)())
        return Settings(**_merged(written, environment, given))
    except ValidationError as error:
        wrong = [
            sentence
            for each in error.errors(include_url=False)
            for sentence in _explain(each, given, path, written)
        ]
        raise ConfigError("\n".join(wrong)) from None
    except SettingsError as error:
        raise ConfigError(f"the environment: {error} (JSON is expected there)") from None


def _merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """The layers in one, a later one before those before it; tables are merged by their names."""
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


def unknown_variables(environ: Mapping[str, str] | None = None) -> list[str]:
    """A sentence for each variable that looks like a setting and is none; an environment may have others."""
    told = []
    for name in sorted(os.environ if environ is None else environ):
        beginning, known = PREFIX, _VARIABLES
        if name.upper().startswith(_LIMIT):
            beginning, known = _LIMIT, {limit.upper() for limit in Limits.model_fields}
        meant = name[len(beginning) :].partition("__")[0]
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


def _explain(error: Any, options: Mapping[str, Any], path: Path, written: Mapping[str, Any]) -> list[str]:
    """A sentence for each thing that is wrong: where it came from, which setting, what is wrong with it."""
    message = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return [message]
    if error["type"] == "extra_forbidden":
        message = "there is no such setting"
    setting = [str(part) for part in error["loc"][:2]]
    origin = _origin(setting, options, path, written)
    return [f"{origin}: {line[:1].lower()}{line[1:]}" for line in message.split("\n")]


def _origin(setting: list[str], options: Mapping[str, Any], path: Path, written: Mapping[str, Any]) -> str:
    """The place where the user wrote a setting, and its name there."""
    name = setting[0]
    if name in options:
        return "option --" + ("queue" if name == "queues" else name.replace("_", "-"))
    for variable in (PREFIX + "__".join(setting).upper(), PREFIX + name.upper()):
        if variable in os.environ:
            return f"environment variable {variable}"
    place = f"config file {path}" if name in written else "settings"
    return f"{place}: {'.'.join(setting)}"
