"""The threshold of a campaign comes from campaigns of its own sizes in which dev tracks the target."""

import numpy as np
import pytest

from judgement.drift.threshold import World, strengths, with_threshold
from schemas.targets import BoardTarget
from tests.typed import there
from tests.unit.driftworld import campaign

COUNT = 30


@pytest.fixture(scope="module")
def found():
    return np.sort(strengths(campaign(), COUNT))


def test_a_constitution_without_a_rate_keeps_its_threshold():
    given = campaign(threshold=7.0)
    assert with_threshold(given) is given


def test_the_threshold_is_raised_until_no_more_campaigns_alarm_than_allowed(found):
    law = with_threshold(campaign(threshold=1.001, false_alarms=0.1), COUNT).constitution.drift
    assert (found >= law.threshold).sum() == there(law.null).alarms == 3
    assert law.threshold == pytest.approx(found[-4], rel=2e-3)
    assert there(law.null).campaigns == COUNT


def test_the_threshold_is_never_lowered(found):
    law = with_threshold(campaign(threshold=1e6, false_alarms=0.1), COUNT).constitution.drift
    assert (law.threshold, there(law.null).alarms) == (1e6, 0)
    assert there(law.null).upper == pytest.approx(1 - 0.025 ** (1 / COUNT), abs=1e-4)


def test_the_same_campaign_gets_the_same_threshold_and_another_seed_another(found):
    assert (np.sort(strengths(campaign(), COUNT)) == found).all()
    other = campaign().model_copy(update={"seed": 1})
    assert (np.sort(strengths(other, COUNT)) != found).any()


def test_the_threshold_is_part_of_the_hash():
    given = campaign(threshold=1.001, false_alarms=0.1)
    assert with_threshold(given, COUNT).constitution_sha256 != given.constitution_sha256


@pytest.mark.parametrize(("sure", "error"), [({"items": 100}, 0.05), ({"se": 4.0, "highest": 100}, 0.04)])
def test_a_target_outside_is_simulated_as_sure_as_the_campaign_says_it_is(sure, error):
    target = BoardTarget(url="https://board.example", **sure)
    given = campaign()
    law = given.constitution.model_copy(update={"target": target})
    world = World.random(given.model_copy(update={"constitution": law}), np.random.default_rng(0))
    rng, truth = np.random.default_rng(1), np.full(6, 0.5)
    said = [world.measured("external", truth, rng) for _ in range(2000)]
    assert {len(scores.domains) for scores in said} == {0}
    assert np.mean([scores.score for scores in said]) == pytest.approx(0.5, abs=5e-3)
    assert np.std([scores.score for scores in said]) == pytest.approx(error, rel=0.1)
    assert np.mean([scores.se for scores in said]) == pytest.approx(error, rel=0.1)
