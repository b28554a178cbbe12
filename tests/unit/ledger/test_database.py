"""The URL of a database shows no password, wherever one may stand in it."""

from pathlib import Path

import pytest
from dibs.config import Settings
from dibs.config_table import rows, shown
from dibs.ledger.database import Database

HIDDEN = "s3cr3t"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://host/db", "postgresql://host/db"),
        ("postgres://ann@host/db", "postgres://ann@host/db"),
        ("postgresql://ann:s3cr3t@host/db", "postgresql://ann:********@host/db"),
        ("postgresql://:s3cr3t@host", "postgresql://:********@host"),
        ("postgresql://ann:s3cr3t@s3cr3t@h1:1,h2:2/db", "postgresql://ann:********@h1:1,h2:2/db"),
        ("postgresql://ann:s3c/s3cr3t:s3cr3t@host/db", "postgresql://ann:********@host/db"),
        ("postgresql://ann:s3cr3t?s3cr3t@host/db", "postgresql://ann:********@host/db"),
        ("postgresql://ann:s3cr3t#s3cr3t@host/db", "postgresql://ann:********@host/db"),
        ("postgresql://host/db?user=ann&password=s3cr3t", "postgresql://host/db?user=ann&password=********"),
        (
            "postgresql://host/db?PassWord=s3cr3t&sslpassword=s3cr3t&a=b",
            "postgresql://host/db?PassWord=********&sslpassword=********&a=b",
        ),
        ("postgresql:///db?host=/run/pg&ledger=mails", "postgresql:///db?host=/run/pg&ledger=mails"),
        ("postgresql://[::1]:5432/db", "postgresql://[::1]:5432/db"),
        ("POSTGRES://ann:s3cr3t@host/db", "POSTGRES://ann:********@host/db"),
    ],
)
def test_what_is_shown(url, told):
    database = Database.read(f" {url} ")
    assert database.url == url
    assert (str(database), repr(database)) == (told, f"Database({told!r})")
    assert HIDDEN not in f"{database} {database!r} {[database]} {Settings(data=url)!r}"


@pytest.mark.parametrize("folder", ["dibs-data", "/var/lib/dibs", "postgresql", "./postgres:"])
def test_a_folder_is_none(folder):
    assert Database.read(folder) is None
    assert Settings(data=folder).data == Path(folder)


def test_the_settings_show_no_password():
    settings = Settings(data=f"postgresql://ann:{HIDDEN}@host/db")
    table = rows(settings, lambda _: "default")
    [row] = [row for row in table if row["setting"] == "data"]
    assert row["value"] == "postgresql://ann:********@host/db"
    assert HIDDEN not in f"{table} {shown(settings)}"
