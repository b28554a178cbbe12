"""Asks under keys, and the answers that a ledger has filed."""

from __future__ import annotations

import pytest
from asks import LENGTH
from dibs.ledger.serve import Key

K = Key("k", "d")


@pytest.fixture
def count(ledger) -> int:
    return ledger.define().id


def ask(ledger, queue, *asks, **options):
    return ledger.round(queue, *asks, length=LENGTH, **options)


def answers(ledger) -> int:
    """How many answers are kept."""
    return len(ledger.answers())
