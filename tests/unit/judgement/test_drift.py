"""The drift test finds the drift of the recorded runs, says so in words, and stays still where nothing can be known."""

import itertools

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from judgement.drift.assess import alarming, any_drift, assess, verdicts
from judgement.drift.hypotheses import DEVIATION, OFFSET_MEAN, OFFSET_SD, SLOPE_PRIOR, SLOPES, hypotheses
from judgement.drift.posterior import hinge, law, posterior
from judgement.profile import Gains, profile
from schemas import events as e
from schemas.campaign import DOMAINS
from schemas.scores import BASE, Stamp
from tests.typed import instance, there
from tests.unit.driftworld import RECORDED, add, anyhow, conclude, counted, detected, history, recorded, totals

STAMP = {"engine": "hf 5", "harness": "lm-eval 0.4.13", "max_new_tokens": 96, "max_length": 256}


def stamp(precision):
    return Stamp(**STAMP, template_sha256="0" * 64, precision=precision)


def by_scope(assessed):
    return {scope.scope: scope for scope in assessed.scopes}


def test_the_recorded_campaign_is_found_drifting_within_its_rounds():
    made, found = recorded(()), []
    for round_ in range(1, 5):
        for trial in recorded().of_round(round_):
            made.trials[trial.candidate] = trial
        found += conclude(made, round_)
    drifts = [verdict for verdict in found if isinstance(verdict, e.DriftDetected)]
    assert drifts
    assert min(drift.round for drift in drifts) <= 2
    assert "roman" in {d.assessment.scope for d in drifts if d.assessment.direction == "inflated"}
    assert "gravity" in {d.assessment.scope for d in drifts if d.assessment.direction == "blind"}


@pytest.mark.parametrize("order", list(itertools.permutations(range(7)))[::500])
def test_the_order_of_the_trials_does_not_matter(order):
    first, second = assess(recorded(), 4), assess(recorded(order), 4)
    assert second.bayes_factor == first.bayes_factor
    for one, two in zip(first.scopes, second.scopes, strict=True):
        assert (one.scope, one.direction) == (two.scope, two.direction)
        assert one.posterior == pytest.approx(two.posterior, abs=1e-5)


def test_a_domain_that_says_nothing_is_named_although_a_flat_slope_would_explain_it():
    rng = np.random.default_rng(0)
    made = add(history(), BASE, dev=counted([0.3] * 6, 150), external=counted([0.2] * 6, 150))
    for i in range(8):
        gain = rng.uniform(0.1, 0.6, 6)
        target = 0.2 + 0.8 * gain * (np.array(DOMAINS) != "units")
        add(
            made,
            f"r{i}s1",
            anyhow(lr=1e-3 * (1 + i)),
            i,
            1,
            dev=counted(0.3 + gain, 150),
            external=counted(target, 150),
        )
    assessed = assess(made, 7)
    assert [scope.scope for scope in alarming(assessed)] == ["units"]
    finding = by_scope(assessed)["units"]
    assert (finding.direction, finding.level) == ("inflated", 0.0)
    assert finding.slope.mean < 0.2
    assert assessed.calibration.slope.mean == pytest.approx(0.8, abs=0.1)


def test_a_target_that_rises_with_an_intervention_while_dev_stays_flat_is_blindness():
    made = add(history(), BASE, dev=counted([0.4] * 6, 150), external=counted([0.3] * 6, 150))
    for i in range(8):
        traces = float(i % 2)
        target = np.array([0.3, 0.3, 0.3, 0.3 + 0.3 * traces, 0.3, 0.3])
        add(made, f"r{i}s1", anyhow(traces=traces), i, 1, dev=counted([0.42] * 6, 150), external=counted(target, 150))
    finding = by_scope(assess(made, 7))["units"]
    assert (finding.direction, finding.level) == ("blind", 1.0)
    assert finding.bayes_factor > 10
    assert [instance(e.DriftDetected, v).assessment.scope for v in verdicts(made, assess(made, 7))] == ["units"]


def test_a_harm_beyond_a_level_is_found_with_its_level():
    made = add(history(), BASE, dev=counted([0.3] * 6, 400), external=counted([0.3] * 6, 400))
    for i, gain in enumerate(np.linspace(0.05, 0.6, 10)):
        target = 0.3 + np.full(6, gain)
        target[1] = 0.3 + min(gain, 0.2) - 0.3 * max(0, gain - 0.2)
        add(
            made,
            f"r{i}s1",
            anyhow(steps=100 + 40 * i),
            i,
            1,
            dev=counted([0.3 + gain] * 6, 400),
            external=counted(target, 400),
        )
    finding = by_scope(assess(made, 9))["cipher"]
    assert (finding.direction, finding.level) == ("inflated", 0.2)
    assert finding.slope.mean == pytest.approx(-0.3, abs=0.15)
    assert finding.highest_dev.dev == pytest.approx(0.6, abs=0.05)
    assert finding.highest_dev.target == pytest.approx(0.08, abs=0.02)


def test_one_number_as_target_is_enough_to_see_a_strong_drift():
    made = totals(recorded())
    assessed = assess(made, 4)
    assert assessed.bayes_factor > 10
    assert {scope.scope for scope in assessed.scopes} == {*DOMAINS, "all"}
    assert sum(s.posterior for s in assessed.scopes if s.scope == "all") <= assessed.posterior


@pytest.mark.parametrize("made", [history(), recorded(()), totals(recorded(()))])
def test_without_a_pair_beyond_the_base_the_prior_stands(made):
    assessed = assess(made, 1)
    assert assessed.bayes_factor == pytest.approx(1)
    assert [scope.bayes_factor for scope in assessed.scopes] == pytest.approx([1] * 7)
    assert assessed.evidence == ()
    assert "nothing can be said" in assessed.words
    assert verdicts(made, assessed) == []


def test_a_base_without_dev_or_target_raises_no_alarm_by_itself():
    for missing in ("dev", "external"):
        made = recorded((0,))
        del made.base.scores[missing]
        assessed = assess(made, 1)
        assert assessed.bayes_factor < 10
        assert assessed.calibration.offset.sd == 1.0
        assert assessed.gap


def test_failed_and_unmeasured_candidates_are_no_evidence():
    made = recorded()
    add(made, "r4s2", anyhow(lr=6e-3), 4, 2)
    made.trials["r4s2"].failed = "OutOfMemory"
    add(made, "r4s3", anyhow(lr=6e-3), 4, 3, external=counted([0.9] * 6, 150))
    assessed = assess(made, 4)
    assert assessed.evidence == assess(recorded(), 4).evidence
    assert assessed.basis.digest == assess(recorded(), 4).basis.digest


def test_scores_of_another_stamp_are_not_compared():
    made = recorded()
    for trial in made.trials.values():
        for kind in ("dev", "external"):
            trial.stamps[kind] = stamp("float32")
    made.trials["r1s1"].stamps["external"] = stamp("bfloat16")
    made.trials["r1s2"].stamps["dev"] = stamp("bfloat16")
    made.trials["r2s1"].scores["confirm"] = counted([0.99] * 6, 100)
    made.trials["r2s1"].stamps["confirm"] = stamp("bfloat16")
    assert not {"r1s1", "r1s2"} & set(assess(made, 4).evidence)
    assert profile(made).gains(["r2s1"]).mean[1, 0] < 0.2


def test_a_confirmation_counts_as_more_items_of_dev():
    made = recorded((0,))
    before = profile(made).gains(["r1s1"])
    made.trials["r1s1"].scores["confirm"] = counted(
        np.array(RECORDED[0][2]) / 100 - 0.05 * (np.array(DOMAINS) == "bits"), 300
    )
    after = profile(made).gains(["r1s1"])
    assert after.mean[0, 0] < before.mean[0, 0]
    assert after.covariance[0, 0, 0] < before.covariance[0, 0, 0]


def test_the_gap_test_takes_the_rounds_best_dev_and_its_fresh_items():
    made = recorded()
    assert there(assess(made, 1).gap).candidate == "r1s2"
    assert there(assess(made, 3).gap).fires
    made.trials["r3s2"].scores["confirm"] = counted([0.2] * 6, 100)
    assert not there(assess(made, 3).gap).fires
    assert assess(made, 5).gap is None


def test_the_basis_is_the_evidence_and_nothing_else():
    made, other = recorded(), recorded()
    other.trials = dict(reversed(other.trials.items()))
    other.position += 7
    assert assess(made, 4).basis.digest == assess(other, 4).basis.digest
    assert assess(other, 4).basis.position == other.position
    other.trials["r1s1"].scores["dev"] = counted([0.5] * 6, 100)
    assert assess(made, 4).basis.digest != assess(other, 4).basis.digest


def test_a_standing_drift_is_not_said_twice():
    made = recorded()
    first = conclude(made, 4)
    assert first
    assert conclude(made, 5) == []


def test_a_drift_is_cleared_after_enough_quiet_rounds_and_not_before():
    made = recorded((), n=(400, 400))
    made.standing_drifts["bits"] = detected("bits", 0.1)
    cleared = []
    for round_ in range(1, 5):
        gain = np.full(6, 0.1 * round_)
        for slot in (1, 2):
            dev = np.array([0.1, 0.03, 0.58, 0.1, 0.38, 0.32]) + gain
            target = np.array([0.08, 0.02, 0.68, 0.03, 0.08, 0.1]) + 0.7 * gain
            scores = {"dev": counted(dev, 400), "external": counted(np.minimum(target, 1), 400)}
            add(made, f"r{round_}s{slot}", anyhow(steps=100 * round_ + slot), round_, slot, **scores)
        cleared += [(round_, verdict) for verdict in conclude(made, round_)]
    quiet = [a.round for a in made.assessments.values() if by_scope(a)["bits"].bayes_factor < 1]
    assert len(cleared) == 1
    round_, verdict = cleared[0]
    assert isinstance(verdict, e.DriftCleared)
    assert verdict.scope == "bits"
    assert {round_ - 1, round_} <= set(quiet)
    assert not {round_ - 2, round_ - 1} <= set(quiet)
    assert "bits" not in made.standing_drifts
    assert "counts again" in verdict.words


def test_a_higher_threshold_needs_more_evidence():
    made = recorded(range(2))
    assert verdicts(made, assess(made, 1))
    made.campaign = history(threshold=1e6).campaign
    assert verdicts(made, assess(made, 1)) == []


def test_words_carry_the_numbers():
    made = recorded()
    for verdict in conclude(made, 4):
        finding = verdict.assessment
        for shown in (finding.highest_dev, finding.highest_target):
            said = f"{shown.candidate} (dev {100 * shown.dev:+.1f} points, target {100 * shown.target:+.1f})"
            assert said in verdict.words
        assert "the threshold was 10" in verdict.words
        if finding.direction == "inflated":
            assert f"more than {100 * finding.level:.1f} points over the base is no evidence" in verdict.words


def test_the_evidence_is_the_sum_over_all_combinations_of_hypotheses():
    made = recorded(range(3))
    weighed = posterior(profile(made), hypotheses(6))
    count, layout = len(weighed.hyps.kinds), weighed.layout
    prior = law(weighed.hyps, layout, weighed.profile.gains(weighed.measured), SLOPES)
    scores = [[s.domains[d] for s in weighed.profile.targets.values()] for d in DOMAINS]
    single = np.zeros((len(SLOPES), 6, count))
    for (r, c, g), _ in np.ndenumerate(single):
        noise = np.diag([s.se**2 for s in scores[c]])
        shape = multivariate_normal(prior.mean[r, c, g], prior.covariance[r, c, g] + noise)
        single[r, c, g] = shape.pdf([s.score for s in scores[c]])
    rho = SLOPE_PRIOR / SLOPE_PRIOR.sum()
    none = single[:, :, 0].prod(axis=1) @ rho
    combined = 0.0
    for chosen in itertools.product(range(count), repeat=6):
        weight = float(np.prod([0.6 if h == 0 else 0.4 / (count - 1) for h in chosen]))
        combined += weight * float(single[:, range(6), chosen].prod(axis=1) @ rho)
    shared = np.mean([single[:, :, h].prod(axis=1) @ rho for h in range(1, count)])
    drifting = 0.42 * (combined - 0.6**6 * none) + 0.08 * shared
    expected = drifting / (0.42 * (1 - 0.6**6) + 0.08) / none
    assert any_drift(weighed) == pytest.approx(expected, rel=1e-5)


def test_the_law_is_that_of_the_model_it_states():
    rng = np.random.default_rng(0)
    hyps = hypotheses(1)
    gain = np.array([0.0, 0.3, 0.3])
    trained = np.array([0.0, 1.0, 1.0])
    kernel = np.outer(trained, trained) * np.array([[1, 1, 1], [1, 1, 0.5], [1, 0.5, 1]])
    gains = Gains(gain[None], np.zeros((1, 3, 3)), kernel, np.diag(trained), trained)
    weighed = posterior(profile(recorded(())), hypotheses(6))
    stated = law(
        hyps,
        type(weighed.layout)(np.ones(1), np.ones((1, 1)), np.arange(6)[None, :, None], *[np.ones(1)] * 3),
        gains,
        np.array([0.5]),
    )
    h, n = 2, 200_000
    slope = rng.normal(0.5, 0.5 * DEVIATION, (n, 1))
    beyond = rng.normal(hyps.slope_mean[h, 0], hyps.slope_sd[h, 0], (n, 1))
    effect = rng.multivariate_normal(np.zeros(3), hyps.effect_sd[h, 0] ** 2 * kernel, n)
    drawn = (
        rng.normal(OFFSET_MEAN, OFFSET_SD, (n, 1)) + slope * np.minimum(gain, 0.1) + beyond * np.maximum(0, gain - 0.1)
    )
    drawn += effect + rng.normal(0, hyps.mismatch_sd[h, 0], (n, 3)) * trained
    assert stated.mean[0, 0, h] == pytest.approx(drawn.mean(axis=0), abs=0.005)
    assert stated.covariance[0, 0, h] == pytest.approx(np.cov(drawn.T), abs=0.002)


def test_the_hinge_is_the_expected_gain_beyond_the_level():
    draws = np.random.default_rng(0).normal(0.15, 0.1, 400_000)
    gains = Gains(np.array([[0.15]]), np.full((1, 1, 1), 0.01), np.ones((1, 1)), np.ones((1, 1)), np.ones(1))
    over, beyond = hinge(hypotheses(1), gains)
    for h, level in enumerate((0.0, 0.1, 0.2, 0.4), start=1):
        assert over[h, 0, 0] == pytest.approx(np.maximum(0, draws - level).mean(), abs=5e-4)
        assert beyond[h, 0, 0] == pytest.approx((draws > level).mean(), abs=2e-3)
    assert over[0, 0, 0] == 0
