"""A laboratory for the lease iterator, on a clock that jumps: nothing here sleeps or races."""

import json

import pytest


@pytest.fixture
def lab(sim):
    return sim.Sim()


def requests(lab, verb):
    return [json.loads(request.body) for request in lab.log if request.path.endswith("/" + verb)]


def closed(lab, made, grace=5.0):
    """Close it and run to the end; what is left of its tasks."""
    lab.close(made, grace)
    lab.run()
    return [task.name for task in lab.tasks if task.state != "over"]


def held(queue):
    return sum(bool(entry.token) for entry in queue.inside.values())
