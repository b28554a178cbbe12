"""The first screen: its figures are those of the queues, though only those that moved are looked at."""

import asyncio
import json

import pytest
from dibs.config import Settings
from dibs.dashboard import rows, slices
from dibs.dashboard.detail import Detail
from dibs.dashboard.overview import Overview
from dibs.dashboard.recorder import HOUR, Recorder
from dibs.errors import LedgerUnavailable
from dibs.ledger.sights import Inside, Workers
from dibs.queue.queues import Queues
from dibs.queue.statistics import everything

BEGIN = 1_700_000_000_000  # of the page's clock, in milliseconds
SECOND = 1_000
FAR = 1e6  # seconds: nothing waits for so long


class Screen:
    """A first screen of its own, looked at when the test says."""

    def __init__(self, house):
        self.house, self.queues, self.now, self.old = house, house.queues, BEGIN, FAR
        self.recorder = Recorder(self.now)
        self.overview = Overview(self.queues, self.recorder, old=lambda: self.old)
        self.moved = self.queues.follow()

    async def look(self):
        names = self.moved.take()
        await self.recorder.look(self.queues.find, names, self.now)
        self.overview.stale |= names
        await self.overview.look(self.now)

    async def shown(self, sees=everything, **asked):
        await self.look()
        table = await self.overview.table(sees)
        return json.loads(await self.overview.shown(self.now, table, **asked))

    def at(self, milliseconds, *args, **asked):
        """The screen, so much later."""
        self.now += milliseconds
        return self.house.run(self.shown(*args, **asked))


@pytest.fixture
def screen(house):
    screen = Screen(house)
    screen.at(0)
    yield screen
    screen.moved.end()


def settle(house, name, verb="nacks", count=1, **more):
    token = house.lease(name, max=count)["token"]
    answer = house.ask("POST", f"/queues/{name}/settle", json={verb: [{"token": token, **more}]})
    assert answer.status_code == 200, answer.text


def busy_house(house):
    """Queues in all states, of which some hold something."""
    for number in range(5):
        house.define(f"ids{number}", "count")
    house.define("three", "range", start=1, stop=3)
    house.pushed("jobs", *range(10))
    house.pushed("bad", *range(5), max_attempts=1)
    settle(house, "bad", count=3)
    house.lease("jobs", max=2)
    house.ask("POST", "/queues/ids1/pause")
    house.ask("POST", "/queues/ids2/close")
    house.ask("POST", "/queues/ids3/next?count=100")


def assert_as_stats(house, shown):
    """The rows of the screen and its sums are those of /stats."""
    stats = house.ask("GET", "/stats").json()
    told = {row["queue"]: row for row in stats["queues"]}
    assert {row["queue"] for row in shown["queues"]} == set(told)
    for row in shown["queues"]:
        queue = told[row["queue"]]
        counts = queue["waiting_items"], queue["leased"], queue["dead"], queue["state"]
        assert (row["waiting"], row["leased"], row["dead"], row["state"]) == counts
    for name, key in (("waiting", "waiting_items"), ("leased", "leased"), ("dead", "dead")):
        assert shown["totals"][name] == sum(row[key] for row in told.values())
    assert shown["count"] == len(told)
    assert sum(shown["states"].values()) == len(told)


def test_the_figures_are_those_of_stats_whatever_moves(house, screen):
    busy_house(house)
    assert_as_stats(house, screen.at(SECOND))
    house.ask("POST", "/queues/ids1/resume")
    house.ask("DELETE", "/queues/three?confirm=three")
    house.ask("DELETE", "/queues/jobs?confirm=jobs")
    house.pushed("jobs", 1)
    settle(house, "bad", count=1)
    shown = screen.at(SECOND)
    assert_as_stats(house, shown)
    assert shown["totals"]["died"] == 4
    assert shown["totals"]["nacked"] == 0.4


def test_trouble_comes_first_and_is_told_in_words(house, screen):
    busy_house(house)
    house.ask("POST", "/queues/jobs/pause")
    screen.at(SECOND)
    settle(house, "bad")
    shown = screen.at(SECOND)
    assert [row["queue"] for row in shown["queues"]][:3] == ["bad", "jobs", "ids3"]
    assert [(each["queue"], each["kind"]) for each in shown["findings"]] == [
        ("bad", "dead"),
        ("jobs", "paused"),
    ]
    assert (shown["findings"][0]["dead"], shown["findings"][0]["died"]) == (4, 4)
    assert shown["findings"][1]["waiting"] == 8
    assert shown["look"] == 2
    assert shown["queues"][-1]["state"] == "closed"


MOVES = {
    "take": ("POST", "/queues/ids/next", None),
    "pause": ("POST", "/queues/ids/pause", None),
    "close": ("POST", "/queues/ids/close", None),
    "delete": ("DELETE", "/queues/ids?confirm=ids", None),
    "push": ("POST", "/queues/jobs/items", {"items": [{"value": 1}]}),
    "settings": ("PUT", "/queues/jobs", {"settings": {"max_attempts": 7}}),
    "lease": ("POST", "/queues/jobs/lease", {}),
    "purge": ("POST", "/queues/jobs/purge", {"confirm": "jobs"}),
    "new": ("PUT", "/queues/new", {"source": "count"}),
}


@pytest.mark.parametrize("name", MOVES)
def test_what_an_operation_moves_is_known_to_have_moved(house, name):
    house.define("ids", "count")
    house.pushed("jobs", 1)
    moved = house.queues.follow()
    assert moved.take() == {"default", "ids", "jobs"}
    assert moved.take() == set()
    method, path, body = MOVES[name]
    assert house.ask(method, path, json=body).status_code < 300
    assert moved.take() == {path.split("/")[2].partition("?")[0]}
    assert moved.take() == set()
    moved.end()
    assert house.ask("POST", "/queues/default/next").status_code == 200
    assert moved.take() == set()


def test_a_push_is_counted_though_its_batch_was_looked_at_before(house, screen):
    """The batch has touched the queue in one step of the loop, and the items are counted in a later one."""
    house.pushed("jobs", 1)
    screen.at(SECOND)
    batches = house.queues.rounds.touched

    class Rows(set):
        def update(self, rows):
            """Whoever follows looks as soon as he is told."""
            super().update(rows)
            names = screen.moved.take()
            looks.append(asyncio.ensure_future(screen.recorder.look(screen.queues.find, names, screen.now)))

    looks = []
    screen.moved.rows = batches[batches.index(screen.moved.rows)] = Rows()
    house.ask("POST", "/queues/jobs/items", json={"items": [{"value": 2}, {"value": 3}]})
    assert looks
    screen.at(SECOND)
    assert screen.recorder.tracks["jobs"].counts(screen.now).pushed == 3


def test_a_source_that_has_news_has_moved(make, tmp_path):
    """As it is open, or has failed, or a pull is over."""
    (tmp_path / "names.txt").write_text("one\ntwo\n")
    house = make(queues={"names": f"lines({tmp_path / 'names.txt'})"})
    moved = house.queues.follow()
    moved.take()
    feeder = house.queues.get("names").line.feeder
    house.run(asyncio.to_thread(feeder._call, feeder._news))
    house.run(house.until(lambda: moved.names))
    assert moved.take() == {"names"}
    moved.end()


def test_what_rests_is_neither_looked_at_nor_written_again(house, screen, monkeypatch):
    busy_house(house)
    screen.at(SECOND)
    screen.at(11 * SECOND)  # nothing counts as busy any more
    looked, written = [], []
    see, row = Overview._see, rows._row
    monkeypatch.setattr(
        Overview, "_see", lambda self, queue, now: looked.append(queue.name) or see(self, queue, now)
    )
    monkeypatch.setattr(
        rows, "_row", lambda seen, *args, **more: written.append(seen.queue.name) or row(seen, *args, **more)
    )
    screen.now = screen.now // 10_000 * 10_000 + 10_000  # a step of the lines begins
    screen.at(0)
    assert looked == ["bad"]  # of which items died within the hour
    del looked[:], written[:]
    house.ask("POST", "/queues/ids0/next")
    shown = screen.at(SECOND)
    assert sorted(looked) == ["bad", "ids0"]
    assert set(written) == {"ids0", "jobs", "bad"}  # in the last two something waits, longer with each look
    assert next(row for row in shown["queues"] if row["queue"] == "ids0")["out"] == 0.1


def test_what_changes_as_time_goes_by_is_looked_at(house, screen):
    house.pushed("bad", 1, 2, max_attempts=1)
    screen.at(SECOND)
    settle(house, "bad")
    shown = screen.at(SECOND)
    assert (shown["totals"]["nacked"], shown["look"], shown["totals"]["died"]) == (0.1, 1, 1)
    assert screen.at(11 * SECOND)["totals"]["nacked"] == 0
    shown = screen.at(HOUR + 60_000)
    assert (shown["look"], shown["totals"]["died"], shown["totals"]["dead"]) == (0, 0, 1)


def test_what_has_waited_for_too_long_is_trouble_though_nothing_moves(house, screen, monkeypatch):
    house.pushed("jobs", 1)
    house.pushed("others", 1)
    shown = screen.at(SECOND)
    assert (shown["look"], shown["totals"]["oldest"] < FAR) == (0, True)
    clock = Queues.now
    monkeypatch.setattr(Queues, "now", lambda self: clock(self) + int(2 * FAR * 1000))
    shown = screen.at(SECOND)
    assert [each["kind"] for each in shown["findings"]] == ["old", "old"]
    assert shown["findings"][0]["oldest"] >= 2 * FAR
    assert [row["old"] for row in shown["queues"] if row["queue"] in {"jobs", "others"}] == [True, True]
    screen.old = 4 * FAR
    assert screen.at(SECOND)["look"] == 0
    screen.old = FAR
    assert screen.at(SECOND)["look"] == 2
    house.ask("POST", "/queues/jobs/purge", json={"confirm": "jobs"})
    assert screen.at(SECOND)["look"] == 1


def test_what_is_delayed_has_not_waited_yet(house, screen):
    house.define("jobs", None)
    house.ask("POST", "/queues/jobs/items", json={"items": [{"value": 1, "delay": 3600}]})
    shown = screen.at(SECOND)
    assert [row["oldest"] for row in shown["queues"] if row["queue"] == "jobs"] == [None]
    assert (shown["totals"]["waiting"], shown["totals"]["oldest"]) == (1, None)
    assert house.ask("GET", "/queues/jobs/stats").json()["oldest_waiting"] is None


def test_who_may_look_at_some_sees_those_as_they_move(house, screen):
    busy_house(house)
    screen.at(SECOND)
    table = house.run(screen.overview.table(lambda name: name.startswith("ids")))

    def shown():
        screen.now += SECOND
        house.run(screen.look())
        return json.loads(house.run(screen.overview.shown(screen.now, table)))

    assert {row["queue"] for row in shown()["queues"]} == {f"ids{number}" for number in range(5)}
    house.ask("DELETE", "/queues/ids0?confirm=ids0")
    house.define("ids9", "count")
    house.ask("POST", "/queues/ids9/next?count=50")
    house.ask("POST", "/queues/default/next?count=50")
    found = shown()
    assert {row["queue"] for row in found["queues"]} == {f"ids{number}" for number in (1, 2, 3, 4, 9)}
    assert (found["partly"], found["count"], found["totals"]["waiting"]) == (True, 5, 0)
    assert (found["totals"]["bytes"], found["totals"]["free"]) == (None, None)
    assert found["totals"]["out"] == 15.0  # 100 of ids3 and 50 of ids9 in ten seconds
    screen.now += 10 * SECOND  # the step in which they were handed out is over
    minute = shown()["minute"]
    assert (len(minute), sum(minute)) == (60, 150)


def test_the_table_is_told_by_pages_names_and_states(house, screen):
    for number in range(230):
        house.define(f"q{number:03}", "count")
    house.ask("POST", "/queues/q007/pause")
    pages = [screen.at(SECOND, after=after) for after in (0, 100, 200)]
    names = [row["queue"] for page in pages for row in page["queues"]]
    assert names == ["default", *(f"q{number:03}" for number in range(230))]
    assert [page["next"] for page in pages] == [100, 200, None]
    assert [row["queue"] for row in screen.at(SECOND, find="22")["queues"]] == [
        "q022", "q122", *(f"q22{digit}" for digit in range(10)),
    ]  # fmt: skip
    assert [row["queue"] for row in screen.at(SECOND, state="paused")["queues"]] == ["q007"]
    assert screen.at(SECOND, state="look")["queues"] == []


def test_a_look_that_is_cut_short_loses_nothing(house, screen, monkeypatch):
    """In slices of no length, a turn after each queue; whoever watched has gone in the middle."""
    monkeypatch.setattr(slices, "SLICE", 0)
    busy_house(house)

    async def cut():
        looking = asyncio.ensure_future(screen.look())
        see, seen = Overview._see, []

        def cut_at_the_third(self, queue, now):
            seen.append(queue.name)
            if len(seen) == 3:
                looking.cancel()
            return see(self, queue, now)

        monkeypatch.setattr(Overview, "_see", cut_at_the_third)
        await asyncio.gather(looking, return_exceptions=True)
        assert len(seen) == 3

    screen.now += SECOND
    house.run(cut())
    assert_as_stats(house, screen.at(SECOND))


def test_others_have_their_turn_while_many_queues_are_looked_at(house, screen, monkeypatch):
    """An operation in the middle of a look is answered before that ends; a queue that goes is gone."""
    monkeypatch.setattr(slices, "SLICE", 0)
    for number in range(50):
        house.define(f"q{number}", "count")
    turn = slices.Slices.turn

    async def both():
        answered = asyncio.Event()

        async def others(self):
            await turn(self)
            await answered.wait()

        monkeypatch.setattr(slices.Slices, "turn", others)
        looking = asyncio.ensure_future(screen.look())
        answer = await house.send("DELETE", "/queues/q49?confirm=q49")
        assert (answer.status_code, looking.done()) == (200, False)
        answered.set()
        await looking

    screen.now += SECOND
    house.run(both())
    assert_as_stats(house, screen.at(SECOND))


def test_a_ledger_that_cannot_be_read_kills_nothing(house, screen, monkeypatch):
    house.pushed("bad", 1, 2, max_attempts=1)
    settle(house, "bad")
    screen.at(SECOND)
    sights = type(house.queues.sights)
    inside = sights.inside

    def unreadable(self):
        raise LedgerUnavailable("the disk fails")

    monkeypatch.setattr(sights, "inside", unreadable)
    shown = screen.at(SECOND)
    assert (shown["totals"]["dead"], shown["totals"]["waiting"], shown["totals"]["died"]) == (1, 1, 1)
    monkeypatch.setattr(sights, "inside", inside)
    assert screen.at(SECOND)["totals"]["died"] == 1


def test_what_many_queues_hold_is_read_in_few_rows(house):
    for number in range(450):
        house.pushed(f"q{number}", *range(number % 3))
    inside = house.run(asyncio.to_thread(house.queues.sights.inside))
    told = {name: inside.get(house.queues.get(name).line.row.id) for name in ("q0", "q1", "q2", "q449")}
    assert told == {"q0": None, "q1": Inside(1, 0, 0), "q2": Inside(2, 0, 0), "q449": Inside(2, 0, 0)}
    assert len(inside) == 300


def test_two_looks_within_a_second_are_one_bar_and_lose_nothing(house, screen):
    house.define("ids", "count")
    for _ in range(100):
        house.ask("POST", "/queues/ids/next?count=3")
        screen.at(SECOND // 2 + SECOND)
        screen.at(SECOND // 4)
        house.ask("POST", "/queues/ids/next?count=2")
        screen.at(SECOND // 4)
    minute = screen.at(0)["minute"]
    assert sum(minute) == 5 * 30  # of the 60 seconds, a turn takes two
    assert len(minute) == 60


def test_by_how_many_workers_something_is_leased(house, screen, monkeypatch):
    house.pushed("jobs", *range(9))
    house.pushed("others", *range(9))
    assert screen.at(SECOND)["totals"]["workers"] == {"count": 0, "unnamed": False, "more": False}
    for queue, worker in (
        ("jobs", "ann"),
        ("jobs", "bob"),
        ("jobs", "ann"),
        ("others", "ann"),
        ("others", "eve"),
    ):
        house.lease(queue, max=1, worker=worker)
    assert screen.at(SECOND)["totals"]["workers"] == {"count": 3, "unnamed": False, "more": False}
    house.lease("others", max=1)
    assert screen.at(SECOND)["totals"]["workers"] == {"count": 3, "unnamed": True, "more": False}
    shown = screen.at(0, lambda name: name == "jobs")  # who sees these alone is told of no others
    assert shown["totals"]["workers"] == {"count": 2, "unnamed": False, "more": False}
    monkeypatch.setattr("dibs.ledger.sqlite.sights.WORKERS_MOST", 2)
    assert screen.at(SECOND)["totals"]["workers"]["more"]


def test_who_holds_leases_of_a_queue_that_is_gone_holds_nothing(house, screen, monkeypatch):
    house.pushed("jobs", 1)
    house.lease("jobs", max=1, worker="ann")
    row = house.queues.get("jobs").line.row.id
    left = Workers({row: {"ann"}, row + 1000: {"bob"}}, all=True)  # of a deleted one, until it is swept
    monkeypatch.setattr(house.queues.sights, "workers", lambda: left)
    assert screen.at(SECOND)["totals"]["workers"] == {"count": 1, "unnamed": False, "more": False}


def detail(screen, span="15m"):
    """The queue ``jobs`` as it is shown now."""
    house = screen.house
    actions = house.app.state.context.actions
    shown = Detail(house.queues, screen.recorder, actions, "jobs", settings=Settings)
    return house.run(shown.shown(screen.now, span))


def test_the_charts_go_back_a_week_and_tell_rates_of_the_time_that_was_counted(house, screen):
    house.pushed("jobs", *range(7_200))
    house.ask("POST", "/queues/jobs/next?count=3600")
    screen.at(SECOND)
    step = 2 * HOUR
    screen.at(HOUR - SECOND)
    week = detail(screen, "7d")["series"]
    begun = BEGIN - BEGIN % step
    assert (week["step"], week["from"]) == (step, (screen.now // step - 83) * step)
    place = (begun - week["from"]) // step
    out = {n: each for n, each in enumerate(week["out"]) if each}
    covered = (min(screen.now, begun + step) - BEGIN) / 1000
    assert out == {place: round(3_600 / covered, 4)}
    screen.at(6 * 24 * HOUR)
    house.ask("POST", "/queues/jobs/next?count=3600")
    screen.at(SECOND)
    screen.at(step)
    week = detail(screen, "7d")["series"]
    assert [each for each in week["out"] if each] == [
        round(3_600 / ((begun + step - BEGIN) / 1000), 4),
        round(3_600 / (step / 1000), 4),
    ]
    assert sum(each is None for each in week["out"]) == (begun - week["from"]) // step
    screen.at(7 * 24 * HOUR)
    assert not any(detail(screen, "7d")["series"]["out"])


def test_that_only_some_leases_were_counted_is_told(house, screen, monkeypatch):
    house.pushed("jobs", *range(9))
    for worker in ("ann", "bob", "eve"):
        house.lease("jobs", max=2, worker=worker)
    told = detail(screen)["flight"]
    assert (told["items"], told["counted"], told["worker_count"]) == (6, None, 3)
    for module in ("dibs.ledger.sqlite.sights", "dibs.dashboard.detail"):
        monkeypatch.setattr(f"{module}.LEASES_MOST", 2)
    told = detail(screen)["flight"]
    assert (told["items"], told["counted"], told["worker_count"]) == (6, 4, 2)
