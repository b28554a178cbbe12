"""Where in its author's code a source failed."""

from __future__ import annotations

import json
import sys

import pytest
from dibs.errors import SourceChanged
from dibs.queue.places import PLACE_MOST, place_of
from dibs.queue.pull import failed

SOURCE = """
import json

def read(text):
    return json.loads(text)

def rows(text):
    yield read(text)

def {long}():
    raise KeyError("hunter2")
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of a user, in a file."""
    (tmp_path / "a_users_rows.py").write_text(SOURCE.format(long="x" * 300))
    monkeypatch.syspath_prepend(tmp_path)
    import a_users_rows

    yield a_users_rows
    sys.modules.pop("a_users_rows", None)


def raised(function, *arguments):
    with pytest.raises(Exception) as caught:  # noqa: PT011  # whatever the source raises
        list(function(*arguments))
    error = caught.value
    error.__traceback__ = error.__traceback__.tb_next  # this file is none of ours either
    return error


def test_it_is_the_deepest_line_of_the_sources_own_file_not_that_of_a_library(module):
    error = raised(module.rows, "no json")
    assert isinstance(error, json.JSONDecodeError)
    assert place_of(error) == "a_users_rows.py:5, in read"
    assert failed(error).place == "a_users_rows.py:5, in read"


def test_of_what_a_replay_made_of_it_the_cause_counts(module):
    changed = SourceChanged("it raised")
    changed.__cause__ = raised(module.rows, "no json")
    assert place_of(changed) == "a_users_rows.py:5, in read"


def test_it_is_short_and_tells_no_value(module):
    place = place_of(raised(getattr(module, "x" * 300)))
    assert place.startswith("a_users_rows.py:11, in xxx")
    assert len(place) == PLACE_MOST


def test_without_a_line_of_a_user_there_is_none():
    assert place_of(None) == place_of(ValueError("never raised")) == ""
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        raise ValueError
    caught.value.__traceback__ = None
    assert failed(caught.value).place == ""
