import inspect
import re

import pytest
from dibs import errors
from dibs.proof.errors import ProofError

TREE = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.DibsError) and kind.__module__ == errors.__name__
]
ELSEWHERE = [ProofError]  # has a drawing of its own


def drawn():
    """Name and depth of every line of the drawing in the module's docstring."""
    lines = re.findall(r"^    ([│ ├└─]*)([A-Z]\w+)", errors.__doc__, re.MULTILINE)
    return [(name, len(branch) // 4) for branch, name in lines]


def test_the_drawing_shows_every_error_once():
    assert sorted(name for name, _ in drawn()) == sorted(kind.__name__ for kind in TREE + ELSEWHERE)


def test_the_drawing_shows_who_descends_from_whom():
    kinds = {kind.__name__: kind for kind in TREE + ELSEWHERE}
    parents: list[str] = []
    for name, depth in drawn():
        parents[depth:] = [name]
        if depth:
            assert parents[depth - 1] in [kind.__name__ for kind in kinds[name].__bases__]


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_every_error_says_what_it_means(kind):
    assert kind.__doc__
    assert kind.__doc__ != kind.__base__.__doc__


def test_a_refusal_carries_field_limit_and_when_to_ask_again():
    refused = errors.LimitExceeded("too many", field="count", limit=10, retry_after=1.5)
    assert (str(refused), refused.field, refused.limit, refused.retry_after) == ("too many", "count", 10, 1.5)
