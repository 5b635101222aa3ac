"""Shares, errors and plain tests agree with their formulas and with the published trace."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from judgement.statistics import (
    clopper_pearson,
    domain_score,
    gap_test,
    mean_score,
    probability_positive,
    scores,
)
from schemas.policy import Estimate

COUNT = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
DEV, TARGET = (0.79, 0.82, 0.84, 0.93, 0.89), (0.80, 0.82, 0.84, 0.85, 0.86)
"""The paper's trace, R0 to R4 (arXiv 2606.20657): dev of 726 items, target of 250."""


@given(COUNT)
def test_a_share_has_an_error_even_at_its_ends(count):
    made = domain_score(*count)
    assert made.score == count[0] / count[1]
    assert 0 < made.se <= 0.5 / math.sqrt(count[1])
    assert domain_score(count[1] - count[0], count[1]).se == pytest.approx(made.se)


def test_the_error_is_agresti_coulls():
    shrunk = (7 + 1.959963984540054**2 / 2) / (10 + 1.959963984540054**2)
    assert domain_score(7, 10).se == pytest.approx(math.sqrt(shrunk * (1 - shrunk) / (10 + 1.959963984540054**2)))


@pytest.mark.parametrize(("right", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_a_count_that_cannot_be_is_refused(right, n):
    with pytest.raises(ValueError, match=f"correct={right}, n={n}"):
        domain_score(right, n)


@given(st.dictionaries(st.sampled_from("abcdef"), COUNT, min_size=1))
def test_domains_weigh_the_same(counts):
    made = scores(counts)
    assert made.score == pytest.approx(np.mean([r / n for r, n in counts.values()]))
    assert made.se == pytest.approx(np.sqrt(sum(domain_score(*c).se ** 2 for c in counts.values())) / len(counts))
    assert made.n == sum(n for _, n in counts.values())
    assert list(made.domains) == list(counts)


def test_no_domain_is_no_score():
    with pytest.raises(ValueError, match="counts is empty"):
        scores({})


@given(st.floats(-1, 1), st.floats(0.001, 1), st.floats(-1, 1), st.floats(0.001, 1))
def test_the_probability_of_being_above_is_the_normals(a, s, b, t):
    gain = Estimate(mean=a - b, sd=math.hypot(s, t))
    loss = Estimate(mean=b - a, sd=gain.sd)
    assert probability_positive(gain) == pytest.approx(norm.cdf((a - b) / gain.sd), abs=1e-9)
    assert probability_positive(gain) + probability_positive(loss) == pytest.approx(1)


@pytest.mark.parametrize(("mean", "probability"), [(0.1, 1.0), (0.0, 0.5), (-0.1, 0.0)])
def test_a_certain_gain_is_certainly_above_or_below(mean, probability):
    assert probability_positive(Estimate(mean=mean, sd=0)) == probability


def test_on_the_papers_trace_the_gap_test_fires_at_r3_only_and_clears_at_r4():
    tests = [
        gap_test(f"r{i}", _share(d, 726), _share(t, 250)) for i, (d, t) in enumerate(zip(DEV, TARGET, strict=True))
    ]
    assert [test.fires for test in tests] == [False, False, False, True, False]
    assert tests[3].z == pytest.approx(3.27, abs=0.15)
    assert tests[4].z < 1.96


def test_a_gap_that_the_base_has_as_well_is_no_finding():
    base = _share(0.45, 600), _share(0.27, 900)
    gap = _share(0.65, 600), _share(0.46, 900)
    assert gap_test("r1s1", *gap).fires
    assert not gap_test("r1s1", *gap, base).fires
    assert gap_test("r1s1", _share(0.72, 600), _share(0.2, 900), base).fires


def _share(share, n):
    return scores({"total": (round(share * n), n)})


def test_the_mean_of_rights_and_wrongs_is_the_share_of_right_answers():
    assert mean_score([1.0, 0.0, 1.0, 1.0]) == domain_score(3, 4)


def test_other_values_have_their_own_spread_and_equal_ones_claim_no_certainty():
    values = [0.25, 0.5, 0.75] * 400
    found = mean_score(values)
    assert found.score == pytest.approx(0.5)
    assert found.se == pytest.approx(np.std(values) / len(values) ** 0.5, rel=0.02)
    assert mean_score([0.5] * 50).se > 0.01


@pytest.mark.parametrize(
    ("events", "trials", "low", "high"),
    [(0, 100, 0.0, 0.0362), (5, 100, 0.0164, 0.1128), (100, 100, 0.9638, 1.0), (0, 0, 0.0, 1.0)],
)
def test_the_interval_of_a_rate_is_that_of_clopper_and_pearson(events, trials, low, high):
    assert clopper_pearson(events, trials) == pytest.approx((low, high), abs=1e-4)
