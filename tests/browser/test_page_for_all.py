"""The page is for all: contrast and names, phones, keyboards, and no other host."""

from pathlib import Path

import httpx
import pytest


def row(page, name):
    return page.locator(f'tr.row[data-queue="{name}"]')


FAILING = """
def experiments(resume_at=1):
    yield from range(resume_at, 4)
    raise ValueError("learning rate must be above 0")
"""
VIEWS = {  # and what each has as soon as it has data; the proof has nothing before somebody takes
    "": "tr.row",
    "#/queues/jobs": ".dead-card tr.row",
    "#/proof/ids": None,
    "#/actions": ".acts-list li",
}


def opened(page, first):
    """Wait for the first data of a view."""
    if first is None:
        page.wait_for_timeout(1200)
    else:
        page.locator(first).first.wait_for()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("dark", 390)])
def test_axe_finds_nothing(site, open_page, scheme, width):
    from axe_playwright_python.sync_playwright import Axe

    here = site("--queue", "ids=count")
    here.queue("jobs", history=3600)
    here.push("jobs", *range(9))
    here.kill("jobs", 2, "exit 1")
    here.ask("POST", "/queues/jobs/next")
    here.ask("POST", "/queues/jobs/lease", json={"max": 2, "worker": "w1"})
    here.ask("POST", "/queues/ids/next?count=30")
    for view, first in VIEWS.items():
        page = open_page(here, view, scheme=scheme, width=width)
        opened(page, first)
        if "jobs" in view:
            page.locator(".history tbody tr").first.wait_for()
            page.locator(".dead-card tr.row").first.click()
            page.locator(".story").wait_for()
        if "proof" in view:
            here.ask("POST", "/queues/ids/next?count=30")
            page.locator(".strip").wait_for()
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("width", [320, 390])
def test_nothing_scrolls_sideways_on_a_phone(site, open_page, width):
    here = site("--queue", "a-rather-long-name.of-a-queue.that-goes-on-and-on-and-on=count")
    here.queue("jobs")
    here.push("jobs", *range(9))
    here.kill("jobs", 2, "e" * 300)
    for view, first in VIEWS.items():
        page = open_page(here, view, width=width, height=800)
        opened(page, first)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view


def test_the_page_asks_no_other_host_and_its_policy_holds(site, open_page):
    here = site("--queue", "ids=count")
    asked = []
    page = open_page(here)
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    row(page, "ids").wait_for()
    assert asked
    assert all(url.startswith(here.url) for url in asked)
    policy = httpx.get(f"{here.url}/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    static = Path(__file__).parents[2] / "app" / "dashboard" / "static"
    for path in static.iterdir():
        assert "http://" not in path.read_text().replace("http://www.w3.org", "")
        assert " style=" not in path.read_text()


def test_what_has_focus_keeps_it_while_the_page_is_live(site, open_page, tmp_path):
    (tmp_path / "failing.py").write_text(FAILING)
    here = site("--queue", "sweep=failing:experiments")
    assert here.ask("POST", "/queues/sweep/next?count=3").status_code == 200
    assert httpx.post(f"{here.url}/queues/sweep/next").status_code == 409
    here.queue("jobs")
    here.push("jobs", *range(9))
    here.kill("jobs", 2, "exit 1")
    for number in range(101):
        here.ask("PUT", f"/queues/ids-{number}", json={"source": "count"})
    follow = "node => { node.focus(); window.kept = node; window.shown = document.body.innerText; }"
    moved = "() => document.body.innerText !== window.shown"
    held = "() => [document.activeElement === window.kept, window.shown = document.body.innerText]"

    def stays(place):
        place.evaluate(follow)
        for _ in range(2):
            page.wait_for_function(moved)
            kept, shown = page.evaluate(held)
            assert kept, (place, shown)

    page = open_page(here)
    page.locator("h1 a", has_text="sweep").wait_for()
    for place in (page.locator("h1 a"), page.locator(".findings a"), page.locator(".pager button").last):
        stays(place)
    page.locator(".pager button").last.click()
    page.locator("tr.row").nth(2).wait_for()
    page.wait_for_function("() => document.querySelectorAll('tr.row').length < 100")
    page.goto(f"{here.url}/#/queues/jobs")
    page.locator(".dead-card tr.row").first.wait_for()
    for place in (page.locator(".dead-card .chip"), page.locator(".segments button").nth(1)):
        stays(place)
    page.locator(".segments button").nth(1).click()
    page.locator('.segments button[aria-pressed="true"]', has_text="1 h").wait_for()
    stays(page.locator(".segments button").nth(1))
    line = page.locator(".dead-card tr.row").first
    line.focus()
    page.keyboard.press("Enter")
    page.locator(".story button").first.focus()
    page.keyboard.press("Escape")
    page.locator(".story").wait_for(state="detached")
    assert line.evaluate("node => document.activeElement === node")
