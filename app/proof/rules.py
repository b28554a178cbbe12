"""The table of the rules: what each one looks for, in which kinds of history, and the sentence that tells it.

A new rule is one row here, and one function that gives its cases. A case of a rule breaks a promise; one of a
doubt leaves a question open: the history can't prove the promise kept, nor broken.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from . import item_rules as items
from . import lease_rules as leases
from . import request_rules as requests
from . import take_rules as takes
from .kinds import Column as C
from .kinds import Kind
from .verdict import Rule

doubt = partial(Rule, violates=False)
TAKES, WORK, BOTH = frozenset({Kind.TAKES}), frozenset({Kind.WORK}), frozenset(Kind)

RULES: Final = (
    Rule(takes.seq_twice, TAKES, C.DUPLICATES, "items", "a seq was handed out twice"),
    Rule(takes.two_values, TAKES, C.DUPLICATES, "seqs", "a seq was handed out with two different values"),
    Rule(takes.value_twice, TAKES, C.DUPLICATES, "items", "a value was handed out under two seqs"),
    Rule(takes.gap, TAKES, C.SKIPPED, "seqs", "a seq was never handed out"),
    Rule(takes.wrong_value, TAKES, C.SKIPPED, "seqs", "a seq's own value was never handed out"),
    Rule(takes.reordered, TAKES, C.REORDERED, "requests", "a later request got an earlier seq"),
    Rule(items.lost, WORK, C.LOST, "items", "neither acked by anybody, nor still in the queue"),
    Rule(items.unseen, WORK, C.LOST, "hand-outs", "handed out, and no client got it"),
    Rule(leases.two_owners, WORK, C.TWO_OWNERS, "items", "handed out while a lease was certainly live"),
    Rule(leases.acked_again, WORK, C.ACKED_AGAIN, "items", "handed out after its ack was answered"),
    Rule(leases.acked_twice, WORK, C.ACKED_AGAIN, "items", "acked by two requests"),
    Rule(leases.acked_inside, WORK, C.ACKED_AGAIN, "items", "acked, and still in the queue"),
    Rule(leases.stale_accepted, WORK, C.FENCING, "items", "a token that was certainly over had an effect"),
    Rule(leases.live_refused, WORK, C.FENCING, "items", "a token that was certainly live was called stale"),
    Rule(leases.token_twice, WORK, C.FENCING, "leases", "a token was given out twice"),
    Rule(items.wrong_value, WORK, C.VALUES, "items", "handed out with another value than before"),
    Rule(items.attempt_twice, WORK, C.ATTEMPTS, "items", "a hand-out is an attempt that was used"),
    Rule(items.attempt_back, WORK, C.ATTEMPTS, "items", "a later hand-out is an earlier attempt"),
    Rule(items.too_often, WORK, C.ATTEMPTS, "items", "handed out more often than the queue allows"),
    Rule(items.buried_early, WORK, C.ATTEMPTS, "items", "dead before its attempts were used up"),
    Rule(items.key_twice, WORK, C.PUSHES, "items", "an item's key was pushed twice"),
    Rule(items.seq_twice, WORK, C.PUSHES, "items", "two items were pushed to one seq"),
    Rule(items.known_falsely, WORK, C.PUSHES, "items", "called known, though nobody had pushed it"),
    Rule(items.phantom, WORK, C.PUSHES, "items", "an item that nobody had pushed"),
    Rule(requests.replay_differs, BOTH, C.UNEXPLAINED, "requests", "a replay is not its key's first answer"),
    Rule(requests.replay_of_nothing, BOTH, C.UNEXPLAINED, "requests", "a replay, but nothing came before it"),
    Rule(requests.key_spent_twice, BOTH, C.UNEXPLAINED, "requests", "a key that had an answer got a new one"),
    Rule(requests.too_many, BOTH, C.UNEXPLAINED, "requests", "an answer with more items than asked for"),
    Rule(takes.outside, TAKES, C.UNEXPLAINED, "seqs", "a seq outside of what the cursor went through"),
    Rule(leases.unanswered, WORK, C.UNEXPLAINED, "items", "a settle that was answered without an outcome"),
    Rule(requests.audit, BOTH, C.UNEXPLAINED, "audits", "an audit contradicts the history or itself"),
    doubt(requests.unresolved, TAKES, C.UNEXPLAINED, "requests", "no reply, and no later answer to its key"),
    doubt(takes.unjudged, TAKES, C.UNEXPLAINED, "seqs", "missing seqs that others may have taken"),
    doubt(takes.allowed, TAKES, C.ALLOWED, "seqs", "missing seqs that requests without a reply may own"),
    doubt(items.maybe, WORK, C.ALLOWED, "items", "gone, and a settle without a reply may have acked it"),
    doubt(items.unjudged, WORK, C.ALLOWED, "items", "not acked, and nobody looked whether it is there"),
)
