"""What the page shows, and what can be done on it."""

import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from playwright.sync_api import expect


def row(page, name):
    return page.locator(f'tr.row[data-queue="{name}"]')


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
    row(page, "other").wait_for(state="detached")  # each letter filters
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
    first = here.ask("POST", "/queues/jobs/lease", json={"max": 10, "worker": "w-one", "ttl": 600}).json()
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
    page.get_by_text("8 items, 2 workers, 2 leases").wait_for()
    expect(page.locator(".leases li").first.locator("text")).to_have_text(["0 min", "10 min left"])
    expect(page.locator(".dead-card tr.row")).to_have_count(5)


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
    assert re.search(r"Pushed\s.*[0-9:.]+\s+Attempt 1, .*: nacked after [0-9.]+ m?s", story, re.DOTALL), story
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
    chips = page.locator(".dead-card .chip > span")
    expect(chips).to_have_text(["OSError: no room", "exit code 1: it said why"])
    page.get_by_text("mostly OSError: no room.").wait_for()


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
    expect(page.locator(".dead-card h2 + .note")).to_have_text("none")
    for part in (".bar", "table", ".all"):  # nothing is left to be done with them
        expect(page.locator(f".dead-card {part}")).to_be_hidden()
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("dialog").get_by_role("button", name="Purge what waits…").click()
    go = page.get_by_role("dialog").get_by_role("button", name="Purge 3")
    assert go.get_attribute("aria-disabled") == "true"
    page.get_by_label("Type jobs to go on").fill("jobs")
    go.click()
    page.get_by_text("3 items dropped.").wait_for()
    assert here.get("/queues/jobs/audit")["purged"] == 3
    page.goto(f"{here.url}/#/actions")
    page.get_by_text("purged 3 waiting items of jobs").wait_for()
    told = page.locator(".acts-list li > span").all_inner_texts()
    assert told == [
        "purged 3 waiting items of jobs",
        "redrove 2 dead letters of jobs with the error 'exit 1'",
        "redrove 1 dead letter of jobs",
        "changed jobs: max_attempts from 10 to 4",
        "pushed 3 items to jobs",
        "resumed jobs",
        "paused jobs",
        "created jobs",
    ]


def test_what_is_selected_follows_the_filter_and_what_is_shown_stays(site, open_page):
    here = site()
    here.queue("jobs")
    here.push("jobs", *range(60))
    here.kill("jobs", 1, "other")
    here.kill("jobs", 30, "exit 1")
    page = open_page(here, "#/queues/jobs")
    rows = page.locator(".dead-card tr.row")
    rows.nth(24).wait_for()
    page.get_by_role("button", name="Show older").click()
    rows.nth(30).wait_for()
    rows.first.locator("input").check()
    page.get_by_role("button", name="Redrive 1", exact=True).wait_for()
    rows.first.click(position={"x": 300, "y": 10})
    page.locator(".story").wait_for()
    here.kill("jobs", 1, "exit 1")  # the list is read anew
    page.locator('.dead-card tr.row[data-key="32"]').wait_for()
    expect(rows).to_have_count(31)
    expect(page.locator(".dead-card input:checked")).to_have_count(1)
    expect(page.locator(".story")).to_have_count(1)
    page.locator(".dead-card .chip", has_text="exit 1").click()
    expect(rows).to_have_count(25)
    expect(page.locator(".dead-card input:checked")).to_have_count(0)
    expect(page.locator('.dead-card [aria-expanded="true"]')).to_have_count(0)
    expect(page.get_by_role("button", name="Redrive 1", exact=True)).to_have_count(0)


def test_purging_the_dead_letters_leaves_what_waits(site, open_page):
    here = site()
    here.queue("jobs")
    here.push("jobs", *range(5))
    here.kill("jobs", 2, "exit 1")
    page = open_page(here, "#/queues/jobs")
    page.locator(".dead-card").get_by_role("button", name="Purge…").click()
    page.get_by_role("heading", name="Purge the dead letters of jobs?").wait_for()
    page.get_by_label("Type jobs to go on").fill("jobs")
    page.get_by_role("dialog").get_by_role("button", name="Purge 2").click()
    page.get_by_text("2 items dropped.").wait_for()
    audit = here.get("/queues/jobs/audit")
    assert (audit["purged"], audit["waiting"], audit["dead"]) == (2, 3, 0)


def test_the_history_is_there_where_it_is_kept(site, open_page):
    here = site()
    here.queue("jobs", history=3600)
    here.queue("others")
    here.push("jobs", *range(60))
    here.ask("POST", "/queues/jobs/next", headers={"Idempotency-Key": "order-7"})
    for _ in range(24):
        here.ask("POST", "/queues/jobs/next")
    leased = here.ask("POST", "/queues/jobs/lease", json={"max": 3, "worker": "w-one"}).json()
    here.ask("POST", "/queues/jobs/ack", json={"token": leased["token"]})
    page = open_page(here, "#/queues/jobs")
    rows = page.locator(".history tbody tr")
    rows.nth(9).wait_for()
    assert rows.first.inner_text().split("\t")[1:] == ["acked", "26 to 28", "w-one", "–"]
    for last in (19, 25):
        page.locator(".history").get_by_role("button", name="Show older").click()
        rows.nth(last).wait_for()
    assert rows.nth(25).inner_text().split("\t")[1:] == ["taken", "1", "anybody", "order-7"]
    expect(page.locator(".history").get_by_role("button", name="Show older")).to_have_count(0)
    page.get_by_label("Of the item with this seq").fill("27")
    rows.nth(1).wait_for(state="detached")
    assert "26 to 28" in rows.first.inner_text()
    page.get_by_label("Of the item with this seq").fill("40")
    page.get_by_text("Nobody took or acked item 40, as far as is kept.").wait_for()
    page.goto(f"{here.url}/#/queues/others")
    page.get_by_role("heading", name="others", exact=True).wait_for()
    page.get_by_text("nothing was drawn or pushed yet").wait_for()
    assert page.get_by_role("heading", name="History").count() == 0


def test_the_sentence_of_a_queue_is_read_aloud_only_when_its_meaning_changes(site, open_page):
    here = site()
    here.queue("jobs")
    here.push("jobs", *range(9))
    page = open_page(here, "#/queues/jobs")
    told = page.locator(".sentence2")
    page.locator(".sentence2", has_text="has waited").wait_for()
    before = told.inner_text()
    page.wait_for_function("text => document.querySelector('.sentence2').innerText !== text", arg=before)
    assert told.get_attribute("aria-live") == "off"  # the age alone has changed


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
    cause = page.locator(".cause-card pre")
    assert "<b>learning rate</b>" in cause.inner_text()
    page.get_by_text("failing.py:9, in experiments").wait_for()
    assert cause.inner_text() == "<b>learning rate</b> must be above 0\n  failing.py:9, in experiments"
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
    ends = page.locator(".strip > svg > text:not(.letter)")
    assert (ends.first.text_content(), ends.last.text_content()) == ("1", "200")
    page.set_viewport_size({"width": 390, "height": 844})
    begins = page.locator(".strip > svg > text")
    begins.nth(4).wait_for()
    assert begins.all_text_contents() == ["1", "41", "81", "121", "161"]
    assert not page.get_by_text("in the lane of one client").is_visible()  # there are no lanes
    page.set_viewport_size({"width": 1280, "height": 900})
    page.locator(".clients button").first.click()
    page.keyboard.press("[")
    page.get_by_role("heading", name="Seqs 141 to 180").wait_for()
    page.keyboard.press("h")
    page.get_by_role("button", name="Go on").wait_for()


def test_charts_reach_back_a_week_and_say_until_when(site, open_page):
    here = site("--queue", "ids=count")
    page = open_page(here, "#/queues/ids")
    here.ask("POST", "/queues/ids/next?count=30")
    chart = page.get_by_role("img", name=re.compile("^Rates"))
    page.get_by_role("button", name="7 d").focus()
    page.keyboard.press("Enter")
    page.locator('.segments button[aria-pressed="true"]', has_text="7 d").wait_for()
    chart.get_by_text(re.compile(r"^\d+ [A-Z][a-z]+ \d\d:\d\d$")).first.wait_for()
    chart.get_by_text(re.compile(r"^now, \d\d:\d\d$")).wait_for()
    expect(chart).to_have_attribute("aria-label", re.compile(r"^Rates: out (0\.\d|[1-9])"))
    assert page.evaluate("document.activeElement.textContent") == "7 d"
    page.locator(".chart").first.get_by_role("button", name="Show as table").click()
    cells = page.locator(".chart").first.locator("tbody tr").first.locator("td")
    expect(cells.first).to_have_text(re.compile(r"^(0\.\d|[1-9].*)$"))  # of the two hours that go on


def test_by_how_many_workers_something_is_leased(site, open_page):
    here = site()
    here.queue("jobs")
    here.push("jobs", *range(9))
    page = open_page(here)
    leased = page.locator(".vitals > div", has_text="Leased")
    leased.get_by_text("nobody holds one").wait_for()
    here.ask("POST", "/queues/jobs/lease", json={"max": 2})
    leased.get_by_text("by workers without a name").wait_for()
    for worker in ("w1", "w2", "w1"):
        here.ask("POST", "/queues/jobs/lease", json={"max": 1, "worker": worker})
    leased.get_by_text("by 2 workers and others").wait_for()


def test_a_flight_that_was_counted_in_part_says_so(site, open_page):
    page = open_page(site())
    shown = """async (counted) => {
        const { Flight } = await import("/page/static/flight.js");
        const flight = new Flight();
        const workers = [{ worker: "w1", items: 3, leases: [8] }];
        flight.show({ items: 90_000, counted, runs: 20_000, worker_count: 1, lease_count: 1, workers });
        return flight.root.textContent;
    }"""
    part = page.evaluate(shown, 41_000)
    assert "90,000 items, at least 1 worker, at least 1 lease" in part
    assert "Counted are the first 20,000 runs of leased items: 41,000 of 90,000." in part
    whole = page.evaluate(shown, None)
    assert "at least" not in whole
    assert "Counted" not in whole


def test_what_expired_for_the_last_time_is_dead_in_every_view_and_died_once(site, open_page):
    """Though nobody has asked since, and so nothing is written of it."""
    here = site()
    here.queue("jobs", max_attempts=1)
    here.push("jobs", *range(4))
    overview, queue = open_page(here), open_page(here, "#/queues/jobs")
    row(overview, "jobs").wait_for()
    for worker in ("ann", "bob"):
        lease = {"max": 1, "worker": worker, "ttl": 0.1}
        here.ask("POST", "/queues/jobs/lease", json=lease)
    dead = queue.locator(".dead-card tr.row")
    expect(dead).to_have_count(2)
    for n, worker in enumerate(("bob", "ann")):
        cells = dead.nth(n).locator("td")
        assert [cells.nth(at).inner_text() for at in (2, 3, 4)] == ["the lease expired", "1 of 1", worker]
    overview.locator("h1", has_text="has 2 dead letters; 2 died within the hour").wait_for()
    queue.get_by_text("2 died within the hour").wait_for()
    for _ in range(3):  # looked at by both, again and again
        later = "now => document.querySelector('#uptime').textContent !== now"
        overview.wait_for_function(later, arg=overview.locator("#uptime").inner_text())
    for page in (overview, queue):
        assert "2 died within the hour" in page.locator("main").inner_text()
    stats = here.get("/queues/jobs/stats")
    assert (stats["dead"], stats["waiting_items"]) == (2, 2)
    assert 'dibs_items{queue="jobs",state="dead"} 2.0' in here.ask("GET", "/metrics").text


def test_no_tick_of_an_axis_is_rounded_and_no_small_rate_is_zero(site, open_page):
    page = open_page(site())
    shown = """async (most) => {
        const { Chart } = await import("/page/static/chart.js");
        const { rate } = await import("/page/static/format.js");
        const chart = new Chart({ title: "Rates", unit: "/s", height: 200 });
        const lines = [{ name: "out", kind: "out", values: [null, most, null, most / 2], tell: rate(most) }];
        chart.show({ lines, from: 0, step: 1000, now: 4000, began: 0, clock: String, write: rate });
        const texts = [...chart.picture.querySelectorAll("text")].map((text) => text.textContent);
        return [texts, chart.picture.querySelectorAll("circle.dot").length];
    }"""
    texts, dots = page.evaluate(shown, 0.7)
    assert texts[:4] == ["0", "0.25", "0.5", "0.75/s"]
    assert dots == 2  # what was measured between two gaps
    assert page.evaluate(shown, 0.0042)[0][-1] == "0.0042"


def held_back(page, what):
    """Hold the page's requests for an action back; the list of those that came."""
    held = []
    page.route(f"**/queues/jobs/{what}", lambda route: held.append(route))  # noqa: PLW0108  # it is marked
    return held


def test_while_dead_letters_are_redriven_the_button_says_how_far_it_is(site, open_page):
    here = site()
    here.queue("jobs")
    here.push("jobs", *range(5))
    here.kill("jobs", 5, "exit 1")
    page = open_page(here, "#/queues/jobs")
    held = held_back(page, "redrive")
    page.get_by_label("Items a second").fill("")
    page.get_by_role("button", name="Redrive 5").click()
    page.get_by_role("button", name="Redriving, 0 of 5").wait_for()
    here.ask("POST", "/queues/jobs/redrive", json={"limit": 3})  # as the first slices of it would
    page.get_by_role("button", name="Redriving, 3 of 5").wait_for()
    assert held[0].request.post_data_json == {"expect": 5}
    here.ask("POST", "/queues/jobs/redrive", json={})
    held[0].fulfill(json={"queue": "jobs", "redriven": 5})
    page.get_by_text("5 items wait again.").wait_for()
    assert page.get_by_role("button", name="Redriving").count() == 0


def test_more_than_was_seen_is_not_redriven_and_the_new_count_is_told(site, open_page):
    here = site()
    here.queue("jobs")
    here.push("jobs", *range(6))
    here.kill("jobs", 5, "exit 1")
    page = open_page(here, "#/queues/jobs", allow=("409",))
    held = held_back(page, "redrive")
    page.get_by_role("button", name="Redrive 5").click()
    page.get_by_role("button", name="Redriving, 0 of 5").wait_for()
    here.kill("jobs", 1, "exit 2")
    page.locator(".dead-card .chip", has_text="exit 2").wait_for()
    held[0].continue_()
    page.unroute("**/queues/jobs/redrive")
    page.get_by_text("6 dead items match by now, and 5 were expected: nothing was redriven").wait_for()
    assert here.get("/queues/jobs")["dead"] == 6
    page.get_by_role("button", name="Redrive 6").click()
    page.get_by_text("6 items wait again.").wait_for()
    assert here.get("/queues/jobs")["dead"] == 0


def test_more_than_was_seen_is_not_purged_and_the_new_count_is_told(site, open_page):
    here = site()
    here.queue("jobs")
    here.push("jobs", *range(3))
    page = open_page(here, "#/queues/jobs", allow=("409",))
    held = held_back(page, "purge")
    page.get_by_role("button", name="More actions").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Purge what waits…").click()
    page.get_by_label("Type jobs to go on").fill("jobs")
    dialog.get_by_role("button", name="Purge 3").click()
    dialog.get_by_role("button", name="Purging, 0 of 3").wait_for()
    here.push("jobs", 4)
    page.wait_for_function("() => document.querySelector('dialog p').innerText.startsWith('4 items')")
    assert held[0].request.post_data_json == {"confirm": "jobs", "states": ["waiting"], "expect": 3}
    held[0].continue_()
    page.unroute("**/queues/jobs/purge")
    dialog.get_by_text("4 items match by now, and 3 were expected: nothing was purged").wait_for()
    assert here.get("/queues/jobs/audit")["purged"] == 0
    dialog.get_by_role("button", name="Purge 4").click()
    page.get_by_text("4 items dropped.").wait_for()
    assert here.get("/queues/jobs/audit")["purged"] == 4
