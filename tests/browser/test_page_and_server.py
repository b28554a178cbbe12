"""What the page says of a server that restarts, is silent or goes down, while it is open."""

import re
import signal

from dibs.proof.server import free_port


def row(page, name):
    return page.locator(f'tr.row[data-queue="{name}"]')


def test_a_server_that_was_restarted_says_so(site, open_page):
    here = site("--queue", "ids=count", "--port", free_port())
    allow = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET")
    page = open_page(here, allow=allow)
    row(page, "ids").wait_for()
    here.server.end(signal.SIGKILL)
    page.get_by_text("joining again, try").wait_for()
    site("--port", here.server.port, "--queue", "ids=count")
    page.locator('#stream[data-state="live"]').wait_for()
    heading = page.locator("h1", has_text="The server restarted")
    heading.wait_for()
    told = r"The queue is well\. The server restarted [0-9.]+ m?s ago; charts begin there\."
    assert re.fullmatch(told, heading.inner_text())
    steps = row(page, "ids").locator(".spark path.curve").get_attribute("d").count("L")
    assert steps < 45  # of 10 s each, since the start; a curve without a start has 89
    page.goto(f"{here.url}/#/queues/ids")
    page.locator(".sentence2", has_text="The server restarted").wait_for()
    gaps = page.locator(".chart .gap")
    gaps.nth(1).wait_for()
    said = page.locator(".chart > svg").first.locator("text", has_text="Charts begin at")
    assert re.fullmatch(r"Charts begin at \d\d:\d\d, when the server started", said.text_content())


def test_without_a_word_from_the_server_the_sentence_says_so(site, open_page):
    here = site("--queue", "ids=count")
    page = open_page(here, allow=("ERR_",))
    row(page, "ids").wait_for()
    here.server.process.send_signal(signal.SIGSTOP)
    try:
        heading = page.locator("h1", has_text="No word from the server for")
        heading.wait_for()
        assert re.search(r"What you see is from \d\d:\d\d:\d\d\.$", heading.inner_text())
        page.locator("main.stale").wait_for()
        page.locator('#stream[data-state="silent"]', has_text="no word").wait_for()
    finally:
        here.server.process.send_signal(signal.SIGCONT)
    page.get_by_role("heading", name="The queue is well.").wait_for()


def test_a_link_that_has_focus_keeps_it_while_there_is_no_word(site, open_page):
    here = site("--queue", "ids=count")
    here.queue("mails")
    here.push("mails", 1)
    here.ask("POST", "/queues/mails/pause")
    page = open_page(here, allow=("ERR_",))
    link = page.locator("h1 a", has_text="mails")
    link.focus()
    page.evaluate("window.kept = document.activeElement")
    here.server.process.send_signal(signal.SIGSTOP)
    try:
        said = page.locator("h1", has_text="No word from the server for")
        said.wait_for()
        page.wait_for_timeout(1100)  # another tick says it anew
        assert re.fullmatch(
            r"1 queue is well; mails has been paused for \d+ s; 1 waits\. "
            r"No word from the server for \d+ s\. What you see is from \d\d:\d\d:\d\d\.",
            re.sub(r"\s+", " ", said.inner_text()),
        )
        assert page.evaluate("document.activeElement === window.kept")
    finally:
        here.server.process.send_signal(signal.SIGCONT)
    page.locator("h1", has_not_text="No word").wait_for()
    assert page.evaluate("document.activeElement === window.kept")


def test_a_tab_that_slept_does_not_tell_of_a_silent_server(site, open_page):
    here = site("--queue", "ids=count")
    page = open_page(here)
    page.get_by_role("heading", name="The queue is well.").wait_for()
    # As after a night: the clock has gone on, and a tick comes before the stream's next word.
    page.evaluate(
        """() => {
          const real = Date.now, late = real() + 8 * 3600_000;
          window.said = [];
          new MutationObserver(() => window.said.push(document.querySelector("h1").innerText))
            .observe(document.querySelector("h1"), { childList: true, subtree: true, characterData: true });
          Date.now = () => late + real() % 1000;
        }"""
    )
    page.wait_for_timeout(2500)
    assert [text for text in page.evaluate("window.said") if "No word" in text] == []


def test_the_server_goes_down_with_pages_open(site, open_page):
    here = site("--queue", "ids=count")
    page = open_page(here, allow=("ERR_",))
    row(page, "ids").wait_for()
    assert here.server.end(signal.SIGTERM) == 0
    assert "Traceback" not in here.server.stderr
