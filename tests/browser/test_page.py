"""What the page shows, and what can be done on it."""

import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

FAILING = """
from dibs import threadsafe_generator


@threadsafe_generator
def experiments(resume_at=1):
    for n in range(resume_at, 4):
        yield n
    raise ValueError("<b>learning rate</b> must be above 0")
"""


def number(text):
    return int(re.sub(r"[^0-9]", "", text))


def row(page, name):
    return page.locator(f'tr.row[data-queue="{name}"]')


def sums(page):
    """The parts of the sum in figures, as the page writes them."""
    terms = page.locator(".sum > div")
    pairs = [
        (terms.nth(n).locator("dt").inner_text(), terms.nth(n).locator("dd").inner_text())
        for n in range(terms.count())
    ]
    return {name: number(value) for name, value in pairs}


def test_an_empty_server_says_what_to_type_and_the_first_queue_shows_up(site, open_page):
    here = site()
    here.ask("DELETE", "/queues/default")
    page = open_page(here)
    page.get_by_role("heading", name="This server is ready, and has no queues yet.").wait_for()
    typed = page.locator(".first pre").first.inner_text()
    assert f"curl -X PUT {here.url.removeprefix('http://')}/queues/ids" in typed
    page.get_by_role("button", name="Copy: Numbers, for anyone who asks").click()
    page.get_by_text("Copied").wait_for()
    here.ask("PUT", "/queues/ids", json={"source": "count"})
    row(page, "ids").wait_for()
    page.get_by_role("heading", name="The queue is well.").wait_for()


def test_the_first_screen_says_how_everything_is_and_its_figures_are_those_of_stats(
    site, open_page, tmp_path
):
    (tmp_path / "failing.py").write_text(FAILING)
    here = site("--queue", "ids=count", "--queue", "sweep=failing:experiments")
    here.queue("jobs", max_attempts=2)
    here.push("jobs", *range(50))
    here.queue("mailing")
    here.push("mailing", "a", "b")
    page = open_page(here)
    row(page, "jobs").wait_for()
    here.kill("jobs", 3, "exit 1")
    here.ask("POST", "/queues/mailing/pause")
    here.ask("POST", "/queues/ids/next?count=7")
    assert [here.ask("POST", "/queues/sweep/next").json()["value"] for _ in range(3)] == [1, 2, 3]
    assert httpx.post(f"{here.url}/queues/sweep/next").status_code == 409
    heading = page.get_by_role("heading", level=1)
    page.locator("h1", has_text="1 queue is well; sweep failed").wait_for()
    assert re.fullmatch(r"1 queue is well; sweep failed .+ ago: ValueError at item 4\.", heading.inner_text())
    page.get_by_text("has 3 dead letters; 3 died within the hour").wait_for()
    page.get_by_text("has been paused for").wait_for()
    names = [each.get_attribute("data-queue") for each in page.locator("tr.row").all()]
    assert names == ["sweep", "jobs", "mailing", "ids"]
    stats = {each["queue"]: each for each in here.get("/stats")["queues"]}
    for name in names:
        cells = {
            kind: row(page, name).locator(f"td.{kind}").inner_text() for kind in ("waiting", "leased", "dead")
        }
        shown = [number(cells[kind].split("\n")[0]) for kind in ("waiting", "leased", "dead")]
        assert shown == [stats[name][each] for each in ("waiting_items", "leased", "dead")], name
    cause = page.locator("tr.cause")
    assert "<b>learning rate</b> must be above 0" in cause.inner_text()
    assert page.locator("tr.cause b").count() == 1  # our own; the message is text


def test_filters_and_keys(site, open_page):
    here = site("--queue", "ids=count", "--queue", "orders=count", "--queue", "other=count")
    here.ask("POST", "/queues/orders/close")
    page = open_page(here)
    row(page, "other").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("or")
    row(page, "ids").wait_for(state="detached")
    assert page.locator("tr.row").count() == 1
    page.keyboard.press("Escape")
    page.locator("#find").fill("")
    page.locator('.chip[data-state="closed"]').click()
    row(page, "ids").wait_for(state="detached")
    page.locator('.chip[data-state=""]').click()
    row(page, "ids").wait_for()
    page.locator("h1").click()
    page.keyboard.press("j")
    first = page.evaluate("document.activeElement.dataset.queue")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.dataset.queue") == first
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=first, exact=True).wait_for()
    page.keyboard.press("g")
    page.keyboard.press("a")
    page.get_by_role("heading", name="One action on this server").wait_for()
    page.keyboard.press("?")
    page.get_by_text("No key performs an action by itself.").wait_for()

    page.keyboard.press("Escape")


def test_one_queue_adds_up_as_its_audit_does(site, open_page):
    here = site()
    here.queue("jobs")
    here.push("jobs", *[{"n": n} for n in range(40)])
    first = here.ask("POST", "/queues/jobs/lease", json={"max": 10, "worker": "w-one"}).json()
    here.ask("POST", "/queues/jobs/lease", json={"max": 4, "worker": "w-two", "ttl": 600})
    here.ask("POST", "/queues/jobs/ack", json={"token": first["token"], "seqs": [[1, 6]]})
    here.ask("POST", "/queues/jobs/next?count=2")
    here.kill("jobs", 5, "HTTP 503")
    page = open_page(here, "#/queues/jobs")
    page.get_by_text("adds up, 0 overlaps").wait_for()
    audit = here.get("/queues/jobs/audit")
    found = sums(page)
    assert found.pop("cursor") == audit["cursor"]
    zero = next(name for name in found if "," in name or audit.get(name) == 0)
    assert found.pop(zero) == 0
    assert found == {name: audit[name] for name in ("acked", "taken", "leased", "waiting", "dead")}
    leases = page.locator(".leases .who")
    assert sorted(leases.all_inner_texts())[-2:] == ["w-one", "w-two"]
    assert page.get_by_text("8 items, 2 workers, 2 leases").is_visible()
    assert page.locator(".dead-card tr.row").count() == 5


@pytest.mark.parametrize(
    "text",
    ["<script>window.bad=1</script>", "<img src=x onerror=window.bad=1>", "\u202eabc\u0007", "x" * 200_000],
)
def test_hostile_values_errors_and_workers_are_text(site, open_page, text):
    here = site()
    here.queue("jobs")
    here.push("jobs", text, text)
    here.kill("jobs", 1, text[:8000], worker=text[:200].strip("\u202e\u0007"))
    page = open_page(here, "#/queues/jobs")
    line = page.locator(".dead-card tr.row")
    line.wait_for()
    line.click()
    page.locator(".story").wait_for()
    assert page.evaluate("window.bad") is None
    assert page.locator("main script, main img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    story = page.locator(".story ol").inner_text()
    assert re.search(r"Pushed\s.*Attempt 1, .*, begun [0-9:.]+, .* long: nacked", story, re.DOTALL), story
    shown = page.locator(".story pre").first.inner_text()
    assert len(shown) < 5_000
    if text.startswith("<"):
        assert text in shown
    assert "\u202e" not in page.locator("main").inner_text()


def test_what_goes_out_next_is_told_once_and_in_order(site, open_page):
    here = site()
    here.queue("jobs")
    here.push("jobs", *"abc")
    token = here.ask("POST", "/queues/jobs/lease", json={"max": 3}).json()["token"]
    for seq, delay in ((1, 300), (2, 100), (3, 200)):
        nack = {"token": token, "seqs": [[seq, seq]], "delay": delay}
        here.ask("POST", "/queues/jobs/nack", json=nack)
    page = open_page(here, "#/queues/jobs")
    rows = (
        page.locator("section, article, div")
        .filter(has=page.get_by_text("Next out"))
        .last.locator("tbody tr")
    )
    rows.nth(2).wait_for()
    assert [row.split()[0] for row in rows.all_inner_texts()] == ["2", "3", "1"]


def test_an_error_of_many_lines_is_told_by_its_first_and_last(site, open_page):
    here = site()
    here.queue("jobs")
    here.push("jobs", 1, 2, 3)
    trace = (
        "OSError: no room\n\nTraceback (most recent call last):\n" + "  File x\n" * 40 + "OSError: no room"
    )
    for error in (trace, trace, "exit code 1\nit said why"):
        here.kill("jobs", 1, error)
    page = open_page(here, "#/queues/jobs")
    page.locator(".dead-card tr.row").nth(2).wait_for()
    rows = page.locator(".dead-card td.error").all_inner_texts()
    assert sorted(rows) == ["OSError: no room", "OSError: no room", "exit code 1: it said why"]
    chips = page.locator(".dead-card .chip > span").all_inner_texts()
    assert chips == ["OSError: no room", "exit code 1: it said why"]
    assert page.get_by_text("mostly OSError: no room.").is_visible()


def test_what_operators_do_and_where_it_can_be_read(site, open_page):
    here = site()
    here.queue("jobs")
    page = open_page(here, "#/queues/jobs")
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("It hands out nothing until it is resumed.").wait_for()
    page.get_by_role("button", name="Resume").click()
    page.get_by_text("It hands out again.").wait_for()
    page.get_by_role("button", name="Push items…").click()
    page.get_by_label("One JSON value a line").fill('{"n": 1}\nno json')
    page.get_by_role("button", name="Push 2").click()
    page.get_by_text("Line 2 is no JSON: no json").wait_for()
    page.get_by_label("One JSON value a line").fill('{"n": 1}\n"two"\n3')
    page.get_by_role("button", name="Push 3").click()
    page.get_by_text("3 items pushed.").wait_for()
    assert here.get("/queues/jobs")["waiting"] == 3
    page.get_by_role("button", name="Settings").click()
    page.locator("#s-max_attempts").fill("4")
    page.get_by_role("button", name="Change", exact=True).click()
    page.get_by_text("Changed max_attempts.").wait_for()
    assert here.get("/queues/jobs")["settings"]["max_attempts"] == 4
    here.kill("jobs", 3, "exit 1")
    page.locator(".dead-card tr.row").nth(2).wait_for()
    page.locator(".dead-card tr.row input").first.check()
    page.get_by_role("button", name="Redrive 1", exact=True).click()
    page.get_by_text("1 item waits again.").wait_for()
    assert here.get("/queues/jobs/audit")["dead"] == 2
    page.locator(".dead-card .chip").click()
    page.get_by_label("Items a second").fill("")
    page.get_by_role("button", name="Redrive 2 that match").click()
    page.get_by_text("2 items wait again.").wait_for()
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("dialog").get_by_role("button", name="Purge…").click()
    go = page.get_by_role("dialog").get_by_role("button", name="Purge 3")
    assert go.get_attribute("aria-disabled") == "true"
    page.get_by_label("Type jobs to go on").fill("jobs")
    go.click()
    page.get_by_text("3 items dropped.").wait_for()
    assert here.get("/queues/jobs/audit")["purged"] == 3
    page.goto(f"{here.url}/#/actions")
    page.get_by_text("purged 3 items of jobs").wait_for()
    told = page.locator(".acts-list li > span").all_inner_texts()
    assert told == [
        "purged 3 items of jobs",
        "redrove 2 dead letters of jobs",
        "redrove 1 dead letter of jobs",
        "changed jobs: max_attempts",
        "pushed 3 items to jobs",
        "resumed jobs",
        "paused jobs",
        "created jobs",
    ]


def test_what_others_did_meanwhile_is_not_redriven(site, open_page):
    here = site()
    here.queue("jobs")
    here.push("jobs", 1, 2)
    here.kill("jobs", 1, "exit 1")
    refused = httpx.post(f"{here.url}/queues/jobs/redrive", json={"expect": 2})
    assert (refused.status_code, refused.json()["field"]) == (409, "expect")
    assert here.get("/queues/jobs/audit")["dead"] == 1
    assert here.ask("POST", "/queues/jobs/redrive", json={"error": "exit 2"}).json()["redriven"] == 0
    assert (
        here.ask("POST", "/queues/jobs/redrive", json={"error": "exit 1", "expect": 1}).json()["redriven"]
        == 1
    )


def test_read_only_and_without_values(site, open_page):
    here = site()
    here.queue("jobs")
    here.push("jobs", "secret payload", "other")
    here.kill("jobs", 1, "exit 1")
    here.server.end()
    there = site("--data", "dibs-data", env={"DIBS_READ_ONLY": "true", "DIBS_SHOW_VALUES": "false"})
    page = open_page(there, "#/queues/jobs")
    page.get_by_text("You may look, not change: this server is read only, and values are hidden.").wait_for()
    page.locator(".dead-card tr.row").click()
    page.locator(".story").wait_for()
    page.get_by_text("Value hidden on this server: 16 bytes.").wait_for()
    assert "secret payload" not in page.content()
    assert page.get_by_role("button", name=re.compile("Pause|Push|Redrive|Purge|Settings")).count() == 0
    assert page.locator(".dead-card input").count() == 0
    for path in ("pause", "redrive", "close"):
        refused = httpx.post(f"{there.url}/queues/jobs/{path}")
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:dibs:problem:forbidden")
    assert there.ask("POST", "/queues/jobs/next").json()["value"] == "other"  # hand-outs go on


def test_a_failed_source_is_retried(site, open_page, tmp_path):
    (tmp_path / "failing.py").write_text(FAILING)
    here = site("--queue", "sweep=failing:experiments")
    here.ask("POST", "/queues/sweep/next?count=3")
    assert httpx.post(f"{here.url}/queues/sweep/next").status_code == 409
    page = open_page(here, "#/queues/sweep")
    page.get_by_role("heading", name="ValueError at item 4").wait_for()
    assert "<b>learning rate</b>" in page.locator(".cause-card pre").inner_text()
    page.get_by_role("button", name="Retry the source").click()
    page.get_by_text("The source of sweep is opened again.").wait_for()
    page.locator(".cause-card").wait_for(state="hidden")


def test_the_proof_shows_each_seq_once(site, open_page):
    here = site("--queue", "ids=count")
    page = open_page(here, "#/proof/ids")
    page.get_by_text("Nothing has been handed out since this view was opened").wait_for()

    def take(_):
        with httpx.Client() as client:
            return [client.post(f"{here.url}/queues/ids/next").json()["seq"] for _ in range(50)]

    with ThreadPoolExecutor(4) as pool:
        taken = [seq for seqs in pool.map(take, range(4)) for seq in seqs]
    assert sorted(taken) == list(range(1, 201))
    page.get_by_role(
        "heading", name="The last 200 seqs of ids went to 4 clients, each seq to exactly one"
    ).wait_for()
    assert [number(text) for text in page.locator(".clients b").all_inner_texts()] == [50] * 4
    page.locator('.strip > svg[aria-label="200 seqs, 4 clients, 0 twice, 0 missing"]').wait_for()
    assert page.locator(".cells li").count() == 40
    page.locator(".clients button").first.click()
    page.keyboard.press("[")
    page.get_by_role("heading", name="Seqs 141 to 180").wait_for()
    page.keyboard.press("h")
    page.get_by_role("button", name="Go on").wait_for()


def test_a_server_that_was_restarted_says_so(site, open_page):
    here = site("--queue", "ids=count")
    allow = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET")
    page = open_page(here, allow=allow)
    row(page, "ids").wait_for()
    here.server.end(signal.SIGKILL)
    page.get_by_text("joining again, try").wait_for()
    site("--port", here.server.port, "--queue", "ids=count")
    page.get_by_text("The server restarted").wait_for()
    page.locator('#stream[data-state="live"]').wait_for()


def test_the_server_goes_down_with_pages_open(site, open_page):
    here = site("--queue", "ids=count")
    page = open_page(here, allow=("ERR_",))
    row(page, "ids").wait_for()
    assert here.server.end(signal.SIGTERM) == 0
    assert "Traceback" not in here.server.stderr


VIEWS = ("", "#/queues/jobs", "#/proof/ids", "#/actions")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(site, open_page, scheme):
    from axe_playwright_python.sync_playwright import Axe

    here = site("--queue", "ids=count")
    here.queue("jobs")
    here.push("jobs", *range(9))
    here.kill("jobs", 2, "exit 1")
    here.ask("POST", "/queues/jobs/lease", json={"max": 2, "worker": "w1"})
    here.ask("POST", "/queues/ids/next?count=30")
    for view in VIEWS:
        page = open_page(here, view, scheme=scheme)
        page.wait_for_timeout(1200)  # until the view has its first data
        if "jobs" in view:
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
    for view in VIEWS:
        page = open_page(here, view, width=width, height=800)
        page.wait_for_timeout(1200)
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
