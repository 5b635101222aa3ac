"""A new best on the target is announced only where it climbs a step above the last one (the Ladder)."""

import numpy as np
import pytest

from judgement.decisions import first_policy, update
from judgement.search.promote import announced_best, climbs, step
from judgement.statistics import scores
from schemas.policy import Best
from schemas.scores import BASE
from tests.typed import there
from tests.unit.driftworld import add, anyhow, counted, history


def measured(**shares):
    """The base and candidates with these targets, 900 items each: a step is about 2.2 points at 30 %."""
    made = history()
    for slot, (name, share) in enumerate(shares.items()):
        recipe = None if name == BASE else anyhow(steps=100 + slot)
        both = {"dev": counted([0.5] * 6, 100), "external": counted([share] * 6, 150)}
        add(made, name, recipe, 0 if name == BASE else 1, slot, **both)
    return made


def test_before_the_base_is_measured_nothing_is_announced():
    assert announced_best(history()) is None


def test_a_score_within_the_noise_of_the_base_is_no_new_best():
    assert there(announced_best(measured(base=0.30, r1s1=0.313))).candidate == BASE


def test_a_score_a_step_above_is_announced():
    made = measured(base=0.30, r1s1=0.313, r1s2=0.34)
    best = there(announced_best(made))
    assert best.candidate == "r1s2"
    assert best.score == pytest.approx(0.34)


def test_an_announced_best_stays_until_a_whole_step_is_climbed():
    made = measured(base=0.30, r1s1=0.34, r1s2=0.353)
    opened = first_policy(made).policy
    made.policies[1] = opened.model_copy(update={"best": Best(candidate="r1s1", score=0.34, se=0.0155)})
    assert there(announced_best(made)).candidate == "r1s1"
    add(made, "r2s1", anyhow(steps=7), 2, 1, dev=counted([0.5] * 6, 100), external=counted([0.38] * 6, 150))
    assert there(announced_best(made)).candidate == "r2s1"


def test_chance_alone_makes_far_fewer_new_bests_than_leaders():
    """Eight models as good as the base: the highest of them leads the board in 8 of 9 cases."""
    rng, leads, announced = np.random.default_rng(0), 0, 0
    for _ in range(300):
        base, *others = (scores({"all": (int(rng.binomial(500, 0.5)), 500)}) for _ in range(9))
        leader = max(others, key=lambda s: s.score)
        leads += leader.score > base.score
        announced += climbs(leader, base)
    assert leads > 250
    assert announced < 0.75 * leads


def test_the_step_is_the_standard_error_of_the_difference():
    a, b = scores({"all": (300, 1000)}), scores({"all": (100, 250)})
    assert step(a, b) == pytest.approx((a.se**2 + b.se**2) ** 0.5)
    assert climbs(scores({"all": (400, 1000)}), a)
    assert not climbs(a, a)


def test_the_policy_carries_the_best_and_says_when_it_changes():
    made = measured(base=0.30, r1s1=0.34, r1s2=0.30)
    made.policies[1] = first_policy(made).policy
    event = update(made)
    assert there(event.policy.best).candidate == "r1s1"
    assert any("r1s1 with 34.0 %" in sentence for sentence in event.changed)
