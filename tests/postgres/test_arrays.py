"""Columns of values, as PostgreSQL's arrays: psycopg reads what we write."""

import pytest

psycopg = pytest.importorskip("psycopg")

from dibs.ledger.postgres.arrays import array_of
from psycopg.adapt import Transformer
from psycopg.postgres import types
from psycopg.pq import Format

ARRAYS = {"int": "int8", "text": "text", "utf8": "bytea", "bytes": "bytea"}
VALUES = {
    "int": [0, -1, 2**63 - 1, -(2**63)],
    "text": ["", "a", "é" * 300],
    "utf8": ["", "\0", "é\0" * 300],
    "bytes": [b"", b"\0", b"\xff" * 300],
}


def read(kind, array):
    loader = Transformer().get_loader(types[ARRAYS[kind]].array_oid, Format.BINARY)
    found = loader.load(array)
    return [value.decode() if kind == "utf8" and value is not None else value for value in found]


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 600])
def test_a_column_is_read_as_it_was(kind, size):
    """All alike, none alike, with nulls and of nulls alone."""
    several = (VALUES[kind] * size)[:size]
    nulls = [None if at % 3 == 1 else value for at, value in enumerate(several)]
    for values in (several, several[:1] * size, nulls, [None] * size):
        assert read(kind, array_of(kind, tuple(values))) == values
