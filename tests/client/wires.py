"""The fake server behind httpx transports, sync and async, with faults."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import httpx
from fake import FakeServer, Parked, Refuse


class Wires(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """One transport for both clients. ``faults`` is asked with each request's number and the request.

    It may answer "request" or "reply" (lost), a ``Refuse``, or bytes with a status (somebody else's answer).
    """

    def __init__(self, server, faults=lambda number, request: None):
        self.server = server
        self.faults = faults
        self.sent = []
        self.lock = threading.Lock()
        self.changed = threading.Condition()
        self.loops = set()
        self.closed = False
        self.parked = None
        server.wake = self.wake

    def wake(self):
        with self.changed:
            self.changed.notify_all()
        for loop, event in list(self.loops):
            loop.call_soon_threadsafe(event.set)

    def close(self):
        self.closed = True

    async def aclose(self):
        self.closed = True

    def handle_request(self, request):
        request.read()
        return self._exchange(request, self._park)

    async def handle_async_request(self, request):
        await request.aread()
        fault, answer = self._begin(request)
        while isinstance(answer, Parked):
            answer = await self._park_async(request, answer.until)
        return self._end(request, fault, answer)

    def _exchange(self, request, park):
        fault, answer = self._begin(request)
        while isinstance(answer, Parked):
            answer = park(request, answer.until)
        return self._end(request, fault, answer)

    def _park(self, request, until):
        with self.changed:
            while True:
                answer = self._handle(request, waited=time.monotonic() >= until)
                if not isinstance(answer, Parked):
                    return answer
                self.changed.wait(max(0.0, until - time.monotonic()))

    async def _park_async(self, request, until):
        event = asyncio.Event()
        mine = (asyncio.get_running_loop(), event)
        self.loops.add(mine)
        if self.parked is not None:
            self.parked.set()
        try:
            while True:
                event.clear()
                answer = self._handle(request, waited=time.monotonic() >= until)
                if not isinstance(answer, Parked):
                    return answer
                try:
                    async with asyncio.timeout(max(0.0, until - time.monotonic())):
                        await event.wait()
                except TimeoutError:
                    pass
        finally:
            self.loops.discard(mine)

    def _begin(self, request):
        with self.lock:
            self.sent.append(request)
            number = len(self.sent)
        fault = self.faults(number, request)
        if fault == "request":
            raise httpx.ReadError("the request was lost", request=request)
        if fault == "refused":
            raise httpx.ConnectError("[Errno 111] Connection refused", request=request)
        if isinstance(fault, Refuse):
            return fault, fault.answer
        if isinstance(fault, tuple):
            return fault, None
        return fault, self._handle(request)

    def _handle(self, request, *, waited=False):
        headers = request.headers
        return self.server.handle(
            request.method,
            request.url.raw_path.decode(),
            request.content,
            headers.get("idempotency-key"),
            headers.get("content-type", ""),
            waited,
            int(headers.get("idempotency-sequence", 0)),
        )

    def _end(self, request, fault, answer):
        if fault == "reply":
            raise httpx.RemoteProtocolError("the reply was lost", request=request)
        if isinstance(fault, tuple):
            return httpx.Response(fault[0], content=fault[1])
        body = b"" if answer.body is None else json.dumps(answer.body).encode()
        return httpx.Response(answer.status, headers=answer.headers, content=body)


def make(faults=lambda number, request: None):
    """A fake server in real time, and a transport to it."""
    server = FakeServer(time.monotonic)
    return server, Wires(server, faults)
