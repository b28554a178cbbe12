import re
import subprocess
import sys

import pytest
from typer.main import get_group

COMMANDS = [
    "serve",
    "next",
    "push",
    "work",
    "queues",
    "stats",
    "peek",
    "dead",
    "inbox",
    "audit",
    "define",
    "set",
    "pause",
    "resume",
    "retry",
    "advance",
    "close",
    "purge",
    "delete",
    "backup",
    "restore",
    "accept",
    "recover",
    "migrate",
    "config",
    "reload",
    "top",
    "doctor",
    "token new",
    "token list",
    "token revoke",
    "loadtest",
    "verify",
    "demo",
]
HEAVY = [
    "fastapi",
    "starlette",
    "pydantic",
    "uvicorn",
    "httpx",
    "apsw",
    "rich.table",
    "dibs.queue",
    "dibs.api",
]

ALONE = sorted({command for command in COMMANDS if " " not in command})


def described(command):
    """A command, or a group of them, by its words."""
    from dibs.cli import cli
    from typer.main import get_command

    found = get_command(cli())
    for word in command.split():
        found = found.commands[word]
    return found


def test_help_shows_every_command_and_every_exit_code(run):
    code, out, _ = run("--help")
    assert code == 0
    first = {command.partition(" ")[0] for command in COMMANDS}
    assert [command for command in first if f"│ {command} " not in out] == []
    assert [
        number for number in (*range(11), 126, 127, 130) if f"{number} " not in out.partition("Exit codes")[2]
    ] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example_that_is_one(run, command):
    code, out, _ = run(*command.split(), "--help")
    assert code == 0
    assert f"Example: dibs {command}" in " ".join(out.split())
    options = set(re.findall(r"(?<!\S)(--?[a-z-]+)", described(command).epilog))
    assert [option for option in options if option not in out] == []


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("redrive", "say dibs dead QUEUE --redrive."),
        ("history", "the page shows it, and GET /queues/QUEUE/history."),
        ("lease", "dibs work QUEUE -- COMMAND leases, and settles."),
    ],
)
def test_a_word_of_the_manual_that_is_no_command_says_what_does_it(run, word, told):
    code, out, err = run(word, "jobs")
    assert (code, out) == (2, "")
    assert f"No such command '{word}': {told}" in err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained(run, command):
    parameters = described(command).params
    assert [parameter.name for parameter in parameters if not parameter.help] == []


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_at_80_columns_nothing_is_cut_and_no_type_is_named(run, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    out = run(*command.split(), "--help")[1]
    assert max(map(len, out.splitlines())) <= 80
    shown = " ".join(re.sub("[│╭╮╰╯─]", " ", out).split())
    assert re.findall(r"<[a-z| ]+>|x[<>]=?\d|\b(?:INTEGER|TEXT|FLOAT|BOOLEAN|PATH)\b", out) == []
    whole = described(command)
    told = [whole.help, whole.epilog, *(parameter.help for parameter in whole.params)]
    words = {word for text in told for word in (text or "").replace("`", "").split()}
    assert sorted(words - set(shown.split())) == []
    assert f"Usage: dibs {command}".strip() in shown
    options = [name for parameter in whole.params for name in parameter.opts if name.startswith("-")]
    assert [name for name in options if name not in shown] == []


def test_without_a_command_it_shows_help(run):
    assert "Commands" in "".join(run()[1:])


def test_version(run):
    code, out, _ = run("--version")
    assert (code, bool(re.fullmatch(r"dibs \d+\.\d+\.\d+\n", out))) == (0, True)


def test_the_short_help_option(run):
    assert run("-h")[0] == 0


def test_a_command_that_is_not_there(run):
    assert run("sevre")[0] == 2


def test_help_loads_nothing_heavy():
    code = f"import sys, dibs.cli; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_command_is_built_without_the_others():
    from dibs.cli import cli

    assert [list(get_group(cli([command])).commands) for command in ALONE] == [[each] for each in ALONE]
    assert sorted(get_group(cli(["--help", "serve"])).commands) == sorted([*ALONE, "token"])


def test_a_server_loads_what_its_first_answer_needs():
    """The models of answers are made for the reference alone, structlog is loaded for the first line."""
    late = ["httpx", "rich", "structlog", "dibs.client", "dibs.proof", "dibs.api.schemas"]
    code = (
        "import sys, dibs.cli.server as server; from dibs.config import Settings;"
        "server.create_app(Settings(data=':memory:'));"
        f"print([name for name in {late} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_as_a_module(dibs):
    done = dibs("--version")
    assert (done.returncode, done.stdout[:5]) == (0, "dibs ")


class TestMain:
    """What nobody foresaw is a sentence too."""

    @pytest.fixture
    def raising(self, run, monkeypatch):
        def raising(error):
            def cli(_):
                raise error

            monkeypatch.setattr("dibs.cli.cli", cli)
            return run()

        return raising

    def test_an_error_of_ours(self, raising):
        from dibs.errors import ConfigError, LedgerLocked, QueueUnknown

        assert raising(ConfigError("port: why")) == (2, "", "dibs: port: why\n")
        assert raising(LedgerLocked("why")) == (4, "", "dibs: why\n")
        assert raising(QueueUnknown("why")) == (1, "", "dibs: why\n")

    def test_any_other(self, raising, monkeypatch):
        monkeypatch.delenv("DIBS_TRACEBACK", raising=False)
        code, _, err = raising(ZeroDivisionError("why"))
        assert (code, err) == (1, "dibs: unexpected ZeroDivisionError: why (DIBS_TRACEBACK=1 shows where)\n")

    def test_a_traceback_for_who_asks_for_one(self, monkeypatch):
        from dibs.cli import main

        monkeypatch.setenv("DIBS_TRACEBACK", "1")
        monkeypatch.setattr("dibs.cli.cli", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            main()

    def test_ctrl_c(self, raising):
        assert raising(KeyboardInterrupt()) == (130, "", "")


def test_a_reader_that_had_enough_is_no_error(server, dibs):
    command = f"{sys.executable} -m dibs next many -n 5000 --url {server.url} | head -1"
    import httpx

    httpx.put(f"{server.url}/queues/many", json={"source": "count"})
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("1\n", "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("verify", "h.jsonl", "--plant", "x"),
            "Invalid value for '--plant': 'x' is not one of 'duplicate', ",
        ),
        (("peek", "jobs", "--state", "x"), "Invalid value for '--state': 'x' is not one of 'waiting'"),
        (
            ("next", "-n", "0"),
            "Invalid value for '--number' / '-n': it must be a whole number, 1 or more",
        ),
        (("serve", "--port", "x"), "option --port: it must be a whole number from 0 to 65535, and is 'x'"),
        (
            ("serve", "--port", "99999"),
            "option --port: it must be a whole number from 0 to 65535, and is 99999",
        ),
        (("push", "q", "--priority", "12"), "'--priority': it must be a whole number from 0 to 9"),
        (("next", "--wait", "x"), "Invalid value for '--wait' / '-w': it must be a number, 0 or more"),
        (("work", "q", "--no-retry", "999", "--", "true"), "it must be a whole number from 1 to 255"),
    ],
)
def test_a_wrong_value_is_told_in_words_for_people(run, words, told):
    code, _, err = run(*words)
    assert code == 2
    assert told in " ".join(re.sub("[│╭╮╰╯─]", " ", err).split())
