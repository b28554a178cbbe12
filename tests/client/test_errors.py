"""The tree of errors: drawn as it is, and every problem of the server has its leaf."""

import dibs.client
import pytest
from dibs.client import errors
from dibs.errors import DibsError


def test_every_error_is_in_the_drawing():
    drawn = {line.split("── ")[1].split()[0] for line in errors.__doc__.splitlines() if "── " in line}
    defined = {
        name
        for name, one in vars(errors).items()
        if isinstance(one, type) and issubclass(one, DibsError) and one is not DibsError
    }
    assert drawn == defined
    assert defined - {"ClientError"} <= set(dibs.client.__all__) | {"ClientError"}


def test_every_problem_of_the_server_has_an_error_that_fits():
    from dibs.api.problem_table import PROBLEMS

    for row in PROBLEMS:
        problem = errors.Problem(row.name, row.status, "x", row.handed_out, row.retryable)
        kind = type(errors.refusal(problem))
        if row.status in {401, 403, 404, 409, 410, 413, 422, 429, 503, 507} and row.name != "not-found":
            assert kind is not errors.ServerRefused, row.name
        if row.status in {503, 507}:
            assert kind is errors.Unavailable


@pytest.mark.parametrize("name", sorted(errors.BY_NAME))
def test_names_are_those_of_the_server(name):
    from dibs.api.problems import BY_NAME

    assert name in BY_NAME


def test_a_failed_source_without_its_cause():
    failed = errors.SourceFailed(errors.Problem("source-failed", 409, "x"))
    assert (failed.cause_type, failed.cause_message, failed.seq) == ("", "", None)
