"""``dibs doctor``: each thing that it finds is planted here, and it changes nothing."""

import json
import os
import resource
import shutil
import signal
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import apsw
import httpx
import pytest
from dibs.cli import doctor_folder, doctor_machine, doctor_server
from dibs.cli.http import Api
from dibs.config import Settings, version
from dibs.ledger.sqlite import examining, lock, sums
from dibs.queue.limits import Limits
from support.powers import powerless

from .conftest import Serving


def by_about(findings):
    return {finding.about: finding for finding in findings}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """The data folder of a server that was stopped in order."""
    place = tmp_path_factory.mktemp("stopped")
    server = Serving(place)
    try:
        httpx.post(f"{server.url}/next?count=100").raise_for_status()
        assert server.end() == 0
    finally:
        server.close()
    return place / "dibs-data"


@pytest.fixture
def folder(stopped, tmp_path):
    """A copy of that one."""
    return Path(shutil.copytree(stopped, tmp_path / "dibs-data"))


def look(folder):
    return by_about(doctor_folder.look_at(folder))


def levels(found):
    return {about: finding.level for about, finding in found.items()}


def seen(folder):
    return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.iterdir()}


class TestFolder:
    def test_one_that_is_well_and_nothing_in_it_is_touched(self, folder, monkeypatch):
        monkeypatch.setattr(doctor_folder, "filesystem", lambda *_: "ext4")
        before = seen(folder)
        assert set(levels(look(folder)).values()) == {"well"}
        assert seen(folder) == before

    def test_while_a_server_uses_it(self, serve, dibs, tmp_path):
        server = serve()
        found = look(tmp_path / "dibs-data")
        assert found["integrity"].level == "well"
        assert f"process {server.process.pid}" in found["integrity"].found
        assert httpx.post(f"{server.url}/next").status_code == 200

    def test_not_there_yet(self, tmp_path):
        found = look(tmp_path / "none")
        assert (found["folder"].level, (tmp_path / "none").exists()) == ("note", False)

    def test_can_not_be_made(self, tmp_path):
        tmp_path.chmod(0o500)
        with powerless():
            assert look(tmp_path / "none")["folder"].level == "mend"

    def test_one_that_may_not_be_read(self, folder):
        """That of a server which runs as another user, which is the usual one."""
        folder.chmod(0o300)
        with powerless():
            found = look(folder)["folder"]
        folder.chmod(0o700)
        assert (found.level, found.mend) == ("mend", "run it as the server's user")
        assert "Permission denied" in found.found

    def test_a_file_in_its_place(self, tmp_path):
        (tmp_path / "file").touch()
        assert levels(look(tmp_path / "file")) == {"folder": "mend"}

    @pytest.mark.parametrize("name", ["", "dibs.db"])
    def test_others_can_read_it(self, folder, name):
        (folder / name).chmod(0o755)
        found = look(folder)["permissions"]
        assert (found.level, found.mend) == ("mend", f"chmod go-rwx {folder / name}")

    def test_its_mode_is_somebody_else_s_where_other_things_are_in_it(self, folder):
        (folder / "notes.txt").touch()
        folder.chmod(0o755)
        assert look(folder)["permissions"].level == "well"

    def test_can_not_be_written_to(self, folder):
        folder.chmod(0o500)
        assert look(folder)["permissions"].level == "mend"
        folder.chmod(0o700)

    def test_another_owner(self, folder, monkeypatch):
        monkeypatch.setattr("os.geteuid", lambda: 4711)
        assert look(folder)["owner"].level == "mend"

    @pytest.mark.parametrize(
        ("kind", "level"),
        [("nfs4", "mend"), ("cifs", "mend"), ("overlay", "mend"), ("tmpfs", "mend"), ("ext4", "well")],
    )
    def test_the_kind_of_its_disk(self, folder, tmp_path, monkeypatch, kind, level):
        mounts = tmp_path / "mounts"
        mounts.write_text(
            "22 1 8:1 / / rw,relatime shared:1 - xfs /dev/vda rw\n"
            f"23 22 8:2 / {folder.parent} rw shared:2 master:1 - {kind} somewhere rw\n"
            f"24 22 8:3 / {folder.parent}-other rw - btrfs /dev/vdc rw\n"
        )
        monkeypatch.setattr(doctor_folder, "MOUNTS", mounts)
        assert look(folder)["filesystem"].level == level

    def test_the_last_mount_at_a_place_counts_and_names_may_have_blanks(self, tmp_path):
        place = tmp_path / "a b"
        place.mkdir()
        mounts = tmp_path / "mounts"
        point = str(place).replace(" ", "\\040")
        mounts.write_text(f"1 0 8:1 / {point} rw - ext4 a rw\n2 1 8:1 / {point} rw - nfs b rw\n")
        assert doctor_folder.filesystem(place / "x", mounts) == "nfs"
        assert doctor_folder.filesystem(place, tmp_path / "none") == ""

    def test_room(self, folder, monkeypatch):
        for blocks, left, says in ((10, 9, "40.0 KiB are free"), (10**6, 0, "inodes")):
            disk = SimpleNamespace(f_bavail=blocks, f_frsize=4096, f_files=10, f_favail=left)
            monkeypatch.setattr("os.statvfs", lambda _, disk=disk: disk)
            found = look(folder)["room"]
            assert (found.level, says in found.found) == ("mend", True)

    def test_a_newer_format(self, folder):
        rewrite(folder / "dibs.db", f"PRAGMA user_version = {examining.VERSION + 1}")
        found = look(folder)
        assert (found["format"].level, "integrity" in found) == ("mend", False)

    def test_an_older_format(self, folder):
        rewrite(folder / "dibs.db", f"PRAGMA user_version = {examining.VERSION - 1}")
        assert (look(folder)["format"].level, look(folder)["integrity"].level) == ("note", "well")

    def test_another_program_s_file(self, tmp_path):
        (tmp_path / "data").mkdir(mode=0o700)
        rewrite(tmp_path / "data" / "dibs.db", "CREATE TABLE t (x)")
        assert "no ledger of dibs" in look(tmp_path / "data")["ledger"].found

    def test_the_ledger_is_gone(self, folder):
        (folder / "dibs.db").unlink()
        assert (look(folder)["ledger"].level, "is missing" in look(folder)["ledger"].found) == ("mend", True)

    def test_its_log_is_gone(self, serve, tmp_path):
        server = serve()
        httpx.post(f"{server.url}/next")
        server.end(signal.SIGKILL)
        found = look(tmp_path / "dibs-data")
        assert levels(found)["integrity"] == "well"
        (tmp_path / "dibs-data" / "dibs.db-wal").unlink()
        assert "dibs.db-wal is missing" in look(tmp_path / "dibs-data")["ledger"].found

    def test_nothing_in_it_yet(self, tmp_path):
        (tmp_path / "data").mkdir(mode=0o700)
        assert look(tmp_path / "data")["ledger"].level == "note"

    def test_damage(self, folder):
        size = (folder / "dibs.db").stat().st_size
        with (folder / "dibs.db").open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (size - 4096))
        found = look(folder)["integrity"]
        assert (found.level, found.mend) == ("mend", "stop the server, and put a backup in its place")

    @pytest.mark.skipif(not sums.available(), reason="this build of apsw has no cksumvfs")
    def test_a_page_that_was_changed_by_another_program(self, folder):
        with sqlite3.connect(folder / "dibs.db") as ledger:
            ledger.execute("UPDATE ledger SET number = number + 1")
        ledger.close()
        (folder / "dibs.db-wal").unlink(missing_ok=True)
        assert look(folder)["integrity"].level == "mend"

    def test_a_check_that_takes_too_long_is_ended_and_said(self, folder):
        found = examining.examine(folder, seconds=-1)  # the time is over before it begins
        told = by_about(doctor_folder._ledger(folder, found._replace(checked=False, damage="")))
        assert told["integrity"].level == "note"

    def test_a_log_that_grows(self, folder):
        with (folder / "dibs.db-wal").open("wb") as log:
            log.truncate(doctor_folder.LOG_MOST + 1)
        (folder / "dibs.db-wal").chmod(0o600)
        assert look(folder)["log"].level == "mend"

    def test_a_clock_that_was_set_back(self, folder):
        rewrite(folder / "dibs.db", "UPDATE ledger SET clock = clock + 7200000")
        found = look(folder)["clock"]
        assert (found.level, "2.0 h" in found.found) == ("mend", True)


def rewrite(path, sql):
    """Change a database, with the sums of its pages."""
    sums.available()
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA wal_checkpoint; PRAGMA journal_mode = DELETE; {sql};").fetchall()
    connection.close()
    path.chmod(0o600)


def test_whose_lock_it_is_without_a_list_of_locks(tmp_path, monkeypatch):
    monkeypatch.setattr("pathlib.Path.read_text", lambda *_: (_ for _ in ()).throw(OSError()))
    (tmp_path / "lock").write_text(f"{os.getpid()}\n")
    assert lock.noted(tmp_path)[0] == os.getpid()
    monkeypatch.setattr("os.kill", lambda *_: (_ for _ in ()).throw(ProcessLookupError()))
    assert lock.noted(tmp_path) == (None, None)


class TestMachine:
    def test_open_files_against_requests_that_may_wait(self):
        settings = Settings(limits=Limits(waiting=5_000))
        assert [finding.level for finding in doctor_machine.open_files(settings, 1024)] == ["mend"]
        assert [finding.level for finding in doctor_machine.open_files(settings, 8192)] == ["well"]

    @pytest.mark.parametrize(
        ("environ", "url", "level"),
        [
            ({}, "http://127.0.0.1:8000", "well"),
            ({"HTTP_PROXY": "http://p:1"}, "http://127.0.0.1:8000", "mend"),
            ({"http_proxy": "http://p:1"}, "http://localhost:8000", "mend"),
            ({"ALL_PROXY": "http://p:1"}, "http://[::1]:8000", "mend"),
            ({"HTTPS_PROXY": "http://p:1"}, "http://127.0.0.1:8000", "well"),
            (
                {"HTTP_PROXY": "http://p:1", "NO_PROXY": "a.example, 127.0.0.1"},
                "http://127.0.0.1:8000",
                "well",
            ),
            ({"HTTP_PROXY": "http://p:1", "no_proxy": ".example.com"}, "http://q.example.com", "well"),
            ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "*"}, "http://q.example.com", "well"),
            ({"HTTP_PROXY": "http://p:1"}, "http://q.example.com", "note"),
        ],
    )
    def test_proxies(self, environ, url, level):
        assert [finding.level for finding in doctor_machine.proxies(url, environ)] == [level]

    @pytest.mark.parametrize(("wall", "level"), [(1009.0, "well"), (1012.0, "mend"), (1001.0, "mend")])
    def test_a_clock_that_jumps(self, wall, level):
        assert [each.level for each in doctor_machine.clock((1000.0, 50.0), (wall, 59.0))] == [level]

    def test_versions(self):
        assert [each.about for each in doctor_machine.versions("3.54.1")] == ["python", "sqlite", "dibs"]


class Fake(httpx.BaseTransport):
    """A server that answers health checks with these headers."""

    def __init__(self, ready=(200, {}), queues=(), **headers):
        self._ready = ready
        self._queues = queues
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def handle_request(self, request):
        if request.url.path == "/events":
            return httpx.Response(200, content=b"event: hello\ndata: {}\n\n")
        if request.url.path == "/queues":
            return httpx.Response(200, json={"queues": self._queues, "next": None})
        status, told = self._ready if request.url.path == "/readyz" else (200, {})
        return httpx.Response(status, headers=self._headers, json=told)


NOW = "Thu, 01 Jan 2026 00:00:00 GMT"
AT = 1_767_225_600.0


class TestServer:
    @pytest.fixture
    def look(self, monkeypatch):
        def look(at, **headers):
            monkeypatch.setattr("time.time", lambda: at)
            found = doctor_server.look_through("http://x", named=True, transport=Fake(**headers))
            return levels(by_about(found))

        return look

    def test_well(self, look):
        assert look(AT + 0.5, dibs_version=version(), date=NOW) == {
            "server": "well",
            "ready": "well",
            "server's clock": "well",
            "queues": "well",
            "streaming": "well",
        }

    def test_queues_that_have_failed_are_named_with_the_command(self):
        failed = [
            {"queue": f"q{n}", "failure": {"seq": n, "type": "ValueError", "message": "why"}}
            for n in range(12)
        ]
        there = Fake(queues=[{"queue": "a", "failure": None}, *failed], dibs_version=version(), date=NOW)
        found = by_about(doctor_server.look_through("http://x", named=True, transport=there))
        assert found["queue q3"][1:] == (
            "at 3: ValueError: why",
            "mend its source, then `dibs retry q3`",
            "mend",
        )
        assert [about for about in found if about.startswith("queue ")] == [f"queue q{n}" for n in range(10)]
        assert found["queues"][1:] == ("2 more have failed", "`dibs queues` shows them", "mend")

    @pytest.mark.parametrize(
        ("told", "says"),
        [({"detail": "`dibs accept`"}, "`dibs accept`"), ([], "it hands nothing out: /readyz answers 503")],
    )
    def test_one_that_hands_nothing_out(self, told, says):
        there = Fake(ready=(503, told), dibs_version=version(), date=NOW)
        found = by_about(doctor_server.look_through("http://x", named=True, transport=there))
        assert (found["ready"].level, found["ready"].found) == ("mend", says)

    @pytest.mark.parametrize(
        ("name", "helps"),
        [
            ("no-owner", "`Several servers on one database`"),
            ("restored", "`Backups`"),
            ("not-ready", "`When something fails`"),
            ("unauthenticated", "DIBS_TOKEN"),
        ],
    )
    def test_what_helps_depends_on_why_it_refuses(self, name, helps):
        told = {"type": f"urn:dibs:problem:{name}", "status": 503, "detail": "why"}

        def answer(request):
            if request.url.path == "/healthz":
                return httpx.Response(200, headers={"dibs-version": version(), "date": NOW}, json={})
            return httpx.Response(503, json=told)

        transport = httpx.MockTransport(answer)
        found = by_about(doctor_server.look_through("http://x", named=True, transport=transport))
        for about in ("ready", "queues", "streaming"):
            assert helps in found[about].mend
            assert ("DIBS_TOKEN" in found[about].mend) == (name == "unauthenticated")

    def test_where_nobody_owns_nothing_else_is_asked(self):
        asked, told = [], {"type": "urn:dibs:problem:no-owner", "status": 503, "detail": "nobody owns"}

        def answer(request):
            asked.append(request.url.path)
            status, body = (200, {}) if request.url.path == "/healthz" else (503, told)
            return httpx.Response(status, headers={"dibs-version": version(), "date": NOW}, json=body)

        transport = httpx.MockTransport(answer)
        found = by_about(doctor_server.look_through("http://x", named=True, transport=transport))
        assert asked == ["/healthz", "/readyz"]
        assert (found["ready"].level, found["ready"].found) == ("mend", "nobody owns")
        for about in ("queues", "streaming"):
            assert (found[about].level, found[about].found) == ("note", "not looked at: nobody owns")

    @pytest.mark.parametrize("at", [AT - 3, AT + 4])
    def test_another_clock(self, look, at):
        assert look(at, dibs_version=version(), date=NOW)["server's clock"] == "mend"

    def test_another_version(self, look):
        assert look(AT, dibs_version="0.1.0", date=NOW)["server"] == "mend"

    def test_no_dibs(self, look):
        assert look(AT, date=NOW) == {"server": "mend"}

    def test_no_date(self, look):
        assert look(AT, dibs_version=version())["server's clock"] == "note"

    @pytest.mark.parametrize(("named", "level"), [(True, "mend"), (False, "note")])
    def test_none(self, named, level):
        found = doctor_server.look_through("http://127.0.0.1:1", named=named)
        assert [finding.level for finding in found] == [level]

    def test_something_keeps_events_back(self, buffering):
        api = Api(buffering)
        api.line.wire.timeout = 0.2
        (found,) = doctor_server.streaming(api, quiet=0.1)
        assert (found.level, "proxy_buffering off" in found.mend) == ("mend", True)


@pytest.fixture
def buffering():
    """A proxy that says the head of an answer, and keeps the rest until there is more of it."""
    release = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            release.wait(30)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    release.set()
    server.shutdown()
    server.server_close()
    thread.join()


class TestCommand:
    def test_all_of_it_as_json(self, serve, dibs):
        server = serve()
        done = dibs("doctor", "--json", "--url", server.url, env={"NO_PROXY": "127.0.0.1"})
        told = json.loads(done.stdout)
        abouts = [each["about"] for each in told["findings"]]
        assert abouts == [
            *("settings", "permissions", "filesystem", "room", "format", "integrity", "log", "python"),
            *("sqlite", "dibs", "open files", "proxies", "server", "ready"),
            *("server's clock", "queues", "streaming", "clock"),
        ]
        assert done.returncode == (0 if told["well"] else 1)
        others = [
            each for each in told["findings"] if each["about"] not in {"filesystem", "room", "open files"}
        ]
        assert [each for each in others if each["level"] == "mend"] == []

    def test_wrong_settings_and_a_folder_that_others_can_read(self, dibs, tmp_path):
        (tmp_path / "dibs.toml").write_text("prot = 1\n")
        (tmp_path / "data").mkdir(mode=0o755)
        (tmp_path / "data").chmod(0o755)
        done = dibs("doctor", "--data", "data")
        assert done.returncode == 1
        assert "there is no such setting" in done.stdout
        assert "chmod go-rwx data" in done.stdout
        assert done.stdout.rstrip().endswith("things to mend.")

    def test_no_folder_here_of_a_server_that_is_named(self, run, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("DIBS_URL", raising=False)
        _, out, _ = run("doctor", "--url", "http://127.0.0.1:9", "--json")
        [folder] = [each for each in json.loads(out)["findings"] if each["about"] == "folder"]
        assert folder["mend"].startswith(
            "to look at the ledger of http://127.0.0.1:9, say where it is: --data "
        )
        _, out, _ = run("doctor", "--url", "http://127.0.0.1:9", "--data", "none")
        assert "the first `dibs serve` makes it" in out

    def test_memory(self, run, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("DIBS_URL", "http://127.0.0.1:9")
        assert "the ledger is in memory" in run("doctor", "--data", ":memory:")[1]


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux tells this of another process")
def test_a_server_may_have_as_many_open_files_as_the_system_allows(serve):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    pid = serve().process.pid
    soft = resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
    assert soft in {min(hard, 65_536), resource.getrlimit(resource.RLIMIT_NOFILE)[0]}
    assert soft >= min(hard, 65_536)
