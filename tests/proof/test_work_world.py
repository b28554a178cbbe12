"""The checker of work against a model server: clean, then damaged."""

from __future__ import annotations

from random import Random

import pytest
from dibs.proof.checker import judge
from dibs.proof.errors import PlantError
from dibs.proof.kinds import Column, Damage
from dibs.proof.plant import plant
from dibs.proof.verdict import Judgement
from hypothesis import given, settings
from hypothesis import strategies as st

from .work_lines import World


@st.composite
def worlds(draw, patience=200):
    seed, sizes = draw(st.integers(0, 2**32)), [draw(st.integers(1, most)) for most in (2, 5, 6)]
    return lambda fake_work: World(fake_work, Random(seed), patience).run(*sizes)


@settings(deadline=None)
@given(worlds())
def test_what_a_correct_server_does_is_clean(fake_work, world):
    history = world(fake_work)
    verdict = judge(history)
    assert verdict.judgement is Judgement.CLEAN, verdict.cases
    assert verdict.totals["pushed"] == history.end.audits[-1].cursor
    assert verdict.totals["unseen"] == 0


@settings(deadline=None)
@given(worlds(patience=2))
def test_a_correct_server_is_never_accused_of_what_a_lost_reply_may_hide(fake_work, world):
    verdict = judge(world(fake_work))
    assert verdict.judgement is not Judgement.VIOLATED, verdict.cases


WORK = [Damage.LOST, Damage.TWO_OWNERS, Damage.ACKED_AGAIN, Damage.VALUE]


@pytest.mark.parametrize("patience", [200, 2])
@pytest.mark.parametrize("damage", WORK)
@settings(max_examples=40, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_each_planted_damage_is_found_and_nothing_else(fake_work, damage, patience, data, seed):
    history = data.draw(worlds(patience))(fake_work)
    try:
        damaged, told = plant(history, damage, Random(seed))
    except PlantError:
        return
    verdict = judge(damaged)
    assert verdict.columns[damage.column] > 0, told
    # Where an ack is missing, the server's count of acks has one too many.
    others = {Column.ALLOWED} | ({Column.UNEXPLAINED} if damage is Damage.LOST else set())
    assert {cases.rule.column for cases in verdict.cases} - others == {damage.column}
    assert "planted" not in {getattr(line, "client", None) for line in history.lines}
