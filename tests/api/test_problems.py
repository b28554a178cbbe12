import inspect
import logging
import re

import pytest
from dibs import errors
from dibs.api.problem_table import PROBLEMS
from dibs.api.problems import BY_ERROR, RequestRefused, problem_of, reply_to

ROOT = errors.DibsError


@pytest.fixture(scope="module")
def house(open_house):
    """One for all: what is told of an error changes nothing."""
    with open_house() as house:
        yield house


def leaves(kind=ROOT):
    below = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    return [leaf for child in below for leaf in leaves(child)] if below else [kind]


def sample(kind):
    """An instance of any error of the tree."""
    needed = inspect.signature(kind.__init__).parameters.values()
    extra = {p.name: 1 for p in needed if p.kind is p.KEYWORD_ONLY and p.default is p.empty}
    return kind("why", **{name: value if name == "seq" else str(value) for name, value in extra.items()})


@pytest.mark.parametrize("kind", leaves(), ids=lambda kind: kind.__name__)
def test_every_leaf_of_the_tree_is_mapped(kind):
    shared = {k for k in leaves() if issubclass(k, errors.IteratorError)}
    assert problem_of(sample(kind)) is BY_ERROR[errors.IteratorError if kind in shared else kind]


def test_every_refusal_has_a_name_of_its_own():
    refusals = [BY_ERROR[kind] for kind in leaves() if issubclass(kind, errors.Refused)]
    assert len(set(refusals)) == len(refusals)
    assert {problem.name for problem in refusals if problem.handed_out == "maybe"} == {"key-superseded"}


def test_names_are_unique_and_explained():
    assert len({problem.name for problem in PROBLEMS}) == len(PROBLEMS)
    assert len({problem.title for problem in PROBLEMS}) == len(PROBLEMS)
    for problem in PROBLEMS:
        assert problem.name.replace("-", "").isalpha()
        assert problem.meaning.endswith(".")


def test_where_asking_again_helps_it_is_a_server_error_or_a_matter_of_time():
    for problem in PROBLEMS:
        helps = problem.status in {408, 429} or (problem.status >= 500 and problem.name != "not-implemented")
        assert helps == problem.retryable
        assert (problem.retry_after is not None) == (problem.status in {408, 429, 503, 507})


def test_every_problem_stands_in_the_openapi_document(ask):
    document = ask("GET", "/openapi.json").text
    missing = {problem.name for problem in PROBLEMS if f'"urn:dibs:problem:{problem.name}"' not in document}
    assert missing == {"not-found"}  # no operation: there is nothing at that path


def body(error):
    import json

    reply = reply_to(error)
    reply.name(b"an-id")
    return json.loads(reply.body), dict(reply.raw_headers)


def test_retry_after_is_whole_seconds_and_at_least_one():
    for asked, said in ((None, 1), (0.0, 1), (0.2, 1), (1.0, 1), (2.1, 3)):
        problem, headers = body(errors.QueuePaused("why", retry_after=asked))
        assert (problem["retry_after"], headers[b"retry-after"]) == (said, str(said).encode())


def test_a_conflict_says_its_reason_where_it_has_a_name():
    assert body(errors.QueueConflict("why", reason="source-changed"))[0]["type"].endswith(":source-changed")
    assert body(errors.QueueConflict("why", reason="something-else"))[0]["type"].endswith(":conflict")


def test_a_cause_is_shown_but_not_without_end():
    error = errors.QueueFailed("why", cause_type="E", cause_message="x" * 100_000, seq=3)
    problem, _ = body(error)
    assert (problem["cause"]["type"], problem["seq"]) == ("E", 3)
    assert len(problem["cause"]["message"]) == 4096


def test_field_and_limit():
    problem, _ = body(errors.LimitExceeded("why", field="count", limit=10))
    assert (problem["field"], problem["limit"], problem["handed_out"]) == ("count", 10, "no")


def test_text_that_is_not_unicode_does_not_break_the_answer():
    assert body(RequestRefused("invalid", "\udc80", field="\ud800"))[0]["detail"] == "\udc80"


def test_an_unknown_outcome_says_maybe():
    problem, headers = body(errors.OutcomeUnknown("why"))
    assert (problem["handed_out"], problem["retryable"]) == ("maybe", True)
    assert headers[b"retry-after"] == b"1"


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (errors.SourceBusy("why", retry_after=2.5), 503, "source-busy"),
        (errors.QueueStarting("why"), 503, "starting"),
        (errors.Stopping("why"), 503, "stopping"),
        (errors.LedgerFull("why"), 507, "ledger-full"),
        (errors.LedgerUnavailable("why"), 503, "ledger-unavailable"),
        (errors.OutcomeUnknown("why"), 503, "outcome-unknown"),
    ],
)
def test_what_a_queue_raises_reaches_the_client(house, monkeypatch, error, status, name):
    queue = house.queues.get("default")
    monkeypatch.setattr(queue, "ask", lambda ask, wait, caller: caller.refused(error))
    monkeypatch.setattr(queue, "asked", raising(error))
    answer = house.ask("POST", "/next")
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:dibs:problem:{name}")
    assert answer.json()["detail"] == "why"
    assert int(answer.headers["retry-after"]) >= 1


def test_a_fault_of_ours_in_the_ledger_is_500_and_handed_out_nothing(house, monkeypatch):
    queue, error = house.queues.get("default"), errors.LedgerFault("a statement")
    monkeypatch.setattr(queue, "ask", lambda ask, wait, caller: caller.refused(error))
    monkeypatch.setattr(queue, "asked", raising(error))
    answer = house.ask("POST", "/next").json()
    assert (answer["type"], answer["status"]) == ("urn:dibs:problem:internal", 500)
    assert (answer["handed_out"], "statement" in answer["detail"]) == ("no", False)


def raising(error):
    async def asked(ask, wait=0.0):
        raise error

    return asked


class TestUnforeseen:
    @pytest.fixture
    def broken(self, house, monkeypatch):
        queue, error = house.queues.get("default"), ZeroDivisionError("a secret of the server")

        def ask(ask, wait, caller):
            raise error

        monkeypatch.setattr(queue, "ask", ask)
        monkeypatch.setattr(queue, "asked", raising(error))
        return house

    def test_it_is_a_problem_without_a_traceback(self, broken, caplog):
        answer = broken.ask("POST", "/next")
        assert (answer.status_code, answer.json()["type"]) == (500, "urn:dibs:problem:internal")
        assert answer.json()["handed_out"] == "maybe"
        assert "secret" not in answer.text
        assert answer.headers["cache-control"] == "no-store"

    def test_it_is_logged_with_one(self, broken, caplog):
        with caplog.at_level(logging.ERROR):
            broken.ask("POST", "/next")
        assert "ZeroDivisionError: a secret of the server" in caplog.text
        assert re.search(r"POST '?/next'?, request [0-9a-f]{8}-[0-9a-f]+\n", caplog.text)


def test_before_the_ledger_is_open_it_is_not_ready(make):
    house = make()
    opened, house.app.state.context.opened = house.app.state.context.opened, None
    try:
        answers = [house.ask(*request) for request in (("POST", "/next"), ("GET", "/readyz"))]
    finally:
        house.app.state.context.opened = opened
    assert [answer.json()["type"] for answer in answers] == ["urn:dibs:problem:not-ready"] * 2


@pytest.mark.parametrize(
    "path", ["/nope", "/next/", "/queues/", "/queues/a/b/c", "/queues/a/nope", "/page/static/nope.js"]
)
def test_unknown_paths(refused, path):
    refused("GET", path, 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/next", "GET, POST"),
        ("OPTIONS", "/next", "GET, POST"),
        ("TRACE", "/next", "GET, POST"),
        pytest.param("BREW", "/next", "GET, POST", marks=pytest.mark.framework),
        ("POST", "/queues", "GET"),
        ("PATCH", "/queues/a", "DELETE, GET, PUT"),
        ("GET", "/queues/a/pause", "POST"),
        ("GET", "/queues/a/block", "POST"),
        ("GET", "/queues/a/lease", "POST"),
        ("GET", "/queues/a/settle", "POST"),
        ("PUT", "/queues/a/ack", "POST"),
        ("DELETE", "/queues/a/items", "GET, POST"),
        ("POST", "/queues/a/items/1", "GET"),
        ("DELETE", "/queues/a/items/1", "GET"),
        ("GET", "/queues/a/purge", "POST"),
        ("POST", "/stats", "GET"),
        ("POST", "/docs", "GET, HEAD"),
    ],
)
def test_other_methods(refused, method, path, allow):
    assert refused(method, path, 405, "method-not-allowed").headers["allow"] == allow


class TestAccept:
    @pytest.mark.parametrize(
        ("accept", "kind"),
        [
            ("*/*", "application/json"),
            ("application/*", "application/json"),
            ("application/json, text/plain", "application/json"),
            ("text/plain, application/json;q=0.5", "text/plain; charset=utf-8"),
            ("text/*", "text/plain; charset=utf-8"),
            ("text/html, */*;q=0.1", "application/json"),
            ("text/plain;q=0, */*", "application/json"),
            ("application/json;q=0, */*", "text/plain; charset=utf-8"),
            ("APPLICATION/JSON", "application/json"),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/json"),
        ],
    )
    def test_what_is_asked_for(self, ask, accept, kind):
        assert ask("POST", "/next", headers={"Accept": accept}).headers["content-type"] == kind

    @pytest.mark.parametrize(
        "accept", ["text/html", "image/*", "*/*;q=0", "application/json;q=0", "nonsense"]
    )
    def test_what_cannot_be_made(self, refused, accept):
        refused("POST", "/next", 406, "not-acceptable", headers={"Accept": accept})

    def test_only_hand_outs_are_text(self, refused):
        refused("GET", "/stats", 406, "not-acceptable", headers={"Accept": "text/plain"})

    def test_several_lines_are_one_list(self, house):
        headers = [("Accept", "text/html"), ("Accept", "text/plain")]
        assert house.ask("POST", "/next", headers=headers).text == f"{house.cursor()}\n"
