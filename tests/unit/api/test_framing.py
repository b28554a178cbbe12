"""Where a message ends, whatever the pieces in which it comes; and what is none."""

import pytest
from dibs.api.lane.content import CHUNK_LINE, LINES_A_TURN, ROOM, TRAILER_BYTES, Chunked, Fixed
from dibs.api.lane.framing import HEAD_BYTES, HeadReader
from dibs.api.problems import RequestRefused

HOST = b"Host: a\r\n"


def head(*lines, line=b"POST /x HTTP/1.1"):
    return line + b"\r\n" + HOST + b"".join([each + b"\r\n" for each in lines]) + b"\r\n"


def read_head(data):
    reader = HeadReader()
    reader.feed(data)
    return reader.head()


def in_pieces(body, data, size):
    """Feed a body in pieces of ``size`` bytes; what it said, and what was left."""
    out = bytearray()
    for begin in range(0, len(data), size):
        piece, at = data[begin : begin + size], 0
        while at < len(piece) and not body.done:
            at = body.feed(piece, at, out)
        if body.done:
            return bytes(out), piece[at:] + data[begin + size :]
    return bytes(out), None


CHUNKS = (
    b'5\r\nhello\r\n1;name="v\t;"; x\r\n,\r\n00000006  \r\n world\r\n'
    b"0;last\r\nA: b\r\nIdempotency-Key:k\r\n\r\n"
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 1000])
def test_a_chunked_body_ends_behind_its_trailers(size):
    assert in_pieces(Chunked(), CHUNKS + b"POST", size) == (b"hello, world", b"POST")


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_body_of_a_length_ends_there(size):
    assert in_pieces(Fixed(5), b"hello, world", size) == (b"hello", b", world")


@pytest.mark.parametrize("body", [Chunked(), Fixed(10 * ROOM)])
def test_no_more_is_read_than_there_is_room_for(body):
    out = bytearray()
    data = b"%x\r\n" % (5 * ROOM) + b"x" * 5 * ROOM
    at = body.feed(data, 0, out)
    assert len(out) == ROOM
    assert body.feed(data, at, out) == at


def test_many_small_chunks_take_more_than_one_turn():
    data = b"1\r\nx\r\n" * LINES_A_TURN
    out, body = bytearray(), Chunked()
    assert body.feed(data, 0, out) < len(data)
    assert LINES_A_TURN // 3 <= len(out) <= LINES_A_TURN // 3 + 1


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"x\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\n",
        b"1_0\r\n",
        b" 1\r\n",
        b"1\nx\r\n",
        b"1 2\r\n",
        b"1;\x00\r\n",
        b"1;a\rb\r\n",
        b"1" * 17 + b"\r\n",
        b"1\r\nxy\r\n",
        b"1\r\nx\n",
        b"1\r\nx2\r\n",
        b"0\r\nno colon\r\n",
        b"0\r\n: v\r\n",
        b"0\r\nA : v\r\n",
        b"0\r\nA: \x00\r\n",
        b"0\r\nA: v\r\n B: w\r\n",
        b"0\r\n\n",
        b"1;" + b"x" * CHUNK_LINE,
    ],
)
@pytest.mark.parametrize("size", [1, 5000])
def test_what_are_no_chunks(data, size):
    with pytest.raises(RequestRefused) as refusal:
        in_pieces(Chunked(), data, size)
    assert refusal.value.name == "malformed"


@pytest.mark.parametrize("trailers", [b"A: b\r\n" * (TRAILER_BYTES // 6 + 1), b"A: " + b"x" * TRAILER_BYTES])
@pytest.mark.parametrize("size", [1, 100_000])
def test_trailers_without_end(trailers, size):
    with pytest.raises(RequestRefused) as refusal:
        in_pieces(Chunked(), b"0\r\n" + trailers, size)
    assert (refusal.value.name, refusal.value.limit) == ("headers-too-large", TRAILER_BYTES)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9, 1000])
def test_a_head_ends_at_its_blank_line(size):
    data = head(b"A: b", b"Content-Length: 3") + b"\r\n\r\n"
    reader, at = HeadReader(), 0
    while not reader.complete:
        at += reader.feed_until_end(data[at : at + size], 0)
    assert data[at:] == b"\r\n\r\n"
    assert reader.head() == read_head(data[:at])
    assert reader.head().headers == [(b"host", b"a"), (b"a", b"b"), (b"content-length", b"3")]


def test_a_head_that_does_not_end_is_given_up():
    reader = HeadReader()
    reader.feed_until_end(b"GET /" + b"x" * (HEAD_BYTES - 5), 0)
    with pytest.raises(RequestRefused) as refusal:
        reader.feed_until_end(b"x", 0)
    assert (refusal.value.name, refusal.value.limit) == ("headers-too-large", HEAD_BYTES)


@pytest.mark.parametrize(
    ("line", "path", "query"),
    [
        (b"GET /a?b=c HTTP/1.1", b"/a", b"b=c"),
        (b"GET http://a HTTP/1.1", b"/", b""),
        (b"GET http://A/b?c HTTP/1.1", b"/b", b"c"),
        (b"GET HTTPS://a?c HTTP/1.1", b"/", b"c"),
        (b"OPTIONS * HTTP/1.1", b"*", b""),
    ],
)
def test_targets(line, path, query):
    found = read_head(head(line=line))
    assert (found.path, found.query) == (path, query)


def test_a_url_names_the_server_where_no_host_does():
    assert read_head(b"GET http://a:1/b HTTP/1.0\r\n\r\n").headers == [(b"host", b"a:1")]


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        ([], True),
        ([b"Connection: close"], False),
        ([b"Connection: x, Close"], False),
        ([b"Upgrade: h2c"], True),
    ],
)
def test_whether_the_connection_is_kept(lines, kept):
    assert read_head(head(*lines)).keep_alive is kept


@pytest.mark.parametrize("data", [b"x", b"1x", b"1\rx", b"1\r\nxx", b"1\r\nx\rx"])
def test_chunks_that_no_end_of_a_line_can_make_good(data):
    with pytest.raises(RequestRefused) as refusal:
        in_pieces(Chunked(), data, 1)
    assert refusal.value.name == "malformed"
