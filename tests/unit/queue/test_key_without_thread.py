"""A key whose request could not even begin is free again: its retry is not kept waiting for nothing."""

import threading

import pytest
from dibs.errors import SourceBusy


async def test_a_key_is_let_go_when_no_thread_can_be_had(opened, monkeypatch):
    async with opened({"q": 'count(format="{}")'}) as house:
        monkeypatch.setattr(house["q"]._pool, "threads", 0)
        monkeypatch.setattr(house["q"]._pool, "_idle", 0)
        start = threading.Thread.start
        monkeypatch.setattr(threading.Thread, "start", _none)
        with pytest.raises(SourceBusy):
            await house["q"].take(1, key="k")
        monkeypatch.setattr(threading.Thread, "start", start)
        assert (await house["q"].take(1, key="k")).first == 1


def _none(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")
