"""Damage needs room: where a history has none, the plant says so."""

from __future__ import annotations

from random import Random

import pytest
from dibs.proof.checker import judge
from dibs.proof.errors import PlantError
from dibs.proof.kinds import Damage
from dibs.proof.plant import plant
from dibs.proof.verdict import Judgement

TAKES = [Damage.DUPLICATE, Damage.SKIP, Damage.REORDER]


@pytest.mark.parametrize("damage", TAKES)
def test_the_damage_says_what_it_did_and_leaves_the_history_as_it_was(build, damage):
    history = build.history(*(build.ok(str(seq), seq, seq, [seq]) for seq in range(1, 6)))
    damaged, told = plant(history, damage, Random(1))
    assert judge(history).judgement is Judgement.CLEAN
    assert judge(damaged).columns[damage.column] >= 1
    assert "line " in told


@pytest.mark.parametrize("damage", TAKES)
def test_an_empty_history_has_no_room(build, damage):
    with pytest.raises(PlantError, match="nothing was handed out"):
        plant(build.history(build.refused("a", 0, 1)), damage, Random(1))


def test_a_history_of_two_answers_has_no_gap_unless_its_window_is_known(build):
    two = build.ok("a", 0, 1, [1]), build.ok("b", 2, 3, [2])
    with pytest.raises(PlantError, match="too short"):
        plant(build.history(*two), Damage.SKIP, Random(1))
    damaged, _ = plant(build.history(*two, cursor=0, end=2), Damage.SKIP, Random(1))
    assert judge(damaged).columns["skipped"] == 1


def test_requests_that_were_all_in_the_air_at_once_have_no_order(build):
    history = build.history(*(build.ok(str(seq), 0, 9, [seq]) for seq in range(1, 6)))
    with pytest.raises(PlantError, match="in the air at once"):
        plant(history, Damage.REORDER, Random(1))


def test_a_skip_is_not_excused_by_others_on_a_shared_queue(build):
    history = build.history(
        *(build.ok(str(seq), seq, seq, [seq]) for seq in range(1, 6)), cursor=0, end=5, exclusive=False
    )
    damaged, _ = plant(history, Damage.SKIP, Random(1))
    assert judge(damaged).judgement is Judgement.VIOLATED


def test_a_skip_is_planted_where_no_lost_request_can_own_it(build):
    history = build.history(
        build.ok("a", 0, 1, [1]), build.ok("b", 2, 3, [2]), build.lost(None, 4, 5), build.ok("c", 4, 9, [3])
    )
    with pytest.raises(PlantError):
        plant(history, Damage.SKIP, Random(1))
