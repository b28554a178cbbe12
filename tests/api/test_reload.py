"""A reload takes over what was changed in the configuration, as a whole or not at all, on every way in."""

import asyncio
import logging
import os
import sys
from functools import partial

import pytest
from dibs.access.caller import ANYBODY
from dibs.config import read
from dibs.dashboard.streams import Streams
from dibs.errors import ConfigError, LedgerUnavailable
from dibs.main import create_app
from dibs.queue.asking import take
from dibs.queue.configured import Configuring
from dibs.sources import functions


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "dibs.toml"

    def write(text):
        path.write_text('data = ":memory:"\n' + text)
        return path

    return write


@pytest.fixture
def house(file, way, house_class):
    """A server of the file, which has two queues."""
    path = file('[queues]\nids = "count(start=100)"\njobs = {source = "", max_attempts = 5}\n')
    with house_class(create_app(read=partial(read, file=path)), way) as house:
        yield house


def reload(house):
    answer = house.ask("POST", "/reload")
    assert answer.status_code == 200, answer.text
    return answer.json()


QUEUES = '[queues]\nids = "count(start=100)"\njobs = {source = "", max_attempts = 5}\n'


UNREAD = {"unread": []}


def test_nothing_that_was_changed_changes_nothing(house):
    queues = {"created": [], "changed": [], "gone": [], **UNREAD}
    nothing = {"changed": [], "kept": [], "queues": queues}
    assert reload(house) == nothing


def test_the_admins_file_is_read_again_and_one_that_is_wrong_changes_nothing(
    file, tmp_path, way, house_class
):
    tokens, admin, path = tmp_path / "admin", ["a" * 32, "b" * 32], file('admin_token_file = "admin"\n')
    tokens.write_text(admin[0])

    def ask(house, method, url, headers):
        return house.ask(method, url, headers=headers).status_code

    with house_class(create_app(read=partial(read, file=path)), way) as house:
        first, second = [{"authorization": f"Bearer {token}"} for token in admin]
        login = house.ask("POST", "/page/login", json={"token": admin[0]})
        cookie = {"cookie": login.headers["set-cookie"].partition(";")[0]}
        house._client.cookies.clear()
        tokens.write_text(" ".join(admin))
        assert ask(house, "POST", "/reload", first) == 200
        assert house.app.state.context.actions.of(None, 1)[0]["what"] == (
            "reloaded the settings: the tokens in the admin's file"
        )
        assert [ask(house, "GET", "/queues", each) for each in (first, second, cookie)] == [200] * 3
        tokens.write_text(admin[1])
        assert ask(house, "POST", "/reload", first) == 200  # its own answer is not cut off
        assert [ask(house, "GET", "/queues", each) for each in (first, cookie, second)] == [401, 401, 200]
        tokens.write_text("")
        file('admin_token_file = "admin"\nshow_values = false\n')
        refused = house.ask("POST", "/reload", headers=second)
        assert (refused.status_code, "nothing was changed: admin_token_file" in refused.text) == (409, True)
        assert house.app.state.context.settings.show_values
        assert ask(house, "GET", "/queues", second) == 200


class TestQueues:
    def test_new_ones_are_made_settings_applied_and_removed_ones_kept_and_told(self, house, file, caplog):
        house.ask("POST", "/queues/jobs/items", json={"items": [{"value": 1}]})
        file('[queues]\nids = {source = "count(start=100)", key_ttl = 60}\nmore = "range(3)"\n')
        assert reload(house)["queues"] == {"created": ["more"], "changed": ["ids"], "gone": ["jobs"]} | UNREAD
        assert house.ask("POST", "/queues/more/next").json()["value"] == 0
        assert house.ask("GET", "/queues/ids").json()["settings"]["key_ttl"] == 60
        assert house.ask("POST", "/queues/jobs/next").json()["value"] == 1
        assert house.ask("GET", "/queues/jobs").json()["configured"] == "gone"
        assert "jobs is no longer in the configuration" in caplog.text
        file(QUEUES)
        assert reload(house)["queues"] == {"created": [], "changed": [], "gone": ["more"]} | UNREAD
        assert house.ask("GET", "/queues/jobs").json()["configured"] == "file"

    def test_a_queue_of_http_becomes_one_of_the_file(self, house, file):
        house.pushed("other", 1, max_attempts=3)
        file(QUEUES + 'other = ""')
        assert reload(house)["queues"]["changed"] == ["other"]
        found = house.ask("GET", "/queues/other").json()
        assert (found["configured"], found["settings"]["max_attempts"], found["waiting"]) == ("file", 3, 1)

    def test_a_source_may_change_while_nothing_was_handed_out(self, house, file):
        file(QUEUES.replace("100", "200"))
        assert reload(house)["queues"]["changed"] == ["ids"]
        assert house.ask("POST", "/queues/ids/next").json()["value"] == 200

    def test_afterwards_it_is_refused_and_nothing_else_was_changed(self, house, file):
        house.ask("POST", "/queues/ids/next")
        file(QUEUES.replace("100", "200") + 'more = "count"\n[limits]\ncount = 5\n')
        answer = house.ask("POST", "/reload")
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:dibs:problem:conflict")
        assert answer.json()["detail"] == (
            "nothing was changed: queue ids = count(start=200), but the 1 items so far are of"
            " count(start=100). Give the new source a queue of its own, or put count(start=100) back"
        )
        assert house.ask("GET", "/queues/more").status_code == 404
        assert house.ask("POST", "/queues/ids/next?count=6").status_code == 200

    def test_an_item_that_is_taken_in_the_middle_of_it_changes_nothing(self, house, file, monkeypatch):
        checked = Configuring.check

        async def check(self, wrong):
            await checked(self, wrong)
            queue = house.queues.get("ids")
            await queue.asked(take(1, queue.line.limits))

        monkeypatch.setattr(Configuring, "check", check)
        file(QUEUES.replace("100", "200") + 'more = "count"\n[limits]\ncount = 5\n')
        answer = house.ask("POST", "/reload")
        assert (answer.status_code, "in the meantime" in answer.json()["detail"]) == (409, True)
        assert house.ask("GET", "/queues/more").status_code == 404
        assert house.ask("POST", "/queues/ids/next?count=6").json()["items"][0]["value"] == 101

    def test_a_failure_of_the_configuration_is_lifted(self, house, file, tmp_path, monkeypatch):
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "reloaded_later", raising=False)
        file(QUEUES + 'own = "reloaded_later:values"\n')
        assert house.ask("POST", "/reload").status_code == 409
        (tmp_path / "reloaded_later.py").write_text("def values():\n    yield 'x'\n")
        assert reload(house)["queues"]["created"] == ["own"]
        assert house.ask("POST", "/queues/own/next?wait=5").json()["value"] == "x"

    def test_while_the_disk_fails_nothing_is_changed(self, house, file, monkeypatch):
        file(QUEUES + 'more = "count"\n[limits]\ncount = 5\n')
        monkeypatch.setattr(house.queues.rounds, "down", LedgerUnavailable("the disk fails"))
        assert house.ask("POST", "/reload").status_code == 503
        monkeypatch.undo()
        assert house.ask("GET", "/queues/more").status_code == 404
        assert house.ask("POST", "/queues/ids/next?count=6").status_code == 200

    def test_code_that_was_changed_is_not_loaded_again_and_that_is_told(
        self, house, file, tmp_path, monkeypatch, caplog
    ):
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "reloaded_code", raising=False)
        monkeypatch.delitem(functions._imported, "reloaded_code", raising=False)
        code = tmp_path / "reloaded_code.py"
        code.write_text("def values():\n    yield 'old'\n")
        file(QUEUES + 'own = "reloaded_code:values"\n')
        assert reload(house)["queues"]["unread"] == []
        code.write_text("def values():\n    yield 'new'\n")
        os.utime(code, (1, 1))  # put back by a deployment: what counts is that it is another
        assert reload(house)["queues"] == {"created": [], "changed": [], "gone": [], "unread": ["own"]}
        assert f"queue own: the code in {code} was changed since it was loaded" in caplog.text
        assert house.ask("POST", "/queues/own/next?wait=5").json()["value"] == "old"
        code.unlink()
        assert reload(house)["queues"]["unread"] == []


class TestLimits:
    def test_what_is_known_by_its_bytes_is_read_anew(self, house, file):
        bodies = [{"max": 5}, {"max": 2}]
        house.ask("POST", "/queues/jobs/items", json={"items": [{"value": n} for n in range(8)]})
        for _ in range(2):
            assert house.ask("POST", "/queues/ids/next?count=5").status_code == 200
            assert house.ask("POST", "/queues/jobs/lease", json=bodies[0]).status_code in {200, 204}
        file(QUEUES + "[limits]\ncount = 2\n")
        assert reload(house)["changed"] == [{"setting": "limits.count", "was": 10_000, "is": 2}]
        answer = house.ask("POST", "/queues/ids/next?count=5")
        assert (answer.status_code, answer.json()["limit"]) == (422, "1..2")
        answer = house.ask("POST", "/queues/jobs/lease", json=bodies[0])
        assert (answer.status_code, answer.json()["limit"]) == (422, "1..2")
        assert house.ask("POST", "/queues/jobs/lease", json=bodies[1]).status_code in {200, 204}
        file(QUEUES)
        reload(house)
        assert house.ask("POST", "/queues/ids/next?count=5").status_code == 200

    def test_of_keys_and_their_heads(self, house, file):
        def next_(number):
            headers = {"Idempotency-Key": "a" * 40, "Idempotency-Sequence": str(number)}
            return house.ask("POST", "/queues/ids/next?count=3", headers=headers)

        assert [next_(number).status_code for number in (1, 2)] == [200, 200]
        file(QUEUES + "[limits]\ncount = 2\n")
        reload(house)
        assert next_(3).json()["limit"] == "1..2"
        file(QUEUES + "[limits]\nkey_bytes = 36\n")
        reload(house)
        assert next_(4).json()["limit"] == 36

    def test_of_bodies_and_of_the_document(self, house, file):
        file(QUEUES + "[limits]\nbody_bytes = 1024\nitems_bytes = 1024\nttl = 7\n")
        house.ask("GET", "/openapi.json")
        reload(house)
        answer = house.ask("POST", "/queues/jobs/items", json={"items": [{"value": "x" * 2000}]})
        assert (answer.status_code, answer.json()["limit"]) == (413, 1024)
        assert '"maximum": 7' in house.ask("GET", "/openapi.json").text

    def test_of_values_threads_and_patience_below_the_doors(self, house, file):
        file(
            QUEUES
            + 'own = {source = "", key_ttl = 5}\n[limits]\nthreads = 2\ncommit_patience = 3\nkey_ttl = 90\n'
        )
        reload(house)
        limits = house.app.state.context.limits
        assert (limits.threads, limits.commit_patience) == (2, 3)
        assert house.queues.get("ids").line.limits is limits
        assert house.ask("GET", "/queues/ids").json()["settings"]["key_ttl"] == 90

    def test_another_server_of_this_process_keeps_its_own(self, house, file, make):
        other = make()
        file(QUEUES + "[limits]\ncount = 2\n")
        reload(house)
        assert other.ask("POST", "/next?count=3").status_code == 200


class TestOtherSettings:
    def test_read_only_and_back_again(self, house, file):
        file("read_only = true\n" + QUEUES)
        assert reload(house)["changed"] == [{"setting": "read_only", "was": False, "is": True}]
        assert house.ask("POST", "/queues/ids/pause").status_code == 403
        file(QUEUES)
        reload(house)
        assert house.ask("POST", "/queues/ids/pause").status_code == 200

    def test_allow_get(self, house, file):
        assert house.ask("GET", "/queues/ids/next").status_code != 200
        file('allow_get = "all"\n' + QUEUES)
        reload(house)
        assert house.ask("GET", "/queues/ids/next").status_code == 200

    def test_what_needs_a_start_is_named_and_stays(self, house, file, caplog):
        file('port = 9000\nhost = "127.0.0.2"\nold = 3\n' + QUEUES)
        told = reload(house)
        assert (told["kept"], [each["setting"] for each in told["changed"]]) == (["host", "port"], ["old"])
        assert "port was changed, too, and stays 8000 until the next start" in caplog.text
        rows = {row["setting"]: row for row in house.ask("GET", "/config").json()["settings"]}
        assert (rows["port"]["value"], rows["port"]["origin"]) == (8000, "default")
        assert rows["old"]["value"] == 3
        assert rows["old"]["origin"].startswith("config file")
        assert (rows["old"]["live"], rows["port"]["live"]) == (True, False)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("port = 'x'\n", "port"),
        ("prot = 1\n", "prot: there is no such setting"),
        ("[limits]\ncount = 0\n", "limits.count"),
        ("[queues]\nids = 'count('\n", "position"),
        ("[queues\n", "dibs.toml"),
    ],
)
def test_a_wrong_configuration_changes_nothing_and_is_told(house, file, caplog, text, says):
    file("read_only = true\n" + text)
    with caplog.at_level(logging.WARNING):
        answer = house.ask("POST", "/reload")
    assert (answer.status_code, says in answer.json()["detail"], says in caplog.text) == (409, True, True)
    assert house.ask("POST", "/queues/ids/pause").status_code == 200


def test_all_that_is_wrong_is_told_at_once(house, file, tmp_path):
    """A setting, the certificate, a queue that can't be so, one that can't be read, and the admin's file."""
    house.ask("POST", "/queues/ids/next")
    file(
        'prot = 1\ntls_cert = "no.pem"\n[queues]\nids = "count(start=200)"\nbad = "count("\n'
        'more = "nothing_there"\n[limits]\ncount = 0\n'
    )
    house.app.state.context.checks.append(_wrong)
    answer = house.ask("POST", "/reload")
    told = answer.json()["detail"].removeprefix("nothing was changed: ").split("\n")
    place = f"config file {tmp_path / 'dibs.toml'}: "
    begun = [
        "the files in use are wrong",
        f"{place}prot: there is no such setting",
        f"{place}queues: bad",
        f"{place}limits.count: ",
        f"{place}tls_cert: no.pem: No such file",
        "queue ids = count(start=200), but the 1 items so far are of count(start=100)",
        "queue more = nothing_there: ",
    ]
    unmatched = [each for each in begun if not any(line.startswith(each) for line in told)]
    assert (answer.status_code, unmatched, len(told)) == (409, [], len(begun))


def _wrong():
    raise ConfigError("the files in use are wrong")


def test_it_is_an_action_that_can_be_read(house, file):
    file("read_only = true\n" + QUEUES + 'more = ""\n')
    reload(house)
    (action,) = house.app.state.context.actions.of(None, 10)
    told = "reloaded the settings: read_only = True, queue more"
    assert (action["queue"], action["what"]) == ("", told)
    assert action["who"].startswith("anybody at ")


def test_settings_of_a_program_are_not_reloaded(make):
    answer = make().ask("POST", "/reload")
    assert (answer.status_code, "a program gave" in answer.json()["detail"]) == (409, True)


def test_takes_in_the_middle_of_reloads_are_all_answered(house, file):
    """One reload at a time, between two steps of everything else: no request sees halves."""
    texts = [QUEUES + f"[limits]\ncount = {count}\nwait = {count}\n" for count in (2, 3)]

    async def take():
        return (await house.send("POST", "/queues/ids/next?count=3")).status_code

    async def reloads(text):
        file(text)
        return (await house.send("POST", "/reload")).status_code

    async def both():
        found = []
        for number in range(12):
            found += await asyncio.gather(reloads(texts[number % 2]), *(take() for _ in range(8)))
        return found

    assert set(house.run(both())) <= {200, 422}
    audit = house.ask("GET", "/queues/ids/audit").json()
    assert audit["balanced"]


def test_a_page_that_is_open_hears_of_it(house, file):
    """An open stream says anew who it is to the server, and shows no more than it may now."""
    house.ask("POST", "/queues/jobs/items", json={"items": [{"value": "secret"}]})
    context = house.app.state.context

    async def seen():
        streams = Streams(context.queues, context.actions, settings=lambda: context.settings)

        async def hello():
            return {"show_values": context.settings.show_values}

        watched = streams.watch({"view": "queue", "queue": "jobs"}, hello, ANYBODY)
        try:
            before = [await anext(watched), await anext(watched)]
            file("show_values = false\n" + QUEUES)
            await context.reloading.run(who="me")
            after = [await anext(watched)]
            while "hidden" not in after[-1]:
                after.append(await anext(watched))
            return before, after
        finally:
            await watched.aclose()
            streams.end()

    before, after = house.run(seen())
    assert '"show_values":true' in before[0]
    assert "secret" in before[1]
    assert '"show_values":false' in after[0]
    assert "secret" not in after[-1]
