"""The settings: frozen, checked, read once and handed on.

Lowest first: the defaults below, ``dibs.toml`` (``--config``, or the one in the current directory), the
environment (``DIBS_PORT=9000``), the command's options. Nothing here is read when a module is imported:
``load`` reads, ``Settings(...)`` on its own takes only what it is given.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from importlib import metadata
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from .access.roles import Grant
from .config_layers import PREFIX, Layers, read_layers, unknown_variables
from .config_queues import definitions
from .errors import ConfigError
from .ledger.database import Database
from .queue.definition import Definition
from .queue.limits import Limits
from .sources import SourceSpec

DEFAULT_QUEUE: Final = "default"
MEMORY: Final = ":memory:"
_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[0-9A-Za-z._-]+):([1-9][0-9]{0,4})")
_URL: Final = re.compile(r"(?i)[a-z][a-z0-9+.-]+:/|postgres(ql)?:")
log: Final = logging.getLogger("dibs.config")


class Settings(BaseSettings):
    """Everything that can be set. Sizes are in bytes, durations in seconds."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        arbitrary_types_allowed=True,  # Database
    )

    host: str = Field(default="127.0.0.1", min_length=1, description="The address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="The port to listen on; 0 finds a free one.")
    data: Path | Literal[":memory:"] | Database = Field(
        default=Path("dibs-data"),
        description="The folder of the ledger; `:memory:` keeps nothing; `postgresql://…` is a database that"
        " several servers share.",
    )
    advertise: str | None = Field(
        default=None,
        description="`host:port`, where the other servers of the same database reach this one. Default: the"
        " name of the machine, and the port.",
    )
    owner_timeout: float = Field(
        default=4.0,
        ge=1,
        le=60,
        description="How long the owner of a database may be silent before another server takes over.",
    )
    warm_copy: bool = Field(
        default=True,
        description="Whether the server that is next in line to own a database keeps a copy of what the owner"
        " has in memory, so that it need not load it.",
    )
    adopt: bool = Field(
        default=False,
        description="Serve a ledger that was made in another database cluster (restored, copied, upgraded):"
        " its original is served no more.",
    )
    recover_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=0,
        description="So many bytes of its last transactions the owner of a database keeps in memory, to write"
        " them back if the database loses them.",
    )
    inbox_notify: bool = Field(
        default=False,
        description="Let each push by SQL tell the owner of it (NOTIFY), which looks for them every 5 s then,"
        " and not 4 to 40 times a second. Commits that push wait for each other, in all of PostgreSQL.",
    )
    queues: dict[str, Definition] = Field(
        default_factory=dict,
        description="Queues with their sources, or without one if producers push. Default: one queue,"
        " `default`, which counts from 1.",
    )
    allow_anonymous: bool = Field(
        default=False,
        description="Without tokens: let whoever reaches the port do everything, other machines too.",
    )
    admin_token_file: Path | None = Field(
        default=None,
        description="A file with the token of an admin, or one a line while it is replaced: of 32 characters"
        " or more, such as `openssl rand -hex 32` gives. For a mounted secret.",
    )
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        default=(),
        description="Addresses or networks of proxies that log users in: `X-Forwarded-User` is believed from"
        " these alone.",
    )
    proxied_roles: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="The roles of a proxy's users, such as `operate` or `consume:jobs*`. Default: `read`.",
    )
    tls_cert: Path | None = Field(
        default=None,
        description="The certificate (PEM, with those above it) to serve https by; none: plain http.",
    )
    tls_key: Path | None = Field(
        default=None, description="Its private key (PEM, no passphrase); none: it is in the same file."
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
        default=True,
        description="Give the values of items to the page, and to callers that may only look (`read`).",
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
    log_level: Literal["debug", "info", "notice", "warning", "error"] = Field(
        default="notice",
        description="From which level on the server logs: at `info` there is a line for each request, at"
        " `notice` one for each action of an operator.",
    )
    log_format: Literal["auto", "json", "human"] = Field(
        default="auto", description="How lines of the log are written; `auto`: `human` on a terminal."
    )
    limits: Limits = Field(default_factory=Limits, description="See the table of limits.")

    @classmethod
    def settings_customise_sources(  # type: ignore[override]  # the others are given by name too
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, **_: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what is given and nothing else; ``load`` is what reads."""
        return (init_settings,)

    @field_validator("*", mode="before")
    @classmethod
    def _of_its_kind(cls, value: object, info: ValidationInfo) -> object:
        """Refuse an empty name of a file, which would be the current folder, and true for a number."""
        kind = cls.model_fields[str(info.field_name)].annotation
        if value == "" and kind == Path | None:
            raise ValueError("it is empty; leave it out if there is none")
        if isinstance(value, bool) and kind in {int, float}:
            raise PydanticCustomError("no_number", "true is no number")
        return value

    @field_validator("source_root")
    @classmethod
    def _folder(cls, folder: Path | None) -> Path | None:
        try:
            there = folder is None or folder.is_dir()
        except OSError as error:
            raise ValueError(f"{folder}: {error.strerror}") from None
        if not there:
            raise ValueError(f"there is no folder {folder}")
        return folder

    @field_validator("data", mode="before")
    @classmethod
    def _data(cls, data: object) -> object:
        if isinstance(data, str) and not data.strip():
            raise ValueError("it is empty")
        if not isinstance(data, str) or (database := Database.read(data)) is None:
            if isinstance(data, str) and _URL.match(data.strip()):  # a folder of that name would begin at 1
                raise ValueError(
                    "it looks like a URL, and not like one of PostgreSQL's, which begin with postgresql://;"
                    " if a folder is meant, write ./ before its name"
                )
            return data
        return database

    @field_validator("advertise")
    @classmethod
    def _advertise(cls, address: str | None) -> str | None:
        if address is not None and not _ADDRESS.fullmatch(address):
            raise ValueError("it is host:port, such as dibs-1.internal:8000; an IPv6 address in brackets")
        return address

    @field_validator("proxied_roles")
    @classmethod
    def _roles(cls, roles: tuple[str, ...]) -> tuple[str, ...]:
        for role in roles:
            Grant.read(role)
        return roles

    @field_validator("allowed_hosts", "trusted_proxies", "proxied_roles", mode="before")
    @classmethod
    def _split(cls, text: object) -> object:
        return [part.strip() for part in text.split(",") if part.strip()] if isinstance(text, str) else text

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
    def _certificate(self) -> Settings:
        """Look into the files, so that a wrong one is told before anything begins, and at a reload."""
        if self.tls_cert is not None:
            from .tls import context_of

            context_of(self.tls_cert, self.tls_key)
        elif self.tls_key is not None:
            raise ValueError("tls_key: there is no tls_cert: say where the certificate is, too")
        return self


LIVE: Final = frozenset({"queues", "allow_get", "read_only", "show_values", "old", "log_level", "limits"})
"""The settings that a reload changes while the server runs; the others need a start."""


def configured_queues(settings: Settings) -> Mapping[str, Definition]:
    """The queues of the configuration; where it has none, one that counts."""
    return settings.queues or {DEFAULT_QUEUE: Definition(SourceSpec("count"))}


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
    return settings_of(read(options, file=file))


def read(options: Mapping[str, Any] | None = None, *, file: Path | None = None) -> Layers:
    """Read the layers, as ``load`` does, and warn of variables that are no settings.

    Raises:
        ConfigError: one of them can't be read.
    """
    for variable in unknown_variables(Settings):
        log.warning("%s", variable)
    return read_layers(Settings, options, file)


def settings_of(layers: Layers) -> Settings:
    """The settings that the layers say.

    Raises:
        ConfigError: as ``load`` does.
    """
    said = layers.merged()
    try:
        return Settings(**said)
    except ValidationError as error:
        found = error.errors(include_url=False)
        if any(each["loc"] for each in found):  # so that the certificate was not looked at
            found += _of_certificate(said)
        from .config_faults import faults

        wrong = [
            f"{layers.origin(names, _queue_of(names, line))}: {line[:1].lower()}{line[1:]}" if names else line
            for names, told in faults(found, Settings)
            for line in told.split("\n")
        ]
        raise ConfigError("\n".join(wrong)) from None


def _queue_of(names: list[str], line: str) -> str:
    """The queue that a line about wrong queues begins with; empty where it is about something else."""
    name, colon, _ = line.partition(": ")
    return name.strip("'") if colon and names == ["queues"] else ""


def _of_certificate(said: Mapping[str, Any]) -> list[Any]:
    try:
        Settings(**{name: said[name] for name in ("tls_cert", "tls_key") if name in said})
    except ValidationError as error:
        return [each for each in error.errors(include_url=False) if not each["loc"]]
    return []
