"""One transaction in one round trip: libpq's pipeline mode, with statements that are prepared once.

It is written over `psycopg.pq`, psycopg's public wrapper of libpq: by a cursor the same costs seven times the
processor time (measured: 214 against 32 µs for five statements). Whoever waits for the answer waits on the
socket, since libpq's own wait holds the interpreter's lock.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq.abc import PGconn, PGresult

_BINARY: Final = 1
_ENDS: Final = getattr(select, "POLLRDHUP", 0)  # Linux has it; elsewhere the end of a connection is input


class Statement(NamedTuple):
    """A statement with its parameters, each in the binary format of its type."""

    text: str
    values: Sequence[bytes] = ()


class Broken(Exception):
    """The connection ended before the whole answer was here: nobody knows what was done."""


class Failed(Exception):
    """The server refused a statement; nothing of the transaction is there. ``state`` is the SQLSTATE."""

    def __init__(self, state: str, detail: str, at: int) -> None:
        super().__init__(f"{detail} ({state})")
        self.state = state
        self.at = at


class Unsafe(Exception):
    """The commit is visible, but came with a warning, as one that did not wait for its standby."""


class Pipeline:
    """Runs transactions on one connection, which belongs to it. Used by one thread at a time."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._pgconn: PGconn = connection.pgconn
        self._connection = connection  # it would close the socket when nobody holds it
        self._prepared: dict[str, bytes] = {}
        self._warnings: list[str] = []
        self._busy = self._over = False
        self._looking = threading.Lock()
        self._socket = select.poll()
        self._socket.register(connection.pgconn.socket, select.POLLIN | _ENDS)
        connection.add_notice_handler(lambda notice: self._warnings.append(str(notice.message_primary)))

    def transaction(self, statements: Sequence[Statement]) -> None:
        """Run these as one transaction, and return when it is committed.

        Raises:
            Failed: a statement failed, and nothing is there.
            Broken: the connection has ended; all of it is there or nothing.
            Unsafe: it is there, but may be lost with its server.
        """
        self._warnings.clear()
        self._busy = True
        try:
            self._whole(statements)
        except Broken:
            self._over = self._connection.closed
            raise
        finally:
            self._busy = False

    def read(self, statement: Statement) -> list[list[bytes | None]]:
        """Run one statement by itself, which only reads; its rows, each value in its binary format.

        Raises:
            Failed, Broken: as a transaction.
        """
        from psycopg import OperationalError

        try:
            name = self._prepared.get(statement.text) or self._prepare(statement.text)
            answers = self._run([name], [statement])
        except OperationalError as error:
            raise Broken(self._why_ended(error)) from error
        if not answers:
            raise Broken("the answer broke off")
        [answer] = answers
        if answer.error_message:
            self._undo(answer, 0)
        columns = range(answer.nfields)
        return [[answer.get_value(row, column) for column in columns] for row in range(answer.ntuples)]

    def ended(self) -> bool:
        """Whether the server has ended the session, as far as can be seen without asking it; for any thread.

        A session that somebody ends is told so before its locks are free. While no answer is awaited anything
        that came is taken for that, and the end of the connection always is.
        """
        with self._looking:
            came = self._socket.poll(0)
        # Once this is over its socket may be another one's.
        return self._over or (bool(came) and not (self._busy and came[0][1] == select.POLLIN))

    def close(self) -> None:
        """Close the session."""
        self._over = True
        self._connection.close()

    def _whole(self, statements: Sequence[Statement]) -> None:
        from psycopg import OperationalError

        whole = (_BEGIN, *statements, _COMMIT)
        try:
            names = [self._prepared.get(text) or self._prepare(text) for text, _ in whole]
            answers = self._run(names, whole)
        except OperationalError as error:
            raise Broken(self._why_ended(error)) from error
        failed = next((at for at, answer in enumerate(answers) if answer.error_message), None)
        if failed is not None:
            self._undo(answers[failed], failed - 1)
        if len(answers) < len(whole):
            raise Broken("the answer broke off")
        if answers[-1].command_status != b"COMMIT":  # a failed transaction answers ROLLBACK without an error
            raise Failed("25P02", "the transaction was rolled back", len(whole) - 2)
        if self._warnings:
            raise Unsafe("; ".join(self._warnings))

    def _why_ended(self, error: Exception) -> str:
        """Why a session ended while something was sent: what libpq refuses after that says nothing of it."""
        from psycopg import pq

        if self._pgconn.status != pq.ConnStatus.BAD:
            return _first_line(str(error))
        while (answer := self._pgconn.get_result()) is not None:
            if answer.error_message:
                return _first_line(answer.error_message.decode("utf-8", "replace"))
        return "the connection to the database has ended"

    def _prepare(self, text: str) -> bytes:
        """Prepare a statement, by itself: one in a burst that fails may or may not be there after it."""
        name = b"dibs_%d" % len(self._prepared)
        answer = self._pgconn.prepare(name, text.encode())
        if answer.error_message:
            self._undo(answer, -1)
        self._prepared[text] = name
        return name

    def _undo(self, answer: PGresult, at: int) -> NoReturn:
        """Raise what an error means, after the transaction was ended."""
        from psycopg import pq

        state = (answer.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        detail = (answer.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or answer.error_message).decode(
            "utf-8", "replace"
        )
        if not state or self._pgconn.status == pq.ConnStatus.BAD or state.startswith("57P"):
            # Of a server that ends a session nobody knows how far it had come.
            raise Broken(_first_line(detail))
        if self._pgconn.transaction_status != pq.TransactionStatus.IDLE:
            self._pgconn.exec_(b"ROLLBACK")
        raise Failed(state, detail, at)

    def _run(self, names: Sequence[bytes], statements: Sequence[Statement]) -> list[PGresult]:
        """Send all of them in one burst; the answers, as far as they came."""
        from psycopg import pq

        pgconn = self._pgconn
        pgconn.enter_pipeline_mode()
        for name, (_, values) in zip(names, statements, strict=True):
            pgconn.send_query_prepared(name, values, [_BINARY] * len(values), _BINARY)
        pgconn.pipeline_sync()
        poll = select.poll()
        poll.register(pgconn.socket, select.POLLIN | select.POLLOUT)
        while pgconn.flush():  # what is large does not go out at once, and is answered meanwhile
            poll.poll()
            pgconn.consume_input()
        poll.modify(pgconn.socket, select.POLLIN)
        answers: list[PGresult] = []
        while True:
            while pgconn.is_busy():
                poll.poll()
                pgconn.consume_input()
            answer = pgconn.get_result()
            if answer is None:
                if pgconn.status == pq.ConnStatus.BAD:
                    return answers
                continue  # the end of what one statement answered
            if answer.status == pq.ExecStatus.PIPELINE_SYNC:
                pgconn.exit_pipeline_mode()
                return answers
            answers.append(answer)


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


_BEGIN: Final = Statement("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
_COMMIT: Final = Statement("COMMIT")
