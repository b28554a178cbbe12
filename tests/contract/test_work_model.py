"""Every engine against ``workmodel``, item by item: random batches, time, restarts and reopenings."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from workmodel.machine import Machine


@pytest.fixture
def machine(new_ledger):
    """A machine on one kind of engine; each of its runs has a ledger of its own."""
    return type("Machine", (Machine,), {"new_ledger": staticmethod(new_ledger)})


def run(machine, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        ),
    )


@pytest.mark.timeout(300)  # seconds as a rule; a failure is made small before it is told
def test_an_engine_works_as_the_model_does(machine):
    run(machine, 8, 10)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_engine_works_as_the_model_does_for_long(machine, request):
    # A restart on PostgreSQL is a takeover; a file does what memory does, and has restarts.
    examples = {"postgresql": 6, "sqlite-file": 30}.get(request.node.callspec.id, 40)
    run(machine, examples, 40)
