"""Fixtures: a fake server, a clock that is turned by hand, and drivers for flows."""

import importlib.util
import sys
from pathlib import Path

import pytest


def load(name):
    """A module beside this one: tests are no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fake = load("fake")
simulation = load("sim")


@pytest.fixture
def sim():
    """The module of the simulation."""
    return simulation
