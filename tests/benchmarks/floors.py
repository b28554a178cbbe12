"""Bare ASGI applications that answer as POST /next does, without a framework, a queue or a key.

``memory`` counts, and keeps nothing. ``durable`` commits one row on a thread before it answers.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from queue import SimpleQueue
from threading import Thread

import apsw

numbers = itertools.count(1)
line: SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Future[int]]] = SimpleQueue()


async def memory(scope, receive, send):
    if scope["type"] == "http":
        await answer(send, next(numbers))


async def durable(scope, receive, send):
    if scope["type"] == "http":
        loop = asyncio.get_running_loop()
        committed = loop.create_future()
        line.put((loop, committed))
        await answer(send, await committed)


async def answer(send, number):
    body = b'{"queue":"default","seq":%d,"value":%d}' % (number, number)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def commit(file: str) -> None:
    connection = apsw.Connection(file)
    connection.execute("PRAGMA journal_mode = wal; PRAGMA synchronous = full")
    connection.execute("CREATE TABLE queue (cursor INTEGER); INSERT INTO queue VALUES (0)")
    while True:
        loop, committed = line.get()
        number = connection.execute("UPDATE queue SET cursor = cursor + 1 RETURNING cursor").fetchall()[0][0]
        loop.call_soon_threadsafe(committed.set_result, number)


if os.environ.get("FLOOR_FILE", "None") != "None":
    Thread(target=commit, args=(os.environ["FLOOR_FILE"],), daemon=True).start()
