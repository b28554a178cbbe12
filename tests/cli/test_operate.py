"""The commands that operate a server, from define to delete."""

import io
import json

import httpx
import pytest
from dibs.cli.http import Api


@pytest.fixture(autouse=True)
def _url(server, monkeypatch):
    monkeypatch.setenv("DIBS_URL", server.url)


@pytest.fixture
def jobs(server):
    """A queue with one item leased, one dead and three that wait."""
    path = f"{server.url}/queues/jobs"
    httpx.delete(path, params={"confirm": "jobs"})
    settings = {"max_attempts": 1, "backoff": 0, "jitter": 0}
    httpx.put(path, json={"source": None, "reset": True, "settings": settings}).raise_for_status()
    httpx.post(f"{path}/items", json={"items": [{"value": f"{n}.txt"} for n in range(5)]}).raise_for_status()
    lease = httpx.post(f"{path}/lease", json={"max": 2, "worker": "w1", "ttl": 600}).json()
    nack = {"token": lease["token"], "seqs": [[1, 1]], "error": "exit 1\nwhy"}
    httpx.post(f"{path}/nack", json=nack).raise_for_status()
    return path


@pytest.fixture
def answers(monkeypatch):
    """A terminal at which somebody types this."""

    def answers(text):
        terminal = io.StringIO(text)
        terminal.isatty = lambda: True
        monkeypatch.setattr("sys.stdin", terminal)

    return answers


class TestDefine:
    def test_with_a_source(self, run):
        told = (0, "c1: open, count(start=100), cursor 0\n", "")
        assert run("define", "c1", "count(start=100)") == told
        assert run("define", "c1", "count(100)") == told
        assert run("next", "c1") == (0, "100\n", "")
        code, _, err = run("define", "c1", "count(start=7)")
        assert (code, err[:22]) == (1, "dibs: source-changed: ")

    def test_a_reset_of_a_queue_that_is_there_asks_first(self, run, jobs, answers):
        drops = "3 waiting, 1 leased, 1 dead are dropped"
        told = f"jobs will begin at seq 1 again; its cursor is 5, and {drops}"
        assert run("define", "jobs", "--reset") == (2, "", f"dibs: {told}. Say --yes to do it\n")
        answers("n\n")
        assert run("define", "jobs", "--reset") == (
            1,
            "",
            f"{told}. Do it? [y/N] dibs: nothing was changed\n",
        )
        answers("y\n")
        assert run("define", "jobs", "--reset")[:2] == (0, "jobs: open, pushed, cursor 0\n")
        assert run("define", "jobs", "--reset", "-y") == (0, "jobs: open, pushed, cursor 0\n", "")

    def test_a_reset_of_a_deleted_queue_does_not_ask(self, run):
        run("define", "c5", "count")
        run("next", "c5")
        run("delete", "c5", "-y")
        assert run("define", "c5", "count", "--reset") == (0, "c5: open, count, cursor 0\n", "")

    def test_for_producers_with_settings(self, run):
        assert run("define", "p1", "--set", "max_attempts=3", "-s", "backoff=0.5") == (
            0,
            "p1: open, pushed, cursor 0\n",
            "",
        )
        settings = json.loads(run("set", "p1", "--json")[1])
        assert (settings["max_attempts"], settings["backoff"], settings["jitter"]) == (3, 0.5, 0.1)

    def test_what_is_not_named_stays_as_it_is(self, run):
        run("define", "c3", "count", "--set", "max_attempts=3")
        assert run("define", "c3") == (0, "c3: open, count, cursor 0\n", "")
        assert run("define", "c3", "--set", "history=null")[1] == "c3: open, count, cursor 0\n"
        settings = json.loads(run("set", "c3", "--json")[1])
        assert (settings["max_attempts"], settings["history"]) == (3, None)
        assert run("define", "c3", "") == (0, "c3: open, pushed, cursor 0\n", "")

    def test_json(self, run):
        assert json.loads(run("define", "c2", "count", "--json")[1])["source"] == "count"

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["count("], "source count(: "),
            (["m:f"], "m:f is a function: name it in dibs.toml, or with `dibs serve --queue`"),
            (["nope"], "source nope: "),
            (["count(1, 2, 3, 4, 5, 6)"], "source count(1, 2, 3, 4, 5, 6): count: takes at most"),
            (["--set", "backoff"], "setting backoff: say NAME=VALUE, such as max_attempts=3"),
            (["--set", "=1"], "setting =1: say NAME=VALUE"),
            (["--set", "backoff=soon"], "setting backoff=soon: the value is a number, null or forever"),
            (["--set", "backoff=1", "--set", "backoff=1"], "setting backoff=1: it is there twice"),
        ],
    )
    def test_what_is_wrong_is_a_sentence(self, run, arguments, told):
        code, out, err = run("define", "nothing", *arguments)
        assert (code, out, err.startswith(f"dibs: {told}")) == (2, "", True)

    def test_what_the_server_refuses(self, run):
        code, _, err = run("define", "nothing", "--set", "backof=1")
        assert (code, err.startswith("dibs: invalid: "), "backof" in err) == (1, True, True)
        assert run("define", "UP")[0] == 1


class TestSet:
    def test_one_and_the_others_stay(self, run):
        run("define", "s1", "-s", "max_attempts=3", "-s", "backoff=7")
        out = run("set", "s1", "max_attempts=null", "max_ready=10")[1].splitlines()
        assert out[0] == "s1: open, pushed, cursor 0"
        assert {"max_attempts=null", "backoff=7", "max_ready=10", "jitter=0.1"} <= set(out)
        assert run("set", "s1")[1].splitlines() == out[1:]

    def test_of_a_queue_with_a_source(self, run):
        run("set", "inv", "max_attempts=2")
        assert run("next", "inv")[1].startswith("INV-")

    def test_a_queue_that_is_not_there_is_not_created(self, run):
        assert run("set", "none", "backoff=1") == (1, "", "dibs: queue-unknown: there is no queue none\n")
        assert run("set", "none")[0] == 1


def test_pause_and_resume(run, jobs, monkeypatch):
    monkeypatch.setitem(Api.__init__.__kwdefaults__, "patience", 1.3)
    assert run("pause", "jobs")[1] == "jobs: paused, pushed, cursor 5, 3 waiting, 1 leased, 1 dead\n"
    waits = "dibs: waiting: paused: jobs is paused\n"
    assert run("next", "jobs") == (1, "", f"{waits}dibs: paused: jobs is paused\n")
    assert json.loads(run("resume", "jobs", "--json")[1])["state"] == "open"
    assert run("next", "jobs") == (0, "2.txt\n", "")


def test_advance(run):
    run("define", "a1", "count")
    assert run("advance", "a1", 1000) == (0, "a1: open, count, cursor 1,000\n", "")
    assert run("next", "a1") == (0, "1001\n", "")
    assert run("advance", "a1", 7)[0] == 1


def test_close(run, jobs):
    assert run("close", "jobs")[1].startswith("jobs: closed, pushed, cursor 5, 3 waiting")
    assert run("push", "jobs", __file__)[0] == 1


def test_retry(run):
    run("define", "r1", "count")
    assert run("retry", "r1") == (1, "", "dibs: conflict: r1 is open, not failed\n")


class TestPurge:
    def test_asks_first_and_no_is_no(self, run, jobs, answers):
        answers("n\n")
        code, out, err = run("purge", "jobs")
        assert (code, out) == (1, "")
        assert err.endswith("dibs: nothing was changed\n")
        assert httpx.get(jobs).json()["waiting"] == 3

    def test_yes_is_yes(self, run, jobs, answers):
        answers("y\n")
        assert run("purge", "jobs", "--dead")[:2] == (0, "jobs: 1 dropped\n")
        assert [httpx.get(jobs).json()[name] for name in ("waiting", "dead")] == [3, 0]

    def test_without_a_terminal_it_says_what_it_would_do(self, run, jobs):
        told = "dibs: 3 waiting and 1 dead items of jobs will be dropped for good. Say --yes to do it\n"
        assert run("purge", "jobs") == (2, "", told)
        one = "dibs: 1 dead item of jobs will be dropped for good. Say --yes to do it\n"
        assert run("purge", "jobs", "--dead") == (2, "", one)
        assert json.loads(run("purge", "jobs", "-y", "--json")[1]) == {"queue": "jobs", "purged": 4}


class TestDelete:
    def test_says_what_goes_and_does_it(self, run, jobs):
        told = "jobs, with 3 waiting, 1 leased, 1 dead inside, will be deleted; its cursor (5) stays known"
        assert run("delete", "jobs") == (2, "", f"dibs: {told}. Say --yes to do it\n")
        done = "jobs: deleted, with 3 waiting, 1 leased, 1 dead inside; its cursor was 5\n"
        assert run("delete", "jobs", "--yes") == (0, done, "")
        assert run("delete", "jobs", "--yes") == (1, "", "dibs: queue-unknown: there is no queue jobs\n")

    def test_asks_whoever_sits_there(self, run, jobs, answers):
        answers("n\n")
        assert run("delete", "jobs")[0] == 1
        answers("y\n")
        assert run("delete", "jobs")[0] == 0

    def test_an_empty_one(self, run):
        run("define", "d1")
        assert run("delete", "d1", "-y") == (0, "d1: deleted, empty; its cursor was 0\n", "")


@pytest.mark.usefixtures("jobs")
class TestPeek:
    def test_what_is_inside(self, run):
        heads, _, *rows = run("peek", "jobs")[1].splitlines()
        assert heads.split() == ["seq", "value", "state", "attempt", "due", "(UTC)", "worker", "error"]
        assert [row.split()[:3] for row in rows] == [
            ["1", "0.txt", "dead"],
            ["2", "1.txt", "leased"],
            *([str(n), f"{n - 1}.txt", "waiting"] for n in (3, 4, 5)),
        ]
        assert rows[0].rstrip().endswith("exit 1: why")

    def test_some_of_it(self, run):
        assert "1.txt" in run("peek", "jobs", "--state", "leased")[1]
        out = run("peek", "jobs", "--after", 2, "--limit", 1)[1]
        assert ("2.txt" in out, "3.txt" in out, out.rstrip().endswith("More: --after 3")) == (
            True,
            False,
            True,
        )
        assert run("peek", "jobs", "--after", 5)[1] == "Nothing of that kind is in jobs.\n"

    def test_one(self, run):
        assert "exit 1" in run("peek", "jobs", 1)[1]
        assert json.loads(run("peek", "jobs", 2, "--json")[1])["worker"] == "w1"
        assert run("peek", "jobs", 99)[0] == 1
        assert run("peek", "jobs", 1, "--after", 1)[0] == 2
        assert run("peek", "jobs", "--state", "done")[0] == 2

    def test_json(self, run):
        assert [each["seq"] for each in json.loads(run("peek", "jobs", "--json")[1])["items"]] == [
            1,
            2,
            3,
            4,
            5,
        ]


@pytest.mark.usefixtures("jobs")
class TestAudit:
    def test_one(self, run):
        code, out, _ = run("audit", "jobs")
        assert code == 0
        heads, _, row = out.splitlines()
        assert heads.split() == ["queue", "balanced", "waiting", "leased", "dead", "cursor"]
        assert row.split() == ["jobs", "yes", "3", "1", "1", "5"]
        assert json.loads(run("audit", "jobs", "--json")[1])["balanced"] is True

    def test_all(self, run):
        code, out, _ = run("audit")
        assert (code, "default" in out, "jobs" in out) == (0, True, True)
        assert {each["balanced"] for each in json.loads(run("audit", "--json")[1])} == {True}

    def test_one_that_does_not_balance(self, run, monkeypatch):
        get = Api.get
        wrong = {"balanced": False, "overlaps": 1}
        monkeypatch.setattr(Api, "get", lambda self, *path, **how: get(self, *path, **how) | wrong)
        code, out, _ = run("audit", "jobs")
        assert (code, "NO" in out, "overlaps" in out) == (1, True, True)
