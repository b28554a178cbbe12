"""What would act on a terminal is written out, and nothing else is touched."""

import json
import logging
import sys
import unicodedata

import pytest
from dibs.cli.logs import Formatter
from dibs.inert import acts, inert, inert_json

HOSTILE = "\x1b]0;owned\x07 \x9b31m \u202ekcab \ud800 \x7f\r\n\u2066"
SHOWN = r"\x1b]0;owned\x07 \x9b31m \u202ekcab \ud800 \x7f\x0d\x0a\u2066"


def test_written_out():
    assert inert(HOSTILE) == SHOWN
    assert inert("\U000e0041") == r"\U000e0041"


def test_lines_and_tabs_stay_where_they_are_wanted():
    assert inert("a\r\n\tb\x1b\rc", lines=True) == "a\n\tb\\x1b\\x0dc"


def test_every_control_character_and_every_one_that_turns_text_and_no_letter():
    turning = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        kind = unicodedata.category(char)
        if kind in {"Cc", "Cs", "Zl", "Zp"} or unicodedata.bidirectional(char) in turning:
            assert acts(char), hex(code)
        elif kind not in {"Cf", "Cn"}:
            assert not acts(char), hex(code)


@pytest.mark.parametrize("text", ["", "grüße", "日本", "שלום", "👩‍👩‍👧", "a b", "[bold]x[/]"])
def test_what_is_harmless_is_the_same(text):
    assert (inert(text), acts(text)) == (text, False)


def test_json_says_the_same():
    value = {HOSTILE: [HOSTILE, "\U000e0041", "ü"]}
    written = inert_json(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(written) == value
    assert not acts(written.replace("\n", ""))


class TestLogLines:
    @pytest.fixture
    def formatted(self):
        def formatted(message, *args, error=None):
            info = (type(error), error, None) if error else None
            record = logging.LogRecord("dibs", logging.WARNING, "", 1, message, args, info)
            return Formatter("human").format(record).partition(" ")[2]

        return formatted

    def test_a_message_is_one_line(self, formatted):
        assert (
            formatted("queue %s: %s", "q", "a\nERROR b\x1b[2J")
            == r"[warning  ] queue q: a\x0aERROR b\x1b[2J [dibs]"
        )

    def test_a_traceback_has_lines_and_nothing_else(self, formatted):
        text = formatted("failed", error=ValueError("one\ntwo\x9b2J"))
        assert text == "[warning  ] failed [dibs]\nValueError: one\ntwo\\x9b2J"
