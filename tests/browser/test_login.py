"""Logging in to the page with a token, in a real Chromium."""

import httpx
import pytest
from playwright.sync_api import expect

ADMIN = "a-secret-of-an-admin-that-is-long-enough"


@pytest.fixture
def locked(site, tmp_path):
    """A site that asks for tokens, with queues of two teams."""
    (tmp_path / "admin").write_text(ADMIN)
    site = site("--queue", "mail", "--queue", "jobs", env={"DIBS_ADMIN_TOKEN_FILE": str(tmp_path / "admin")})
    site.admin = httpx.Client(base_url=site.url, headers={"authorization": f"Bearer {ADMIN}"})
    for name in ("mail", "jobs"):
        site.admin.post(
            f"/queues/{name}/items", json={"items": [{"value": f"for {name}"}]}
        ).raise_for_status()
    yield site
    site.admin.close()


@pytest.fixture
def visit(chromium, locked):
    """A function that opens the page with nobody logged in; the context, the page, its console's errors."""
    contexts = []

    def visit(path=""):
        context = chromium.new_context(reduced_motion="reduce")
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.errors = []
        page.on("console", lambda told: page.errors.append(told.text) if told.type == "error" else None)
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.goto(f"{locked.url}/{path}")
        return page

    yield visit
    for context in contexts:
        context.close()


def token(site, *roles, name="ann"):
    made = site.admin.post("/tokens", json={"roles": roles, "name": name}).raise_for_status().json()
    return made["id"], made["token"]


def log_in(page, secret):
    page.get_by_label("Token").fill(secret)
    page.get_by_role("button", name="Log in").click()


def live(page):
    page.locator('#stream[data-state="live"]').wait_for()


def test_a_wrong_token_and_a_right_one_a_cookie_that_no_script_reads_and_out_again(locked, visit):
    page = visit()
    page.get_by_role("heading", name="Log in").wait_for()
    assert "mail" not in page.content()
    log_in(page, "dibs_0123456789_wrong")
    page.get_by_text(
        "This server doesn’t know that token. It may be mistyped, expired or revoked."
    ).wait_for()
    assert page.locator("#token").get_attribute("type") == "password"
    page.get_by_role("button", name="Show").click()
    assert page.locator("#token").input_value() == "dibs_0123456789_wrong"
    assert page.locator("#token").get_attribute("type") == "text"
    page.get_by_role("button", name="Hide").click()
    _, consumer = token(locked, "consume", name="bob")
    log_in(page, consumer)
    page.get_by_text("may not look").wait_for()
    _, secret = token(locked, "admin")
    log_in(page, secret)
    live(page)
    page.get_by_role("link", name="mail").wait_for()
    expect(page.locator("#who")).to_have_text("ann")
    [cookie] = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["secure"], cookie["path"]) == (
        True,
        "Strict",
        False,
        "/",
    )
    assert cookie["name"] == f"dibs-{locked.server.port}"
    assert secret not in cookie["value"]
    assert page.evaluate("document.cookie") == ""
    assert secret not in page.content()
    assert {error for error in page.errors if "401" not in error and "403" not in error} == set()

    page.goto(f"{locked.url}/#/queues/mail")
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("paused by", exact=False).or_(page.get_by_role("button", name="Resume")).first.wait_for()
    actions = locked.admin.get("/queues/mail").json()
    assert actions["state"] == "paused"

    page.get_by_role("button", name="Log out").click()
    page.get_by_role("heading", name="Log in").wait_for()
    assert page.context.cookies() == []


def test_who_may_look_at_some_queues_sees_those_and_no_others(locked, visit):
    _, secret = token(locked, "read:mail")
    page = visit()
    log_in(page, secret)
    live(page)
    page.get_by_role("link", name="mail").wait_for()
    assert page.get_by_role("link", name="jobs").count() == 0
    page.goto(f"{locked.url}/#/queues/mail")
    page.get_by_text("for mail").first.wait_for()
    assert page.get_by_role("button", name="Pause").count() == 0
    page.goto(f"{locked.url}/#/queues/jobs")
    page.get_by_text("no queue", exact=False).first.wait_for()
    assert "for jobs" not in page.content()


def test_a_revoked_token_ends_the_page_that_is_open(locked, visit):
    id, secret = token(locked, "read")
    page = visit()
    log_in(page, secret)
    live(page)
    locked.admin.delete(f"/tokens/{id}").raise_for_status()
    page.get_by_role("heading", name="Log in").wait_for()
    assert page.request.get(f"{locked.url}/queues").status == 401


def test_another_sites_page_can_do_nothing_with_the_cookie(locked, visit, chromium):
    """A page of another port of this host is of the same site for cookies, and of another origin."""
    _, secret = token(locked, "admin")
    page = visit()
    log_in(page, secret)
    live(page)
    page.route(
        "http://127.0.0.1:1/", lambda route: route.fulfill(body="<h1>other</h1>", content_type="text/html")
    )
    page.goto("http://127.0.0.1:1/")
    ask = """async ([url, mode]) => {
        for (const path of ["queues/mail/pause", "queues/mail/next", "next"]) {
            const asked = { method: "POST", mode, credentials: "include" };
            await fetch(`${url}/${path}`, asked).catch(() => 0);
        }
        await fetch(`${url}/next`, { mode, credentials: "include" }).catch(() => 0);
    }"""
    page.evaluate(ask, [locked.url, "no-cors"])
    state = locked.admin.get("/queues/mail").json()
    assert (state["state"], state["waiting"], state["taken"]) == ("open", 1, 0)
    page.goto(f"{locked.url}/")
    live(page)
    page.evaluate(ask, [locked.url, "same-origin"])  # the page itself may
    assert locked.admin.get("/queues/mail").json()["state"] == "paused"


def test_the_story_of_an_item_says_who_pushed_it_and_under_which_key(locked, visit):
    _, made = token(locked, "produce:mail", name="shop")
    shop = {"authorization": f"Bearer {made}"}
    item = {"value": 1, "key": "order-<i>7</i>"}
    httpx.post(f"{locked.url}/queues/mail/items", json={"items": [item]}, headers=shop).raise_for_status()
    leased = locked.admin.post("/queues/mail/lease", json={"max": 2}).json()
    nack = {"token": leased["token"], "error": "exit 1", "dead": True}
    locked.admin.post("/queues/mail/nack", json=nack).raise_for_status()
    page = visit("#/queues/mail")
    log_in(page, ADMIN)
    told = []
    for seq in (1, 2):
        page.locator(f'.dead-card tr.row[data-key="{seq}"]').click()
        story = page.locator(f'[data-key="story-{seq}"] .story li').first
        story.wait_for()
        told.append(story.locator("span").inner_text())
    assert told == ["Pushed by admin", "Pushed by shop under the key order-<i>7</i>"]
