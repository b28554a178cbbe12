"""The shapes of answers about the settings, as the OpenAPI document shows them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from .schemas import example


class SettingInForce(BaseModel):
    """A setting, by its name (``limits.count``, ``queues.ids``), and where its value comes from."""

    setting: str
    value: Any
    origin: str
    live: bool


class SettingsInForce(BaseModel):
    """All settings in force."""

    model_config = example(
        settings=[{"setting": "port", "value": 9000, "origin": "option --port", "live": False}]
    )

    settings: list[SettingInForce]


class SettingChanged(BaseModel):
    """A setting that a reload has changed, by its name, such as ``limits.count``."""

    setting: str
    was: Any
    is_: Any = Field(alias="is")


class QueuesChanged(BaseModel):
    """The queues that a reload has created or changed, and those that only the ledger has, which go on.

    ``unread``: the code of their functions was changed in its file, and counts from the next start on.
    """

    created: list[str]
    changed: list[str]
    gone: list[str]
    unread: list[str]


class Reloaded(BaseModel):
    """What a reload has changed. ``kept``: settings that were changed, too, and stay until the next start."""

    model_config = example(
        changed=[{"setting": "limits.count", "was": 10000, "is": 500}],
        kept=["port"],
        queues={"created": ["ids"], "changed": ["jobs"], "gone": [], "unread": []},
    )

    changed: list[SettingChanged]
    kept: list[str]
    queues: QueuesChanged
