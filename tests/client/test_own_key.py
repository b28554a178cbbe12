"""Keys of one's own that can't be sent are refused at once, by both clients, wherever a key is taken."""

import pytest
from dibs.client import NewItem

TAKES = {
    "next": lambda queue, key: queue.next(key=key),
    "take": lambda queue, key: queue.take(2, key=key),
    "push_items": lambda queue, key: queue.push_items([NewItem(1)], idempotency_key=key),
    "upload": lambda queue, key: queue.upload(b"1\n", key=key),
}
WRONG = ["", " ", " a", "a ", "\ta", "a\n", "a\nb", "\x7f", "é", "\ud800", "x" * 256]


@pytest.mark.parametrize("call", TAKES)
@pytest.mark.parametrize("key", WRONG)
def test_a_key_that_can_not_be_sent(both, wire, call, key):
    wire.server.add("q")
    with pytest.raises(
        ValueError, match="is not 1 to 255 printable ASCII characters without a blank"
    ) as caught:
        both.ask(lambda client: TAKES[call](client.queue("q"), key))
    assert wire.sent == []
    assert len(str(caught.value)) < 250


def test_a_key_that_is_no_text(both, wire):
    wire.server.add("q")
    with pytest.raises(TypeError, match="an idempotency key must be a text, not a int"):
        both.ask(lambda client: client.queue("q").next(key=4711))
    assert wire.sent == []
