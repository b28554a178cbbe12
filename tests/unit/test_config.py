import math
import re
from datetime import date
from pathlib import Path

import pytest
from dibs.config import Settings, is_loopback, load
from dibs.config_layers import unknown_variables
from dibs.errors import ConfigError
from dibs.ledger.work import FOREVER
from dibs.queue import Definition
from dibs.queue.definition import KEPT
from dibs.queue.limits import Limits
from dibs.sources import SourceSpec


@pytest.fixture(autouse=True)
def _nothing_around(monkeypatch, tmp_path):
    import os

    for name in [name for name in os.environ if name.startswith("DIBS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def write(tmp_path):
    def write(text, name="dibs.toml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def refusal(options=None, file=None):
    with pytest.raises(ConfigError) as caught:
        load(options, file=file)
    return str(caught.value)


def test_the_defaults():
    settings = load()
    assert (settings.host, settings.port, settings.data) == ("127.0.0.1", 8000, Path("dibs-data"))
    assert settings.queues == {}
    assert settings.limits == Limits()


def test_each_layer_wins_over_the_one_below(write, monkeypatch):
    write("port = 1\nhost = '127.0.0.2'\ndata = 'file'\n")
    assert load().port == 1
    monkeypatch.setenv("DIBS_PORT", "2")
    assert load().port == 2
    settings = load({"port": 3})
    assert (settings.port, settings.host, settings.data) == (3, "127.0.0.2", Path("file"))


def test_settings_on_their_own_read_nothing(write, monkeypatch):
    write("port = 1\n")
    monkeypatch.setenv("DIBS_PORT", "2")
    assert Settings().port == 8000


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1
    with pytest.raises(ValueError, match="frozen"):
        Settings().limits.count = 1


def test_the_file_is_named_by_option_then_by_environment(write, monkeypatch):
    write("port = 1\n")
    monkeypatch.setenv("DIBS_CONFIG", str(write("port = 2\n", "other.toml")))
    assert load().port == 2
    assert load(file=write("port = 3\n", "third.toml")).port == 3


@pytest.mark.parametrize(
    "written",
    [
        'queues.ids = "count(start=100)"',
        '[queues]\nids = "count(start=100)"',
        '[queues.ids]\nsource = "count(start=100)"',
        '[queues.ids]\nsource = "count"\nargs = {start = 100}',
    ],
)
def test_a_queue_in_the_file(write, written):
    write(written)
    assert load().queues == {"ids": Definition(SourceSpec("count", {"start": 100}))}


@pytest.mark.parametrize("written", ['queues.jobs = ""', "[queues.jobs]\nsource = ''"])
def test_a_queue_without_a_source_is_pushed_to(write, written):
    write(written)
    assert load().queues == {"jobs": Definition(None)}


def test_a_queue_whose_source_is_not_named_keeps_it(write):
    write("[queues.jobs]\nmax_attempts = 3\n[queues.ids]")
    assert load().queues == {"jobs": Definition(KEPT, {"max_attempts": 3}), "ids": Definition(KEPT)}


def test_how_long_things_are_kept_is_in_seconds_or_for_ever(write):
    write('[queues.jobs]\nkey_ttl = 1.5\nitem_key_ttl = "forever"\nhistory = 0')
    kept = {"key_ttl": 1_500, "item_key_ttl": FOREVER, "history": 0}
    assert load().queues["jobs"].settings == kept


def test_a_queue_with_settings_in_seconds(write):
    named = {"max_attempts": 3, "backoff": 500, "backoff_max": 60_000, "jitter": 0.0, "max_ready": 1000}
    write("[queues.jobs]\nmax_attempts = 3\nbackoff = 0.5\nbackoff_max = 60\njitter = 0\nmax_ready = 1000")
    assert load().queues == {"jobs": Definition(KEPT, named)}


def test_zero_attempts_and_zero_ready_are_no_bound(write):
    write('[queues.jobs]\nsource = "count"\nmax_attempts = 0\nmax_ready = 0')
    settings = load().queues["jobs"].settings
    assert settings == {"max_attempts": None, "max_ready": None}


def test_options_add_queues_to_those_of_the_file(write):
    write('[queues]\na = "count"\nb = "count"')
    queues = load({"queues": {"b": "range(3)", "c": "uuid7"}}).queues
    assert {name: str(queue) for name, queue in queues.items()} == {
        "a": "count",
        "b": "range(3)",
        "c": "uuid7",
    }


def test_limits_from_the_file_and_from_the_environment(write, monkeypatch):
    write("[limits]\ncount = 5\nwait = 2.5\n")
    monkeypatch.setenv("DIBS_LIMITS__COUNT", "7")
    assert load().limits == Limits(count=7, wait=2.5)


def test_hosts_are_a_list_with_commas_in_the_environment(monkeypatch):
    monkeypatch.setenv("DIBS_ALLOWED_HOSTS", "dibs.example, dibs")
    assert load().allowed_hosts == ("dibs.example", "dibs")


def test_memory_is_not_a_folder():
    assert load({"data": ":memory:"}).data == ":memory:"
    assert load({"data": "./postgres:/jobs"}).data == Path("postgres:/jobs")


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("prot = 1", ["dibs.toml", "prot", "no such setting; did you mean port?"]),
        ("port = true", ["port: it must be a whole number from 0 to 65535, and is true"]),
        ("port = ''", ["port: it is empty, and must be a whole number"]),
        ("data = 5", ["data: it must be a folder, :memory:, or a database as postgresql://…"]),
        ("log_level = 'loud'", ["debug, info, notice, warning or error, and is 'loud'"]),
        ("allow_get = 5", ["allow_get: it must be true, false or all, and is 5"]),
        ("trusted_proxies = ['a', 'b']", ["addresses or networks", "'a' is none"]),
        ("old = 0", ["old: it must be a number above 0, and is 0"]),
        ("recover_bytes = -1", ["it must be a whole number, 0 or more, and is -1"]),
        ("source_root = ''", ["source_root: it is empty"]),
        ("source_root = 'nowhere'", ["source_root: there is no folder nowhere"]),
        ("limits = 5", ["limits: it must be a table, and is 5"]),
        ("[limits]\nwait = true", ["limits.wait: it must be a number from 0 to 3600, and is true"]),
        ("[queues.ids]\nbackoff = 9\nbackoff_max = 1", ["ids: backoff is over backoff_max (1 seconds)"]),
        ("threads = 2", ["dibs.toml", "threads", "no such setting"]),
        ("port = 70000", ["dibs.toml", "port", "65535"]),
        ("port = 'x'", ["dibs.toml", "port"]),
        ("port = ", ["dibs.toml", "nvalid value"]),
        ("[limits]\ncuont = 1", ["dibs.toml", "limits.cuont", "no such setting"]),
        ("[limits]\ncount = 0", ["dibs.toml", "limits.count", "from 1 to 1000000, and is 0"]),
        ("queues = 3", ["dibs.toml", "queues"]),
        ('[queues]\nIds = "count"', ["dibs.toml", "Ids", "a-z"]),
        ('[queues]\n".." = "count"', ["dibs.toml", "'..'"]),
        ('[queues]\nids = "count("', ["dibs.toml", "ids", "position"]),
        ("[queues.ids]\nargs = {start = 1}", ["dibs.toml", "ids", "no source"]),
        ("[queues.ids]\nmax_attempts = -1", ["dibs.toml", "ids", "max_attempts", "1000000"]),
        ("[queues.ids]\njitter = 2", ["dibs.toml", "ids", "jitter", "0 to 1"]),
        ("[queues.ids]\nbackoff = nan", ["dibs.toml", "ids", "backoff"]),
        ("[queues.ids]\nkey_ttl = 0", ["dibs.toml", "ids", "key_ttl", "1 to 3155760000"]),
        ("[queues.ids]\nitem_key_ttl = 'ever'", ["dibs.toml", "ids", "item_key_ttl"]),
        ("[queues.ids]\nhistory = -1", ["dibs.toml", "ids", "history"]),
        ("[queues.ids]\nsource = 'count'\nargs = 3", ["dibs.toml", "ids", "args"]),
        ("[queues.ids]\nsource = 'count'\nargs = {start = nan}", ["ids", "args.start", "nan"]),
        ("[queues.ids]\nsource = 'grid'\nargs = {day = [2026-12-01]}", ["ids", "args.day", "type date"]),
        ("[limits]\nkey_ttl = inf", ["limits.key_ttl", "60 to 3155760000", "inf"]),
        ("[queues.ids]\nsource = 'count'\nsorce = 3", ["dibs.toml", "ids", "sorce"]),
        ("[queues.ids]\nsource = 'count(start=1)'\nargs = {start = 2}", ["ids", "start", "twice"]),
        ("data = ''", ["dibs.toml", "data", "empty"]),
        ("data = 'postgres:/host/jobs'", ["dibs.toml", "data", "postgresql://", "./"]),
        ("data = 'PostgreSQL:host'", ["dibs.toml", "data", "postgresql://", "./"]),
        ("data = 'mysql://host/jobs'", ["dibs.toml", "data", "postgresql://", "./"]),
        ("workers = 2", ["dibs.toml", "workers", "same values"]),
    ],
)
def test_what_is_wrong_in_the_file_is_named(write, written, says):
    write(written)
    message = refusal()
    assert [part for part in says if part not in message] == []


def test_what_is_wrong_in_the_environment_is_named(monkeypatch):
    monkeypatch.setenv("DIBS_PORT", "tcp://10.0.0.1:8000")
    assert refusal().startswith("environment variable DIBS_PORT: ")
    monkeypatch.setenv("DIBS_PORT", "1")
    monkeypatch.setenv("DIBS_LIMITS__COUNT", "0")
    assert refusal().startswith("environment variable DIBS_LIMITS__COUNT: ")
    monkeypatch.setenv("DIBS_LIMITS__COUNT", "1")
    monkeypatch.setenv("DIBS_QUEUES", "{")
    assert refusal() == 'environment variable DIBS_QUEUES: it must be JSON, such as {"NAME": "VALUE"}'
    monkeypatch.setenv("DIBS_QUEUES", "{}")
    monkeypatch.delenv("DIBS_LIMITS__COUNT")
    monkeypatch.setenv("DIBS_LIMITS", '{"count": 0}')
    assert refusal().startswith("environment variable DIBS_LIMITS: limits.count: ")


@pytest.mark.parametrize("table", [Settings, Limits])
def test_each_setting_is_named_with_its_limits_and_one_line_whatever_is_written(table):
    """A value of each kind that TOML has: what is refused is told once, and without a word of pydantic's."""
    wrong = 0
    for name in table.model_fields:
        for value in ([], {}, 10**25, -5, 0.5, math.nan, True, "", "x", date(2026, 1, 31), ["\0"]):
            written = {name: value} if table is Settings else {"limits": {name: value}}
            try:
                load(written)
            except ConfigError as error:
                wrong += 1
                (line,) = str(error).splitlines()
                assert re.match(r"option --(queue|[a-z-]+): \S", line)
                assert not re.search(r"[Ii]nput|valid|lax|literal|<class|default:", line)
    assert wrong > 5 * len(table.model_fields)


def test_what_is_wrong_in_an_option_is_named():
    assert refusal({"port": -1}).startswith("option --port: ")
    assert refusal({"queues": {"a": "count("}}).startswith("option --queue: a: ")
    assert refusal({"workers": 2}).startswith("option --workers: ")


def test_of_queues_each_is_named_where_it_was_written(write, monkeypatch):
    write('[queues]\na = "count("\nb = "count("\nc = "count"\n')
    monkeypatch.setenv("DIBS_QUEUES__D", "count(")
    told = refusal({"queues": {"b": "range(", "c": "count"}}).splitlines()
    assert [line.partition("source")[0] for line in told] == [
        "config file dibs.toml: queues: a: ",
        "option --queue: b: ",
        "environment variable DIBS_QUEUES__D: d: ",
    ]


def test_a_file_that_is_named_must_be_there(tmp_path):
    assert "there is no such file" in refusal(file=tmp_path / "nowhere.toml")
    assert "directory" in refusal(file=tmp_path).lower()


def test_proxies_are_networks_and_their_users_have_roles(monkeypatch):
    monkeypatch.setenv("DIBS_TRUSTED_PROXIES", "127.0.0.1, 10.1.0.0/16,::1")
    monkeypatch.setenv("DIBS_PROXIED_ROLES", "operate:jobs*,read")
    settings = load()
    assert [str(network) for network in settings.trusted_proxies] == [
        "127.0.0.1/32",
        "10.1.0.0/16",
        "::1/128",
    ]
    assert settings.proxied_roles == ("operate:jobs*", "read")
    assert "DIBS_TRUSTED_PROXIES" in refusal_of(monkeypatch, "DIBS_TRUSTED_PROXIES", "proxy.example")
    assert "there is no role 'king'" in refusal_of(monkeypatch, "DIBS_PROXIED_ROLES", "king")


def refusal_of(monkeypatch, variable, text):
    with monkeypatch.context() as changed:
        changed.setenv(variable, text)
        return refusal()


@pytest.mark.parametrize(
    ("host", "is_it"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("localhost.example.com", False),
        ("10.0.0.1", False),
    ],
)
def test_loopback(host, is_it):
    assert is_loopback(host) is is_it


@pytest.mark.parametrize("model", [Settings, Limits])
def test_every_setting_says_what_it_is(model):
    assert [name for name, field in model.model_fields.items() if not field.description] == []


class TestAllAtOnce:
    def test_a_line_for_each_that_is_wrong(self, write):
        file = write("""
            port = "x"
            hots = "a"
            [queues]
            Up = "count"
            a = "nope("
            b = "count"
            [limits]
            count = 0
        """)
        told = refusal({"workers": 0}, file=file).splitlines()
        assert [line.partition(": ")[0] for line in told if "option" in line] == ["option --workers"]
        named = sorted(line.removeprefix(f"config file {file}: ").partition(":")[0] for line in told[:-1])
        assert {"port", "hots", "queues", "limits.count"} <= set(named) | {told[-1].split(": ")[1]}
        assert sum("queues: " in line for line in told) == 2

    def test_one_is_one_line(self, write):
        assert refusal({"port": -1}).count("\n") == 0


class TestUnknownVariables:
    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("DIBS_PROT", "; did you mean DIBS_PORT?"),
            ("DIBS_QUEUE_S", "; did you mean DIBS_QUEUES?"),
            ("DIBS_LIMIT__COUNT", "; did you mean DIBS_LIMITS?"),
            ("DIBS_LIMITS__CUONT", "; did you mean DIBS_LIMITS__COUNT?"),
            ("DIBS_LIMITS__FOO", ""),
            ("DIBS_LIMITS__FOO__BAR", ""),
            ("DIBS_SERVICE_HOST", ""),
            ("DIBS_THREADS", ""),
            ("DIBS_\x1b", ""),
        ],
    )
    def test_is_told_and_is_no_error(self, monkeypatch, caplog, name, meant):
        monkeypatch.setenv(name, "9000")
        assert load().port == 8000
        shown = name.replace("\x1b", "\\x1b")
        told = f"environment variable {shown} is no setting of dibs and has no effect{meant}"
        assert [record.getMessage() for record in caplog.records] == [told]

    def test_what_is_wrong_in_a_limit_that_there_is_stays_an_error(self, monkeypatch):
        monkeypatch.setenv("DIBS_LIMITS__FOO", "1")
        monkeypatch.setenv("DIBS_LIMITS__COUNT", "0")
        assert refusal().startswith("environment variable DIBS_LIMITS__COUNT: ")
        monkeypatch.setenv("DIBS_LIMITS", '{"cuont": 1}')
        assert "no such setting" in refusal()

    def test_those_that_mean_something_are_not(self):
        known = (
            "DIBS_PORT",
            "DIBS_LIMITS__THREADS",
            "DIBS_Port",
            "DIBS_limits__Threads",
            "DIBS_CONFIG",
            "DIBS_URL",
            "DIBS_SEQ",
            "OTHER_PROT",
        )
        assert unknown_variables(Settings, dict.fromkeys(known, "1")) == []
