"""What the first screen says of several servers."""

import re

import pytest

pytest.importorskip("psycopg")


def test_it_says_who_owns_and_what_a_server_can_t(site, open_page, database):
    here = site("--data", database.url)
    page = open_page(here)
    line = page.get_by_label("Servers").locator("p.note")
    host = here.url.removeprefix("http://")
    told = rf"Owner {host} · term 1, for .* · position [\d,]+, .* ago · 1 server · 0 rows in the inbox"
    line.filter(has_text=re.compile(rf"^{told}$")).wait_for()
    database.do(
        "INSERT INTO dibs.server (id, address, version, note, seen) VALUES"
        " (gen_random_uuid(), 'http://b:1', '0.0', 'no module <b>jobs</b>',"
        " clock_timestamp() + interval '1 hour')"
    )
    page.get_by_text("b:1: no module <b>jobs</b>").wait_for()
    line.filter(has_text=re.compile(r"· 2 servers of versions 0\.0, ")).wait_for()


def test_a_ledger_in_a_folder_says_nothing_of_servers(site, open_page):
    page = open_page(site())
    page.get_by_role("heading", name="The queue is well.").wait_for()
    assert page.get_by_label("Servers").is_hidden()
