"""Ops of one caller, once for their key."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..errors import LedgerDamaged
from ..ledger.serve import Key, Keyed, Refusal, Replay
from .gate import key_reused, key_superseded
from .limits import Limits
from .rounds import Rounds


class Done(NamedTuple):
    """The outcome of an op that is on disk; ``replayed``: an earlier request filed it under the key."""

    outcome: Any
    replayed: bool = False


async def once(rounds: Rounds, op: Any, key: Key | None, digest: str, limits: Limits) -> Done:
    """Commit an op and wait for its outcome; with a key, once for the key.

    Raises:
        KeyReused, KeySuperseded: the key belongs to another request, or its session has gone on.
        LedgerFull, LedgerUnavailable: the disk is at fault; nothing was done.
        OutcomeUnknown: perhaps it was; ask again with the same key.
    """
    if key is None:
        return Done(await rounds.commit(op))
    limits.check_key(key.text)
    outcome = await rounds.commit(Keyed(op, key._replace(digest=digest), int(limits.key_ttl * 1000)))
    if isinstance(outcome, Replay):
        return Done(outcome.outcome, replayed=True)
    if isinstance(outcome, Refusal):
        raise _refusal(outcome)
    return Done(outcome)


def _refusal(refused: Refusal) -> Exception:
    match refused.why:
        case "key-reused":
            return key_reused()
        case "key-superseded":
            return key_superseded()
        case _:
            return LedgerDamaged("the answer kept under this key is damaged", "maybe")
