"""The floor of the fast lane: a bare ASGI application, from memory, without a framework, a lock or a disk."""

import itertools

numbers = itertools.count(1)


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    number = next(numbers)
    body = b'{"queue":"default","seq":%d,"value":%d}' % (number, number)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
