import pytest
from dibs.cli.words import compact, text_of
from dibs.cli.work_command import CommandTemplate, environment


@pytest.mark.parametrize(
    ("words", "value", "filled"),
    [
        (["wc", "-w"], "a.txt", ["wc", "-w", "a.txt"]),
        (["mv", "{}", "{}.bak"], "a", ["mv", "a", "a.bak"]),
        (["echo", "--name={}", "{}{}"], "x", ["echo", "--name=x", "xx"]),
        (
            ["sh", "-c", 'echo "$1"', "sh", "{}"],
            "a; rm -rf $HOME",
            ["sh", "-c", 'echo "$1"', "sh", "a; rm -rf $HOME"],
        ),
        (["{}", "-v"], "ls", ["ls", "-v"]),
        (["echo"], "", ["echo", ""]),
        (["echo"], "{}", ["echo", "{}"]),
        (["echo", "{} {}"], "{}", ["echo", "{} {}"]),
        (["echo"], {"a": [1, None], "ü": "x y"}, ["echo", '{"a":[1,null],"ü":"x y"}']),
        (["echo"], True, ["echo", "true"]),
        (["sh", "-c", "echo ${#} {#}"], "x", ["sh", "-c", "echo ${#} 7"]),
        (["{.}", "{/}{//}"], "{/.}.{//}", ["{/.}.{//}", "}{/.}.{"]),
        (["echo", "{/.}"], {"f": "a/b.c"}, ["echo", "b"]),
        (["echo"], 1.5, ["echo", "1.5"]),
    ],
)
def test_the_value_in_the_words(words, value, filled):
    assert CommandTemplate(words).filled(value, 7) == filled


@pytest.mark.parametrize(
    ("value", "bare", "name", "folder", "stem"),
    [  # as GNU parallel has it
        ("a/b.tar.gz", "a/b.tar", "b.tar.gz", "a", "b.tar"),
        ("b.c", "b", "b.c", ".", "b"),
        ("a.d/b", "a.d/b", "b", "a.d", "b"),
        ("/b.c", "/b", "b.c", "/", "b"),
        ("/", "/", "", "/", ""),
        ("a//b/", "a//b/", "", "a", ""),
        (".bashrc", "", ".bashrc", ".", ""),
        ("a.", "a.", "a.", ".", "a."),
        ("a.b\n", "a", "a.b\n", ".", "a"),
        ("", "", "", ".", ""),
        (1.5, "1", "1.5", ".", "1"),
    ],
)
def test_parts_of_the_value(value, bare, name, folder, stem):
    assert CommandTemplate(["{.}", "{/}", "{//}", "{/.}", "{#}"]).filled(value, 7) == [
        bare,
        name,
        folder,
        stem,
        "7",
    ]


def test_what_reads_stdin_gets_no_word_unless_it_says_where():
    assert CommandTemplate(["cat"], append=False).filled("x", 7) == ["cat"]
    assert CommandTemplate(["tee", "{}"], append=False).filled("x", 7) == ["tee", "x"]


def test_the_program_is_known_unless_it_is_the_value():
    assert CommandTemplate(["wc", "-w"]).program == "wc"
    assert CommandTemplate(["./run-{}"]).program is None
    assert CommandTemplate(["./run-{/.}"]).program is None


def test_text_is_bare_and_json_is_not():
    assert (text_of("a b"), compact("a b")) == ("a b", '"a b"')


def test_the_environment():
    env = environment({"HOME": "/h", "DIBS_SEQ": "old"}, queue="jobs", seq=7, attempt=2, url="http://x")
    assert env == {
        "HOME": "/h",
        "DIBS_QUEUE": "jobs",
        "DIBS_SEQ": "7",
        "DIBS_ATTEMPT": "2",
        "DIBS_URL": "http://x",
    }


def test_the_trace_of_an_item_is_that_of_its_command():
    told = {"queue": "jobs", "seq": 7, "attempt": 2, "url": "http://x"}
    base = {"TRACEPARENT": "the worker's"}
    assert environment(base, **told)["TRACEPARENT"] == "the worker's"
    assert environment(base, **told, traceparent="the item's")["TRACEPARENT"] == "the item's"
