"""The page as people use it: a real Chromium, a real server."""

import shutil

import httpx
import pytest

from tests.cli.conftest import Serving

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/browser" in str(item.path):
            item.add_marker(pytest.mark.slow)


class Site:
    """A server with queues, asked over HTTP."""

    def __init__(self, server):
        self.server = server
        self.url = server.url

    def ask(self, method, path, **options):
        return httpx.request(method, self.url + path, **options).raise_for_status()

    def queue(self, name, **settings):
        self.ask("PUT", f"/queues/{name}", json={"settings": {"backoff": 0, "jitter": 0, **settings}})
        return name

    def push(self, name, *values):
        self.ask("POST", f"/queues/{name}/items", json={"items": [{"value": value} for value in values]})

    def kill(self, name, count, error, worker="w1"):
        """Let items fail for the last time."""
        leased = self.ask("POST", f"/queues/{name}/lease", json={"max": count, "worker": worker}).json()
        nack = {"token": leased["token"], "error": error, "dead": True}
        self.ask("POST", f"/queues/{name}/nack", json=nack)
        return [item["seq"] for item in leased["items"]]

    def get(self, path):
        return self.ask("GET", path).json()


@pytest.fixture
def site(tmp_path):
    """A function that starts a server with these options, in a folder of its own."""
    started = []

    def site(*options, env=None):
        started.append(Serving(tmp_path, *options, env=env))
        return Site(started[-1])

    yield site
    for server in started:
        server.close()


@pytest.fixture(scope="module")
def chromium():
    """One browser for all tests; no longer, as it keeps an event loop in this thread."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine (Debian: apt-get install chromium)")
    from playwright.sync_api import Error, expect, sync_playwright

    expect.set_options(timeout=30_000)  # milliseconds, as of a page
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-dev-shm-usage"]  # both as root in a container
        try:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options, timeout=60_000)
        except Error as error:  # Ubuntu's own is a script that asks for snap
            pytest.skip(f"{CHROMIUM} does not start here: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """A function that opens a page of a site. At its end no error may stand in the console."""
    contexts, errors = [], []

    def open_page(site, path="", *, width=1280, height=900, scheme="light", allow=()):
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)  # milliseconds

        def note(message):
            if message.type == "error" and not any(each in message.text for each in allow):
                errors.append(message.text)

        page.on("console", note)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{site.url}/{path}")
        page.locator('#stream[data-state="live"]').wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []
