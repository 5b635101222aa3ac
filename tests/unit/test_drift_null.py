"""The threshold of a campaign comes from campaigns of its own sizes in which dev tracks the target."""

import numpy as np
import pytest

from judgement.drift_null import clopper_pearson_upper, strengths, with_threshold
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
    assert (found >= law.threshold).sum() == law.null.alarms == 3
    assert law.threshold == pytest.approx(found[-4], rel=2e-3)
    assert law.null.campaigns == COUNT


def test_the_threshold_is_never_lowered(found):
    law = with_threshold(campaign(threshold=1e6, false_alarms=0.1), COUNT).constitution.drift
    assert (law.threshold, law.null.alarms) == (1e6, 0)
    assert law.null.upper == pytest.approx(1 - 0.025 ** (1 / COUNT), abs=1e-4)


def test_the_same_campaign_gets_the_same_threshold_and_another_seed_another(found):
    assert (np.sort(strengths(campaign(), COUNT)) == found).all()
    other = campaign().model_copy(update={"seed": 1})
    assert (np.sort(strengths(other, COUNT)) != found).any()


def test_the_threshold_is_part_of_the_hash():
    given = campaign(threshold=1.001, false_alarms=0.1)
    assert with_threshold(given, COUNT).constitution_sha256 != given.constitution_sha256


@pytest.mark.parametrize(("events", "trials", "upper"), [(0, 100, 0.0362), (5, 100, 0.1128), (100, 100, 1.0)])
def test_the_upper_bound_is_that_of_clopper_and_pearson(events, trials, upper):
    assert clopper_pearson_upper(events, trials) == pytest.approx(upper, abs=1e-4)
