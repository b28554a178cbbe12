"""What an owner sends to who keeps a copy of its memory: each column comes back as SQLite has it."""

import pytest

pytest.importorskip("psycopg")

from dibs.ledger.postgres.arrays import array_of, values_of
from dibs.ledger.postgres.changes import Packed, packed
from dibs.ledger.postgres.shipments import Shipment, Shipments, Torn, shipment
from dibs.ledger.sqlite.recording import Changed

CHANGES = list(
    packed(
        [
            Changed("trace", [(1, 2), (3, 2**53 - 1)], [(1, 2, 9, "00-ü")]),
            Changed("action", [], [(5, 1, "a\0b ü 🎈", "", "what", "brief")]),
            Changed("counter", [(7, 8)], []),
        ]
    )
)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("int", [1, -1, 2**63 - 1, -(2**63)]),
        ("int", [None, 7, None]),
        ("text", ["", "ü", None]),
        ("utf8", ["a\0b ü 🎈", None, ""]),
        ("bytes", [b"", b"\0\xff" * 3, None]),
        ("int", []),
    ],
)
def test_a_column_comes_back(kind, values):
    assert values_of(kind, array_of(kind, values)) == values


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_shipments_come_back_from_any_pieces(size):
    data = shipment(5, 1_750_000_000_000, 1_749_999_999_999, CHANGES) + shipment(6, 2, 1, ())
    reader, found = Shipments(), []
    for at in range(0, len(data), size):
        found += reader.feed(data[at : at + size])
    assert found == [Shipment(5, 1_750_000_000_000, 1_749_999_999_999, CHANGES), Shipment(6, 2, 1, [])]


def test_what_no_owner_loads_is_not_sent():
    key = packed([Changed("item_key", [], [(1, 1, "key", 2, 3)])])
    assert shipment(5, 2, 1, key) == shipment(5, 2, 1, ())


@pytest.mark.parametrize(
    "change",
    [
        Packed("trace", 1, [b""], []),
        Packed("trace", 0, [], [b""] * 5),
        Packed("counter", 1, [b""] * 3, []),
    ],
)
def test_a_change_of_other_columns_is_refused(change):
    with pytest.raises(Torn):
        list(Shipments().feed(shipment(5, 2, 1, [change])))


def test_a_table_of_another_release_is_refused():
    data = shipment(5, 2, 1, CHANGES[:1]).replace(b"trace", b"trbce")
    with pytest.raises(Torn):
        list(Shipments().feed(data))
