"""The trace of a push goes on in the job that its item becomes, and in the results of that job."""

import asyncio
import os
import subprocess
import sys
import time

import pytest
from dibs.client import AsyncClient, Client, JobSettled, Result, otel, tracing
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.cli.conftest import Serving

ONE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Serving(tmp_path_factory.mktemp("server"))
    yield running
    running.close()


@pytest.fixture
def client(server):
    with Client(server.url) as client:
        yield client


@pytest.fixture
def queue(client):
    queue = client.queue(f"jobs-{time.monotonic_ns()}")
    queue.define()
    return queue


@pytest.fixture
def exporter(monkeypatch):
    """The spans that have ended; only in this test is anything traced."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = otel.Tracer(provider)
    monkeypatch.setattr(tracing, "tracer", lambda parent=None: tracer)
    exporter.span = provider.get_tracer("test").start_as_current_span
    return exporter


@pytest.fixture
def untraced(monkeypatch):
    """As it is where OpenTelemetry is not installed."""
    monkeypatch.setattr(tracing, "tracer", lambda parent=None: None)


def spans(exporter):
    return {span.name: span for span in exporter.get_finished_spans()}


def of(span):
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def test_a_job_goes_on_with_the_trace_of_its_push(queue, exporter):
    with exporter.span("request") as request:
        queue.put("a")
        queue.push(["b", "c"])
        queue.upload(b'{"value":"d"}\n', key=f"{queue.name} d")
    queue.put("e")
    seen = []
    with queue.lease(until_empty=True, batch=2) as leases:
        for job in leases:
            with job:
                seen.append((job.value, job.traceparent, tracing.current()))
    assert [value for value, _, _ in seen] == list("abcde")
    assert [parent for _, parent, _ in seen] == [of(request)] * 4 + [None]
    jobs = [span for span in exporter.get_finished_spans() if span.name == f"dibs job {queue.name}"]
    assert [of(job) for job in jobs] == [current for _, _, current in seen]
    assert [job.parent and job.parent.span_id for job in jobs] == [request.get_span_context().span_id] * 4 + [
        None
    ]
    assert {job.kind for job in jobs} == {trace.SpanKind.CONSUMER}
    assert [job.attributes["messaging.message.id"] for job in jobs] == list("12345")
    assert jobs[0].attributes["messaging.destination.name"] == queue.name
    assert {job.status.status_code for job in jobs} == {trace.StatusCode.UNSET}
    assert tracing.current() is None


def test_what_the_worker_does_around_is_a_link(queue, exporter):
    with exporter.span("request"):
        queue.put("a")
    with exporter.span("worker") as worker:
        for job in queue.lease(until_empty=True):
            with job:
                pass
        assert tracing.current() == of(worker)
    job = spans(exporter)[f"dibs job {queue.name}"]
    assert [link.context.span_id for link in job.links] == [worker.get_span_context().span_id]
    assert job.parent.span_id == spans(exporter)["request"].get_span_context().span_id


def test_a_failure_is_in_the_span_and_the_next_attempt_is_of_the_same_trace(queue, exporter):
    queue.define(settings={"backoff": 0})
    with exporter.span("request") as request:
        queue.put("a")
    with queue.lease() as leases:
        for job in leases:
            with job:
                if job.attempt == 1:
                    raise ValueError("no luck")
                if job.attempt == 2:
                    job.nack("not yet", delay=0)
            if job.attempt == 3:
                break
    jobs = [span for span in exporter.get_finished_spans() if span.name.startswith("dibs job")]
    assert [job.attributes["dibs.attempt"] for job in jobs] == [1, 2, 3]
    assert {job.context.trace_id for job in jobs} == {request.get_span_context().trace_id}
    assert [(job.status.is_ok, job.status.description) for job in jobs] == [
        (False, "no luck"),
        (False, "not yet"),
        (True, None),
    ]
    [event] = jobs[0].events
    assert (event.name, event.attributes["exception.type"]) == ("exception", "ValueError")
    assert jobs[1].events == jobs[2].events == ()


def test_one_that_is_released_has_not_failed(queue, exporter):
    def stopped():
        with queue.lease() as leases:
            for job in leases:
                with job:
                    raise KeyboardInterrupt

    queue.put("a")
    with pytest.raises(KeyboardInterrupt):
        stopped()
    [job] = [span for span in exporter.get_finished_spans() if span.name.startswith("dibs job")]
    assert (job.status.status_code, job.events) == (trace.StatusCode.UNSET, ())


def test_results_are_of_the_trace_of_their_job_though_their_acks_go_together(client, queue, exporter):
    done = client.queue(f"{queue.name}-done")
    done.define()
    for n in range(3):
        with exporter.span(f"request {n}"):
            queue.push([n, n])
    with queue.lease(until_empty=True, batch=6) as leases:
        for job in leases:
            with job:
                job.ack(Result(done.name, job.value))
    jobs = [of(span) for span in exporter.get_finished_spans() if span.name.startswith("dibs job")]
    with done.lease(until_empty=True) as leases:
        results = [(job.value, job.traceparent, job.ack()) for job in leases]
    assert [value for value, _, _ in results] == [0, 0, 1, 1, 2, 2]
    assert [parent for _, parent, _ in results] == jobs


def test_tasks_are_traced_each_for_itself(server, queue, exporter):
    async def main():
        async with AsyncClient(server.url) as client:
            jobs = client.queue(queue.name)
            for n in range(4):
                with exporter.span(f"request {n}"):
                    await jobs.put(n)
            gate, seen = asyncio.Barrier(4), {}

            async def work(job):
                async with job:
                    await gate.wait()
                    seen[job.value] = job.traceparent, tracing.current()

            async with jobs.lease(until_empty=True, batch=4) as leases, asyncio.TaskGroup() as group:
                async for job in leases:
                    group.create_task(work(job))
            return seen

    seen = asyncio.run(main())
    ended = exporter.get_finished_spans()
    assert [seen[n][0] for n in range(4)] == [of(span) for span in ended if span.name.startswith("request")]
    assert sorted(seen[n][1] for n in range(4)) == sorted(
        of(span) for span in ended if span.name.startswith("dibs")
    )


def test_where_it_is_not_installed_the_trace_is_handed_on(client, queue, monkeypatch, untraced):
    done = client.queue(f"{queue.name}-done")
    done.define()
    with monkeypatch.context() as patch:
        patch.setattr(tracing, "current", lambda: ONE)
        queue.put("a")
    queue.put("b")
    with queue.lease(until_empty=True) as leases:
        for job in leases:
            with job:
                job.ack(Result(done.name, job.value))
                assert job.work is None
    lease = done.claim()
    assert (lease.items[0].value, lease.traceparents) == ("a", {1: ONE})
    assert (done.item(1).traceparent, done.item(2).traceparent) == (ONE, None)


def test_without_a_provider_a_trace_is_handed_on_and_what_has_none_begins_none(queue, monkeypatch):
    tracer = otel.Tracer()
    with monkeypatch.context() as patch:
        patch.setattr(tracing, "current", lambda: ONE)
        queue.put("a")
    queue.put("b")
    monkeypatch.setattr(tracing, "tracer", lambda parent=None: tracer)
    seen = []
    for job in queue.lease(until_empty=True):
        with job:
            seen.append((job.value, tracing.current(), job.work is not None))
    assert seen == [("a", ONE, True), ("b", None, False)]


IMPORTED = """
import sys
from dibs.client import Client, tracing
Client().close()
assert tracing.current() is tracing.tracer() is None
assert not [name for name in sys.modules if name.startswith("opentelemetry")], "it was imported"
"""


@pytest.mark.parametrize(
    "then",
    [
        "assert tracing.tracer('the parent of an item') is not None",
        "from opentelemetry import trace; assert tracing.tracer() is not None",
        "sys.modules['opentelemetry'] = None; assert tracing.tracer('as if it were not installed') is None",
    ],
)
def test_it_is_imported_where_something_is_traced_alone(then):
    subprocess.run([sys.executable, "-c", IMPORTED + then], check=True, timeout=60)


class Odd(Exception):
    """It can't be told as a text."""

    def __str__(self):
        raise RuntimeError("no text")


class Broken(SpanProcessor):
    """The program's own tracing, which fails at every step."""

    def on_start(self, span, parent_context=None):
        raise RuntimeError("on_start")

    def on_end(self, span):
        raise RuntimeError("on_end")


class BrokenAtTheEnd(Broken):
    on_start = SpanProcessor.on_start


@pytest.mark.parametrize(("broken", "fails"), [(Broken, "on_start"), (BrokenAtTheEnd, "on_end")])
def test_tracing_that_fails_loses_no_work(queue, monkeypatch, broken, fails, caplog):
    provider = TracerProvider()
    provider.add_span_processor(broken())
    tracer = otel.Tracer(provider)
    monkeypatch.setattr(tracing, "tracer", lambda parent=None: tracer)
    queue.define(settings={"max_attempts": 1})
    queue.push(["done", "nacked", "raised"])
    with queue.lease(until_empty=True) as leases:
        for job in leases:
            with job:
                if job.value == "nacked":
                    job.nack("no")
                if job.value == "raised":
                    raise ValueError
    assert [(job.seq, job.state) for job in queue.items()] == [(2, "dead"), (3, "dead")]
    assert f"RuntimeError: {fails}" in caplog.text
    assert tracing.current() is None


def test_an_exception_without_a_text_fails_its_job_and_its_span(queue, exporter):
    queue.define(settings={"max_attempts": 1})
    queue.push(["nacked", "raised"])
    with queue.lease(until_empty=True) as leases:
        for job in leases:
            with job:
                if job.value == "raised":
                    raise Odd
                job.nack(Odd())
    assert [job.state for job in queue.items()] == ["dead", "dead"]
    jobs = [span for span in exporter.get_finished_spans() if span.name.startswith("dibs job")]
    assert [(job.status.is_ok, job.status.description) for job in jobs] == [(False, "Odd")] * 2


def test_a_nack_that_comes_too_late_marks_no_failure(queue, exporter):
    queue.put("a")
    with queue.lease(until_empty=True) as leases:
        for job in leases:
            with job:
                job.ack()
                with pytest.raises(JobSettled):
                    job.nack("too late")
    [job] = [span for span in exporter.get_finished_spans() if span.name.startswith("dibs job")]
    assert job.status.status_code is trace.StatusCode.UNSET


def test_a_provider_that_is_not_there_stops_no_push(server):
    """The API loads what the environment names, when a tracer is asked for."""
    program = f"""
from opentelemetry import trace
from dibs.client import Client
with Client({server.url!r}) as client:
    queue = client.queue("no-provider")
    queue.define()
    queue.put("a")
    for job in queue.lease(until_empty=True):
        with job:
            pass
    print(list(queue.items()))
"""
    environment = {**os.environ, "OTEL_PYTHON_TRACER_PROVIDER": "no such provider"}
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, env=environment, check=True, timeout=60, capture_output=True, text=True)
    assert ran.stdout == "[]\n"


def test_the_results_of_a_map_are_given_out_in_no_span(client, queue, exporter):
    """It would be current in the loop, and what was current around it again when that has ended."""
    queue.push([1, 2, 3])
    pairs = client.map(str, queue.name, workers=1, until_empty=True)
    with exporter.span("first"):
        seen = [next(pairs)]
    for pair in pairs:
        assert tracing.current() is None
        seen.append(pair)
    assert seen == [(1, "1"), (2, "2"), (3, "3")]
    assert tracing.current() is None
    assert spans(exporter).keys() == {"first", f"dibs job {queue.name}"}


def test_the_results_of_a_map_of_tasks_are_given_out_in_no_span(server, queue, exporter):
    async def main():
        async with AsyncClient(server.url) as client:
            pairs = client.map(str, queue.name, workers=1, until_empty=True)
            seen = [(await anext(pairs), tracing.current())]
            seen += [(pair, tracing.current()) async for pair in pairs]
            return seen

    queue.push([1, 2])
    assert asyncio.run(main()) == [((1, "1"), None), ((2, "2"), None)]
    assert spans(exporter).keys() == {f"dibs job {queue.name}"}
