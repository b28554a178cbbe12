"""Whatever the OpenAPI document allows is answered as it says, and what it forbids is refused; never a 5xx.

Against a real server, over a socket. The examples are the same in every run, so that a failure comes again.
"""

import uuid

import httpx
import pytest
import schemathesis
from dibs.config import Settings
from dibs.main import create_app
from dibs.proof.server import ServerProcess
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

SEED = 20260131
EXAMPLES = 10
MEANT = ["2xx", "401", "403", "404", "409", "410"]  # 410: another example closed the queue
UNWRITTEN = {"tokens", "items", "settle", "ack", "nack", "extend", "release", "redrive", "purge"}
"""What these take no schema says (that numbers in values are exact, ranges go upwards, no seq is named
twice, a purge names its queue, the first token is an admin's), nor which arguments a source does, and
whether they fit together."""
WORK = UNWRITTEN - {"tokens"} | {"lease", "{seq}", "stats", "audit"}
OPERATIONS = [
    (method, path)
    for path, methods in create_app(Settings(data=":memory:")).openapi()["paths"].items()
    for method in methods
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("schemathesis")
    # a paused queue, or an empty one, would be waited for
    queues = 'allow_get = "all"\n[queues]\ndefault = "count"\njobs = ""\n'
    (folder / "dibs.toml").write_text(f"{queues}[limits]\nwait = 0.01\n")
    with ServerProcess(folder) as running:
        running.start()
        running.wait_ready(60)
        yield running.url


@pytest.fixture(scope="module")
def document(server):
    config = schemathesis.Config.from_dict(
        {"seed": SEED, "checks": {"positive_data_acceptance": {"expected-statuses": MEANT}}}
    )
    return schemathesis.openapi.from_url(f"{server}/openapi.json", config=config)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_the_document_is_true(document, method, path, mode):
    operation = document[path][method.upper()]
    parts = (operation.query, operation.headers, operation.body, operation.path_parameters)
    if mode.is_negative and not any(parts):
        return  # there is nothing that could be wrong

    unwritten = method == "put" or path.rpartition("/")[2] in UNWRITTEN

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode))
    def conforms(case):
        if mode.is_positive and path.rpartition("/")[2] in WORK:
            case.path_parameters["queue"] = "jobs"  # there are no others, but for what PUT made
        if mode.is_positive and case.headers:
            case.headers["Idempotency-Key"] = str(uuid.uuid4())  # of an own one any number is right
        case.call_and_validate(excluded_checks=[positive_data_acceptance] if unwritten else [])

    conforms()


def test_and_the_books_balance_after_all_that(server):
    for queue in httpx.get(f"{server}/queues?limit=1000").json()["queues"]:
        assert httpx.get(f"{server}/queues/{queue['queue']}/audit").json()["balanced"]
