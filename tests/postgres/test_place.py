"""A URL is read as libpq reads it; what of it may be secret is shown nowhere."""

import pytest

pytest.importorskip("psycopg")

from dibs.errors import ConfigError
from dibs.ledger.postgres.place import Place


@pytest.mark.parametrize(
    ("url", "plain", "schema", "shown"),
    [
        ("postgresql://h/d", "postgresql://h/d", "dibs", "postgresql://h/d"),
        ("postgres://u:p@h:1/d", "postgres://u:p@h:1/d", "dibs", "postgres://u:********@h:1/d"),
        (
            "postgresql://u@h/d?ledger=orders&sslmode=require",
            "postgresql://u@h/d?sslmode=require",
            "orders",
            "postgresql://u@h/d?ledger=orders&sslmode=require",
        ),
        (
            "postgresql://u@h/d?sslmode=require&ledger=order%5f1",
            "postgresql://u@h/d?sslmode=require",
            "order_1",
            "postgresql://u@h/d?sslmode=require&ledger=order%5f1",
        ),
        (
            "postgresql://u:s%2F%40@a:1,b:2/d?application_name=x%20y",
            "postgresql://u:s%2F%40@a:1,b:2/d?application_name=x%20y",
            "dibs",
            "postgresql://u:********@a:1,b:2/d?application_name=x%20y",
        ),
        (
            "postgresql://[::1]:5,[::2]:6/d",
            "postgresql://[::1]:5,[::2]:6/d",
            "dibs",
            "postgresql://[::1]:5,[::2]:6/d",
        ),
        ("postgresql://a,b/d?port=7", "postgresql://a,b/d?port=7", "dibs", "postgresql://a,b/d?port=7"),
        (
            "postgresql:///d?host=/run/pg&password=hush",
            "postgresql:///d?host=/run/pg&password=hush",
            "dibs",
            "postgresql:///d?host=/run/pg&password=********",
        ),
        (
            "postgresql://me%40azure:p@h/d",
            "postgresql://me%40azure:p@h/d",
            "dibs",
            "postgresql://me%40azure:********@h/d",
        ),
        (
            "postgresql://u:a?ledger=b@h/d?ledger=c",
            "postgresql://u:a?ledger=b@h/d",
            "c",
            "postgresql://u:********@h/d?ledger=c",
        ),
        ("postgresql://h?ledger=c", "postgresql://h", "c", "postgresql://h?ledger=c"),
        ("postgresql://", "postgresql://", "dibs", "postgresql://"),
    ],
)
def test_a_url_is_a_place(url, plain, schema, shown):
    assert Place.of(url) == Place(plain, schema, shown)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hush/hush@h/d",
        "postgresql://u:7/hush@h/d",
        "postgresql://u:hu@sh@h/d",
        "postgresql://u:hush?/hush@h/d",
        "postgresql://u:hu%zzsh@h/d",
        "postgresql://u:hush@h/d?hush=1",
        "postgresql://u:hush@h/d?hush",
        "postgresql://u:hush@h:hush/d",
        "postgresql+psycopg://u:hush@h/d",
        "mysql://u:hush@h/d",
        "./hush",
    ],
)
def test_what_can_not_be_read_is_told_without_a_word_of_it(url):
    with pytest.raises(ConfigError, match="data: this can't be read as the URL of a PostgreSQL") as refused:
        Place.of(url)
    assert "hu" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize(
    "name",
    ["", "1a", "A", "a-b", "a b", 'a"', "a;b", "a" * 64, "pg_dibs", "public", "information_schema", "ä"],
)
def test_a_schema_that_is_no_plain_name_of_its_own_is_refused(name):
    with pytest.raises(ConfigError, match=r"data: ledger is the name of a PostgreSQL schema"):
        Place.of(f"postgresql://h/d?ledger={name}")


@pytest.mark.parametrize("name", ["a", "_", "order", "a" * 63, "dibs_2", "pga"])
def test_a_plain_name_is_a_schema(name):
    assert Place.of(f"postgresql://h/d?ledger={name}").schema == name


def test_without_psycopg_it_is_said_how_it_is_installed(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"^data: .* needs psycopg, .* by pip install '\.\[postgres\]'$"):
        Place.of("postgresql://h/d")
