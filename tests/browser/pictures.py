"""Take pictures of the page: the two of the README, or with --all of each view, size and theme.

    python tests/browser/pictures.py [--all FOLDER] [--seconds 150]

A server in a folder of its own gets queues in all states, producers and workers; then each view is looked at.
Do it on a quiet machine: the pictures show how long commits take. The README's are cut to 256 colours where
Pillow is installed.
"""

import argparse
import contextlib
import random
import tempfile
import threading
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
MODULE = """
def sweep(resume_at=1):
    yield from range(resume_at, 413)
    raise ValueError("learning rate must be above 0, got -0.0031")
"""
SOURCES = {
    "sweep": "experiments:sweep",
    "ids": "count",
    "invoices": "count(format='INV-{:06d}')",
    "grid": "range(stop=24)",
}
ERRORS = (
    "HTTPStatusError: 503 Service Unavailable for POST https://hooks.example.com/in",
    "TimeoutError: no answer in 10 s",
    "HTTPStatusError: 410 Gone",
)
VIEWS = {
    "overview": "",
    "queue": "#/queues/webhooks",
    "failed": "#/queues/sweep",
    "numbers": "#/queues/ids",
    "proof": "#/proof/ids",
    "actions": "#/actions",
}
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


class Load:
    """Producers and workers of one server, in threads, until they are told to stop."""

    def __init__(self, url):
        self._url = url
        self.done = threading.Event()
        self._threads = []

    def start(self, work, *args):
        thread = threading.Thread(target=self._run, args=(work, random.Random(len(self._threads)), *args))
        self._threads.append(thread)
        thread.start()

    def stop(self):
        self.done.set()
        for thread in self._threads:
            thread.join()

    def _run(self, work, dice, *args):
        with httpx.Client(base_url=self._url, timeout=30) as client:
            while not self.done.is_set():
                work(self, client, dice, *args)

    def produce(self, client, dice, queue, most, pause):
        values = [
            {"event": dice.choice(["order.paid", "cart.left"]), "order": dice.randrange(99_999)}
            for _ in range(dice.randint(1, most))
        ]
        client.post(f"/queues/{queue}/items", json={"items": [{"value": value} for value in values]})
        self.done.wait(dice.uniform(0.5, 1.5) * pause)

    def work(self, client, dice, queue, name, size, pause):
        body = {"max": size, "worker": name, "ttl": 30}
        found = client.post(f"/queues/{queue}/lease", json=body)
        items = found.json().get("items", []) if found.status_code == 200 else []
        self.done.wait(dice.uniform(0.5, 1.5) * pause)
        if items:
            token, bad = (
                found.json()["token"],
                [item["seq"] for item in items if queue == "webhooks" and dice.random() < 0.012],
            )
            if bad:
                error = dice.choices(ERRORS, (8, 2, 1))[0]
                client.post(
                    f"/queues/{queue}/nack",
                    json={"token": token, "seqs": [[seq, seq] for seq in bad], "error": error, "dead": True},
                )
            client.post(f"/queues/{queue}/ack", json={"token": token})

    def take(self, client, dice, queue, count, pause):
        client.post(
            f"/queues/{queue}/next", params={"count": count}, headers={"X-Worker": f"w{dice.randrange(9)}"}
        )
        self.done.wait(dice.uniform(0.2, 1.8) * pause)


def furnish(client):
    """Queues, and what waits in them."""
    for name in ("webhooks", "thumbnails", "mailing"):
        settings = {"max_attempts": 3, "backoff": 1, "history": 3600 if name == "webhooks" else 0}
        client.put(f"/queues/{name}", json={"settings": settings}).raise_for_status()
    items = [{"value": f"letter {n}"} for n in range(1_840)]
    client.post("/queues/mailing/items", json={"items": items}).raise_for_status()
    client.post("/queues/mailing/pause").raise_for_status()
    client.post(
        "/queues/webhooks/items", json={"items": [{"value": "later", "delay": 3_000}] * 60}
    ).raise_for_status()
    client.post("/queues/grid/next?count=24").raise_for_status()
    for count in (400, 12, 1):
        client.post("/queues/sweep/next", params={"count": count})


def working(load):
    load.start(Load.produce, "webhooks", 80, 1.6)
    load.start(Load.produce, "thumbnails", 90, 1.0)
    for n in range(6):
        load.start(Load.work, "webhooks", f"sender-{n + 1}", 16, 6.0)
    for n in range(4):
        load.start(Load.work, "thumbnails", f"resizer-{n + 1}", 30, 2.5)
    for _ in range(8):
        load.start(Load.take, "ids", 120, 1.2)
    load.start(Load.take, "invoices", 3, 2.0)


def opened(browser, url, view, *, size, scheme, scale=1.0):
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        device_scale_factor=scale,
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(f"{url}/{view}")
    page.locator('#stream[data-state="live"]').wait_for()
    page.locator("main h1").first.wait_for()
    page.wait_for_timeout(2_500)
    return page


def readme(browser, url):
    """The two of the README."""
    for name, view, scheme in (("page", "", "dark"), ("queue", "#/queues/webhooks", "light")):
        page = opened(browser, url, view, size=(1280, 760), scheme=scheme, scale=0.75)
        path = ROOT / ".readme" / f"{name}.png"
        page.screenshot(path=path)
        page.context.close()
        with contextlib.suppress(ImportError):
            from PIL import Image

            Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)


def all_views(browser, url, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for size, pixels in SIZES.items():
        for scheme in ("light", "dark"):
            for name, view in VIEWS.items():
                page = opened(browser, url, view, size=pixels, scheme=scheme)
                if name == "queue" and page.locator(".dead-card tr.row").count():
                    page.locator(".dead-card tr.row").nth(1).click()
                    page.locator(".story").wait_for()
                if name == "proof":
                    page.wait_for_timeout(4_000)
                page.screenshot(path=folder / f"{name}-{size}-{scheme}.png", full_page=True)
                page.context.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", type=Path)
    parser.add_argument("--seconds", type=float, default=150)
    asked = parser.parse_args()
    import sys

    sys.path.insert(0, str(ROOT))
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import CHROMIUM
    from tests.cli.conftest import Serving

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "experiments.py").write_text(MODULE)
        queues = [part for queue, source in SOURCES.items() for part in ("--queue", f"{queue}={source}")]
        server = Serving(folder, *queues)
        load = Load(server.url)
        try:
            with httpx.Client(base_url=server.url, timeout=30) as client:
                furnish(client)
                client.delete("/queues/default")
            working(load)
            load.done.wait(asked.seconds)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
                if asked.all:
                    all_views(browser, server.url, asked.all)
                else:
                    readme(browser, server.url)
                browser.close()
        finally:
            load.stop()
            server.close()


if __name__ == "__main__":
    main()
