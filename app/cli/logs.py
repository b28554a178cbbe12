"""The log of the server: lines on stderr, as JSON or for people, in which nothing that is quoted can act.

What dibs, uvicorn and Python's warnings log by the standard library, and the lines of the access log, go to
one stream in one form. structlog is loaded with the first line: a start is quicker by a tenth without it.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Literal, TextIO

from ..inert import inert

if TYPE_CHECKING:
    import structlog
    from structlog.typing import Processor

Form = Literal["json", "human"]
Line = MutableMapping[str, Any]

_encode = json.JSONEncoder(default=repr).encode


class Log:
    """Where the lines of one process go. ``form``: how they are written, until the settings say it."""

    def __init__(self, stream: TextIO, form: Form) -> None:
        self._stream = stream
        self._form = form
        self._writer: Callable[..., Any] | None = None
        self._handler = logging.StreamHandler(stream)

    def begin(self) -> None:
        """Take the lines of the standard library's loggers, and its warnings."""
        self._handler.setFormatter(Formatter(self._form, colors=self._stream.isatty()))
        logging.basicConfig(handlers=[self._handler], level=logging.WARNING)
        logging.captureWarnings(True)

    def write_as(self, form: Literal["auto", "json", "human"]) -> None:
        """Write lines from now on as the setting ``log_format`` says."""
        if form != "auto":
            self._form = form
            self._handler.setFormatter(Formatter(form, colors=self._stream.isatty()))

    def request(self, event: str, **known: Any) -> None:
        """Write a line at INFO, in less than half the time that a logger of the standard library takes."""
        if self._writer is None:
            self._writer = self._made()
        self._writer(event, **known)

    def _made(self) -> Callable[..., Any]:
        import structlog

        chain = [_as_request, *_chain(self._form, colors=self._stream.isatty())]
        logger = structlog.wrap_logger(
            structlog.PrintLogger(self._stream),
            processors=chain,
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        )
        write: Callable[..., Any] = logger.bind().info
        return write


class Formatter(logging.Formatter):
    """Formats the records of the standard library's loggers by structlog."""

    def __init__(self, form: Form, *, colors: bool = False) -> None:
        super().__init__()
        self._form: Form = form
        self._colors = colors
        self._made: structlog.stdlib.ProcessorFormatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, and under it the traceback of a bug, for people."""
        if self._made is None:
            self._made = _formatter(self._form, colors=self._colors)
        return self._made.format(record)


def _formatter(form: Form, *, colors: bool) -> structlog.stdlib.ProcessorFormatter:
    from structlog.stdlib import ProcessorFormatter

    return ProcessorFormatter(
        foreign_pre_chain=[_as_record],
        processors=[ProcessorFormatter.remove_processors_meta, *_chain(form, colors=colors)],
    )


def _chain(form: Form, *, colors: bool) -> list[Processor]:
    """What becomes of a line: it gets its time, is made inert, and is written."""
    from structlog.dev import ConsoleRenderer, plain_traceback
    from structlog.processors import JSONRenderer, TimeStamper, format_exc_info

    stamp = TimeStamper(fmt="iso")
    if form == "json":  # whose escapes are inert: all but ASCII is written out
        return [stamp, format_exc_info, JSONRenderer(serializer=_json)]
    shown = ConsoleRenderer(
        colors=colors, pad_event_to=0, sort_keys=False, exception_formatter=plain_traceback
    )
    return [stamp, format_exc_info, _inert, shown]


def _json(line: Line, **_: Any) -> str:
    """A line as JSON; to make an encoder for each, as ``json.dumps`` does, takes as long as all else."""
    return _encode(line)


def _as_record(_: Any, __: str, line: Line) -> Line:
    record: logging.LogRecord = line["_record"]
    line["level"], line["logger"] = record.levelname.lower(), record.name
    return line


def _as_request(_: Any, __: str, line: Line) -> Line:
    line["level"], line["logger"] = "info", "dibs.access"
    return line


def _inert(_: Any, __: str, line: Line) -> Line:
    for name, value in line.items():
        if isinstance(value, str):
            line[name] = inert(value, lines=name == "exception")
    return line


def log_to_stderr() -> Log:
    """Begin to log: for people on a terminal, and as JSON elsewhere."""
    log = Log(sys.stderr, "human" if sys.stderr.isatty() else "json")
    log.begin()
    return log
