"""Looking at queues and operating them, with both clients."""

import json

import pytest
from dibs.client import Audit, Backup, Conflict, ItemUnknown, LeaseAsk, Nack, QueueSettings


def on(both, function):
    return both.ask(lambda client: function(client.queue("jobs")))


def test_define(both):
    info = both.ask(lambda client: client.define("few", "range", {"stop": 3}))
    assert (info.queue, info.source, info.state, info.cursor) == ("few", "range", "open", 0)
    assert both.ask(lambda client: client.define("jobs")).source is None
    info = on(both, lambda queue: queue.define(settings=QueueSettings(max_attempts=3, max_ready=10)))
    assert info.settings == QueueSettings(max_attempts=3, max_ready=10, jitter=0.0)


def test_settings_may_be_a_mapping(both):
    few = {"max_attempts": 2, "backoff": 0.1}
    info = both.ask(lambda client: client.define("jobs", settings=few))
    assert (info.settings.max_attempts, info.settings.backoff) == (2, 0.1)
    assert json.loads(both.wire.sent[-1].content)["settings"] == few
    assert on(both, lambda queue: queue.define(settings=few)).settings == info.settings


def test_a_definition_names_what_changes_and_nothing_else(both):
    def sent(*given, **named):
        both.ask(lambda client: client.define("jobs", *given, **named))
        return json.loads(both.wire.sent[-1].content)

    assert sent() == {}
    assert sent(None) == {"source": None}
    assert sent("range", {"stop": 3}) == {"source": "range", "args": {"stop": 3}}
    assert sent(settings=QueueSettings()) == {"settings": {}}
    named = {"max_attempts": None, "key_ttl": None, "history": 60.0}
    assert sent(settings=QueueSettings(None, key_ttl=None, history=60.0)) == {"settings": named}
    info = on(both, lambda queue: queue.define(settings=named))
    assert sent(settings=info.settings)["settings"].keys() >= named.keys()


def test_info_and_audit(both):
    both.wire.server.add("jobs", range(10))
    on(both, lambda queue: queue.claim(LeaseAsk(3)))
    on(both, lambda queue: queue.take(2))
    info = on(both, lambda queue: queue.info())
    assert (info.cursor, info.taken, info.leased, info.waiting, info.dead) == (5, 2, 3, 0, 0)
    assert info.created_at.tzinfo is not None
    assert info.members["a-later-member"] == 1
    audit = on(both, lambda queue: queue.audit())
    assert isinstance(audit, Audit)
    assert (audit.cursor, audit.leased, audit.balanced) == (5, 3, True)


def test_lists_and_stats(both):
    both.wire.server.add("a")
    both.wire.server.add("jobs", range(2))
    assert [info.queue for info in both.ask(lambda client: client.queues())] == ["a", "jobs"]
    assert both.ask(lambda client: client.stats()) == {"queues": 2}
    assert on(both, lambda queue: queue.stats())["queue"] == "jobs"


def test_operating(both):
    both.wire.server.add("jobs", range(2), fails_at=1)
    assert on(both, lambda queue: queue.pause()).paused
    assert not on(both, lambda queue: queue.resume()).paused
    assert on(both, lambda queue: queue.retry()).state == "open"
    assert on(both, lambda queue: queue.close()).state == "closed"
    assert on(both, lambda queue: queue.delete(confirm="jobs")).queue == "jobs"
    assert both.wire.sent[-1].url.query == b"confirm=jobs"
    assert list(both.wire.server.queues) == []


def test_advance_and_backup(both):
    both.wire.server.add("jobs", range(9))
    info = on(both, lambda queue: queue.advance(7))
    assert (info.cursor, info.jumped) == (7, 7)
    assert both.ask(lambda client: client.backup()) == Backup("/data/backups/a.db", 4096)


def test_what_is_inside_is_dropped_only_where_that_is_confirmed(both):
    both.wire.server.add("jobs")
    on(both, lambda queue: queue.put("a"))
    with pytest.raises(Conflict, match="not-empty"):
        on(both, lambda queue: queue.delete())
    with pytest.raises(Conflict, match="not-empty"):
        on(both, lambda queue: queue.define(reset=True))
    assert on(both, lambda queue: queue.define(reset=True, confirm="jobs")).waiting == 0
    on(both, lambda queue: queue.put("a"))
    assert on(both, lambda queue: queue.delete(confirm="jobs")).waiting == 1


def dead_items(both, count):
    both.wire.server.add("jobs", range(count), max_attempts=1)
    lease = on(both, lambda queue: queue.claim(LeaseAsk(count)))
    on(both, lambda queue: queue.settle([Nack(lease.token, error="broke")]))


def test_items_are_asked_for_by_pages(both):
    dead_items(both, 250)
    sent = len(both.wire.sent)
    items = on(both, lambda queue: queue.items("dead"))
    assert [item.seq for item in items] == list(range(1, 251))
    assert (items[0].value, items[0].state, items[0].attempt, items[0].error) == (0, "dead", 1, "broke")
    assert len(both.wire.sent) - sent == 3
    assert on(both, lambda queue: queue.items("leased")) == []
    assert len(on(both, lambda queue: queue.items(after=240))) == 10


def test_an_item_and_its_history(both):
    dead_items(both, 1)
    item = on(both, lambda queue: queue.item(1))
    assert [(one.attempt, one.error) for one in item.history] == [(1, "broke")]
    with pytest.raises(ItemUnknown):
        on(both, lambda queue: queue.item(2))


def test_redrive_and_purge(both):
    dead_items(both, 10)
    assert on(both, lambda queue: queue.redrive([(1, 2)])) == 2
    assert on(both, lambda queue: queue.redrive(limit=3, rate=10.0)) == 3
    with pytest.raises(ValueError, match="invalid"):
        on(both, lambda queue: queue.purge(confirm="job"))
    assert on(both, lambda queue: queue.purge(confirm="jobs", states=["dead"])) == 5
    assert on(both, lambda queue: queue.info()).waiting == 5


def test_names_are_quoted(both):
    on_name = both.ask(lambda client: client.queue("a/b?c").claim) is not None
    assert on_name
    with pytest.raises(LookupError):
        both.ask(lambda client: client.queue("a/../b").info())
    assert both.wire.sent[-1].url.raw_path == b"/queues/a%2F..%2Fb"
