"""Tokens: each is new, nobody can guess one, and they begin with the time."""

import threading

from dibs.queue.tokens import BATCH, SECRET, Tokens


def test_each_is_new_and_begins_with_the_second():
    tokens = Tokens(lambda: 1_750_000_123_456)
    made = [tokens.new() for _ in range(3 * BATCH)]
    assert len(set(made)) == 3 * BATCH
    assert {token.partition("-")[0] for token in made} == {f"{1_750_000_123:x}"}
    assert {len(token.partition("-")[2]) for token in made} == {SECRET}


def test_no_two_threads_get_the_same_one():
    tokens, made = Tokens(lambda: 0), []
    barrier = threading.Barrier(8)

    def take():
        barrier.wait(60)
        made.extend([tokens.new() for _ in range(BATCH * 3)])

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(set(made)) == len(made) == 8 * 3 * BATCH
