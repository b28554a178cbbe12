"""next, queues, stats, backup: against a real server."""

import json
import re
import sys

import httpx
import pytest


@pytest.fixture(autouse=True)
def _url(server, monkeypatch):
    monkeypatch.setenv("DIBS_URL", server.url)


class TestNext:
    def test_one_from_the_default_queue(self, run):
        code, first, _ = run("next")
        _, second, _ = run("next")
        assert (code, int(second)) == (0, int(first) + 1)

    def test_several_one_a_line(self, run):
        assert run("next", "ids", "-n", 3) == (0, "100\n101\n102\n", "")

    def test_text_is_bare(self, run):
        assert run("next", "inv") == (0, "INV-0001\n", "")

    def test_more_than_one_request_gives(self, run, server, monkeypatch):
        httpx.put(f"{server.url}/queues/many", json={"source": "count"})
        code, out, _ = run("next", "many", "-n", 10_001)
        assert (code, out.splitlines()) == (0, [str(number) for number in range(1, 10_002)])

    def test_exhausted_has_its_own_exit_code_and_what_there_was_is_printed(self, run):
        code, out, err = run("next", "few", "-n", 5)
        assert (code, out) == (6, "0\n1\n2\n")
        assert err.startswith("dibs: exhausted: ")
        assert "after 3" in err

    def test_an_unknown_queue(self, run):
        assert run("next", "nope") == (1, "", "dibs: queue-unknown: there is no queue nope\n")

    def test_a_name_with_a_slash(self, run):
        code, _, err = run("next", "a/b")
        assert (code, err[:6]) == (1, "dibs: ")
        assert "1 to 64" in err

    def test_no_server(self, run):
        code, _, err = run("next", "--url", "http://127.0.0.1:1")
        assert code == 7
        assert "no server at http://127.0.0.1:1" in err
        assert "dibs serve" in err

    @pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "http://x:port"])
    def test_what_is_no_url(self, run, url):
        code, _, err = run("next", "--url", url)
        assert (code, "--url" in err) == (2, True)

    @pytest.mark.parametrize("options", [("-n", "0"), ("-n", "x"), ("--wait", "-1"), ("--nope",)])
    def test_wrong_options(self, run, options):
        assert run("next", *options)[0] == 2


class TestQueues:
    def test_a_table(self, run):
        code, out, _ = run("queues")
        assert code == 0
        lines = out.splitlines()
        assert lines[0].split() == ["queue", "source", "state", "taken", "cursor"]
        assert "count(start=100)" in next(line for line in lines if line.startswith("ids "))

    def test_one(self, run):
        code, out, _ = run("queues", "ids")
        assert (code, [line.split()[0] for line in out.splitlines()[::2]]) == (0, ["queue", "ids"])
        assert json.loads(run("queues", "ids", "--json")[1])["queue"] == "ids"
        assert run("queues", "nosuch")[0] == 1

    def test_json(self, run):
        code, out, _ = run("queues", "--json")
        assert code == 0
        assert [queue["queue"] for queue in json.loads(out)][:2] == ["default", "few"]

    def test_all_pages(self, run, monkeypatch):
        monkeypatch.setattr(sys.modules["dibs.cli.http"], "_PAGE", 1)
        assert len(json.loads(run("queues", "--json")[1])) >= 4

    def test_markup_in_a_definition_is_text(self, run, server):
        body = {"source": "grid", "args": {"a": ["[red]x[/]", "[/nope]"]}}
        httpx.put(f"{server.url}/queues/markup", json=body)
        assert '"[red]x[/]", "[/nope]"' in run("queues")[1]

    def test_work_has_columns_of_its_own(self, run, jobs):
        out = run("queues")[1].splitlines()
        assert out[0].split() == [
            "queue",
            "source",
            "state",
            "waiting",
            "leased",
            "dead",
            "taken",
            "acked",
            "cursor",
        ]
        row = next(line for line in out if line.startswith("jobs "))
        assert row.split() == ["jobs", "pushed", "open", "2", "1", "1", "0", "1", "5"]


@pytest.fixture
def jobs(server):
    """A queue with an item of every kind: two wait, one is leased, one dead, one done."""
    path = f"{server.url}/queues/jobs"
    asked = {"reset": True, "settings": {"max_attempts": 1}}
    httpx.put(path, json=asked, params={"confirm": "jobs"}).raise_for_status()
    httpx.post(f"{path}/items", json={"items": [{"value": number} for number in range(5)]}).raise_for_status()
    token = httpx.post(f"{path}/lease", json={"max": 3, "ttl": 1000}).json()["token"]
    entries = {"acks": [{"token": token, "seqs": [[1, 1]]}], "nacks": [{"token": token, "seqs": [[2, 2]]}]}
    httpx.post(f"{path}/settle", json=entries).raise_for_status()
    yield
    httpx.delete(path, params={"confirm": "jobs"}).raise_for_status()


class TestStats:
    @pytest.mark.usefixtures("jobs")
    def test_of_work(self, run):
        out = run("stats")[1]
        assert re.search(r"\d+ pushed, \d+ acked, \d+ nacked", out)
        row = next(line for line in out.splitlines() if line.startswith("jobs "))
        assert [*row.split()[:2], *row.split()[-4:]] == ["jobs", "2", "1", "1", "1", "1"]

    def test_what_was_not_measured_is_no_zero(self, run, server):
        httpx.put(f"{server.url}/queues/idle", json={}).raise_for_status()
        out = run("stats", "idle")[1]
        heading, _, row = out.splitlines()
        assert dict(zip(heading.split(), row.split(), strict=True)) == {
            **{"queue": "idle", "state": "open", "now": "0/s", "p50": "–", "p99": "–"},
            **dict.fromkeys(("taken", "waiters", "replays", "refused"), "0"),
        }
        delayed = {"items": [{"value": 1, "delay": 60}]}
        httpx.post(f"{server.url}/queues/idle/items", json=delayed).raise_for_status()
        assert run("stats", "idle")[1].splitlines()[2].split() == ["idle", "1", "–", "0", "0", "0", "0"]
        httpx.delete(f"{server.url}/queues/idle?confirm=idle").raise_for_status()

    def test_of_the_server(self, run):
        run("next")
        code, out, _ = run("stats")
        assert code == 0
        assert [
            word for word in ("up", "handed out", "ledger", "commits", "p99", "ids") if word not in out
        ] == []

    def test_of_a_queue(self, run):
        run("next")
        code, out, _ = run("stats", "default")
        assert (code, "hold" in out, "few" in out) == (0, True, False)

    def test_json(self, run):
        assert json.loads(run("stats", "--json")[1])["ledger"]["engine"] == "sqlite"
        assert json.loads(run("stats", "ids", "--json")[1])["queue"] == "ids"

    def test_of_an_unknown_queue(self, run):
        assert run("stats", "nope")[0] == 1


def test_backup(run):
    code, out, _ = run("backup")
    assert (code, out.count("\n")) == (0, 1)
    assert "backups/" in out
    assert out.rstrip().endswith("KiB")
    done = json.loads(run("backup", "--json")[1])
    assert done["bytes"] > 0


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0"),
        (31e-6, "31 µs"),
        (0.0028, "2.8 ms"),
        (4.94, "4.9 s"),
        (300, "5 min"),
        (7200, "2.0 h"),
        (2e5, "2.3 d"),
    ],
)
def test_durations(seconds, shown):
    from dibs.cli.words import span

    assert span(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2**40, "1024.0 GiB")]
)
def test_sizes(count, shown):
    from dibs.cli.words import size

    assert size(count) == shown


def test_why_a_queue_failed_stands_in_the_tables():
    from dibs.cli.queue_tables import progress
    from dibs.cli.words import failure

    queue = {
        "queue": "q",
        "source": "own:gen",
        "args": {},
        "state": "failed",
        "waiting": 0,
        "leased": 0,
        "dead": 0,
        "taken": 1,
        "acked": 0,
        "purged": 0,
        "jumped": 2,
        "cursor": 3,
    }
    queue["failure"] = {"type": "KeyError", "message": "'x'", "seq": 4}
    assert failure(queue) == "at 4: KeyError: 'x'"
    assert [column.header for column in progress([queue]).columns] == [
        "queue",
        "source",
        "state",
        "taken",
        "jumped",
        "cursor",
        "failed",
    ]
