"""Fixtures: a fake server, a clock that is turned by hand, and drivers for flows."""

import asyncio
import importlib.util
import inspect
import sys
from pathlib import Path

import pytest
from dibs.client import AsyncClient, Client
from dibs.client.flow import Tempo


def load(name):
    """A module beside this one: tests are no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fake = load("fake")
simulation = load("sim")
wires = load("wires")
numbering = pytest.fixture(load("numbering").numbering)


@pytest.fixture
def sim():
    """The module of the simulation."""
    return simulation


@pytest.fixture
def refuse():
    """What a fault may answer."""
    return fake.Refuse


@pytest.fixture
def wire():
    """A transport to a fake server in real time; ``wire.server`` is that."""
    return wires.make()[1]


QUICK = Tempo(chance=lambda: 0.01)


class Threads:
    """One way of using a client; the other is ``Tasks``. ``ask(function)`` gives what the function gives."""

    def __init__(self, wire):
        self.wire = wire

    def ask(self, function, **how):
        with Client("http://dibs", transport=self.wire, **{"tempo": QUICK, **how}) as client:
            given = function(client)
            return list(given) if inspect.isgenerator(given) else given

    def work(self, queue, work, *, jobs=None, options=None, **how):
        """A worker's loop; what it gave to ``work``, and the iterator."""
        options = {"wait": 0.5, **(options or {})}
        with (
            Client("http://dibs", transport=self.wire, **{"tempo": QUICK, **how}) as client,
            client.queue(queue).lease(**options) as leases,
        ):
            seen = []
            for job in leases:
                with job:
                    seen.append(job)
                    work(job)
                if len(seen) == jobs:
                    break
        return seen, leases


class Tasks(Threads):
    def ask(self, function, **how):
        async def main():
            async with AsyncClient("http://dibs", transport=self.wire, **{"tempo": QUICK, **how}) as client:
                given = function(client)
                if inspect.isasyncgen(given):
                    return [one async for one in given]
                return await given if inspect.isawaitable(given) else given

        return asyncio.run(main())

    def work(self, queue, work, *, jobs=None, options=None, **how):
        options = {"wait": 0.5, **(options or {})}

        async def main():
            async with (
                AsyncClient("http://dibs", transport=self.wire, **{"tempo": QUICK, **how}) as client,
                client.queue(queue).lease(**options) as leases,
            ):
                seen = []
                async for job in leases:
                    with job:
                        seen.append(job)
                        work(job)
                    if len(seen) == jobs:
                        break
            return seen, leases

        return asyncio.run(main())


@pytest.fixture(params=[Threads, Tasks], ids=["threads", "asyncio"])
def both(request, wire):
    """The same test for ``Client`` and ``AsyncClient``."""
    return request.param(wire)
