"""A server on a socket that hands out numbers, and signs its answers as a dibs does."""

import json
import re
import socket
import threading

HEAD = re.compile(rb"(?s)(\w+) /queues/([^/? ]+)(?:/(\w+))?[^\r]*\r\n(.*?)\r\n\r\n")

KINDS = {"acks": "acked", "nacks": "nacked", "extends": "extended", "releases": "released"}


class Numbering:
    """``sign(number, signature)`` may give other lines of bytes for the request of this number.

    ``connections`` counts; ``ended`` has an event for each: the client has closed it. ``seen``: the
    connection, operation, queue and key of each request. A request waits for ``gate`` before it is answered.
    """

    def __init__(self, server):
        self.server = server
        self.url = f"http://127.0.0.1:{server.getsockname()[1]}"
        self.sign = lambda number, signature: signature
        self.lock = threading.Lock()
        self.connections = 0
        self.ended = []
        self.seen = []
        self.cursors = {}
        self.answers = {}
        self.gate = threading.Event()
        self.gate.set()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                accepted, _ = self.server.accept()
            except OSError:
                return
            self.ended.append(threading.Event())
            args = accepted, self.connections, self.ended[-1]
            self.connections += 1
            threading.Thread(target=self.serve, args=args, daemon=True).start()

    def serve(self, accepted, connection, ended):
        with accepted:
            try:
                while head := self.read(accepted):
                    _, queue, operation, rest = HEAD.match(head).groups()
                    key = re.search(rb"(?i)idempotency-key: ([^\r]+)", rest)
                    sent = json.loads(head.partition(b"\r\n\r\n")[2] or b"{}")
                    accepted.sendall(self.answer(connection, operation, queue, key and key[1], sent))
            except ConnectionError:
                pass
        ended.set()

    def read(self, accepted):
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := accepted.recv(65_536)):
                return b""
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        while length and len(body) < int(length[1]):
            body += accepted.recv(65_536)
        return head + b"\r\n\r\n" + body

    def answer(self, connection, operation, queue, key, sent):
        with self.lock:
            self.seen.append((connection, operation, queue, key))
            number = len(self.seen)
            if key not in self.answers or key is None:
                self.cursors[queue] = self.cursors.get(queue, 0) + 1
                self.answers[key] = self.body(operation, queue, self.cursors[queue], sent)
            body = self.answers[key]
        self.gate.wait(60)
        signature = [b"Dibs-Version: 9", b"Dibs-Queue: " + queue]
        if key is not None:
            signature.append(b"Idempotency-Key: " + key)
        head = [b"HTTP/1.1 200 OK", *self.sign(number, signature), b"Content-Length: %d" % len(body)]
        return b"\r\n".join(head) + b"\r\n\r\n" + body

    def body(self, operation, queue, number, sent):
        answer = {"queue": queue.decode(), "state": "open"}
        if operation == b"settle":
            for kind, outcome in KINDS.items():
                seqs = [int(entry["token"][1:]) for entry in sent.get(kind, ())]
                answer[kind] = [[{"seqs": [seq, seq], "outcome": outcome}] for seq in seqs]
            return json.dumps(answer).encode()
        answer["items"] = [{"seq": number, "value": number, "attempt": 1}]
        return json.dumps(answer | {"token": f"t{number}", "expires_in": 30.0}).encode()


def numbering():
    """A fixture's generator."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Numbering(server)
        server.shutdown(socket.SHUT_RDWR)
