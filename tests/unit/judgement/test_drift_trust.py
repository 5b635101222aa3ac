"""The trust model follows dev while dev tracks, the target where it was measured, and the gate while a drift stands."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgement.search.trust import TrustModel
from schemas.campaign import DOMAINS
from schemas.recipe import Recipe
from schemas.scores import BASE
from tests.unit.driftworld import (
    DIVERSE,
    EVEN,
    RECORDED,
    add,
    anyhow,
    changed,
    counted,
    detected,
    drawn,
    history,
    recorded,
    totals,
    tracking,
)

START = np.array([0.3, 0.2, 0.5, 0.3, 0.4, 0.3])


def measured(slope=0.8, seed=0, trials=8, n=150):
    """A campaign in which the target follows dev with one slope, four of the trials measured on it."""
    rng = np.random.default_rng(seed)
    made = add(history(), BASE, dev=counted(START, n), external=counted(START - 0.1, n))
    for i in range(trials):
        gain = 0.05 * i * np.ones(6)
        external = {"external": drawn(START - 0.1 + slope * gain, n, rng)} if i % 2 else {}
        add(made, f"r1s{i}", anyhow(steps=120 + 50 * i), 1, i, dev=drawn(START + gain, n, rng), **external)
    return made


def test_while_dev_tracks_the_target_a_higher_dev_is_a_better_recipe():
    model = TrustModel.fit(measured())
    gain, probability = model.gain("r1s6", "r1s0")
    assert gain.mean == pytest.approx(0.8 * 0.3, abs=0.06)
    assert probability > 0.99
    assert model.predict(anyhow(steps=420)).mean > model.predict(anyhow(steps=120)).mean + 0.1


def test_the_recorded_campaign_is_won_by_the_better_target_and_not_by_the_higher_dev():
    made = recorded()
    model = TrustModel.fit(made)
    names = [trial.candidate for trial in made.measured("external")]
    best = max(names, key=lambda name: model.predict_trial(name).mean)
    assert made.trials[best].recipe == RECORDED[6][1]
    highest = max(names, key=lambda name: made.trials[name].scores["dev"].score)
    gain, probability = model.gain(best, highest)
    assert gain.mean > 0.05
    assert probability > 0.95


def test_what_interventions_did_to_the_target_carries_over_to_recipes_not_run():
    model = TrustModel.fit(recorded())
    diverse = anyhow(steps=400, traces=1.0, difficulty=DIVERSE, wordings=EVEN)
    narrow = anyhow(steps=400, traces=1.0)
    assert model.predict(diverse).mean > model.predict(narrow).mean + 0.03


def test_a_target_score_always_counts():
    made = measured()
    made.standing_drifts["all"] = detected("all", 0.0)
    before = TrustModel.bound(made).predict_trial("r1s6")
    made.trials["r1s6"].scores["external"] = counted(START + 0.3, 150)
    after = TrustModel.bound(made).predict_trial("r1s6")
    assert after.mean > before.mean + 0.1
    assert after.sd < before.sd


def unmeasured(gain, *standing):
    """Trial `new` has a dev gain in equations alone, and no target score; the given drifts stand."""
    made = measured()
    dev = START + gain * (np.array(DOMAINS) == "equations")
    add(made, "new", anyhow(lr=6e-3), 2, 1, dev=counted(dev, 150))
    made.standing_drifts.update({scope: detected(scope, level) for scope, level in standing})
    return TrustModel.bound(made).predict_trial("new").mean


@pytest.mark.parametrize("scope", ["equations", "all"])
def test_under_a_standing_drift_dev_gain_beyond_its_level_counts_for_nothing(scope):
    assert unmeasured(0.6) - unmeasured(0.3) > 0.02
    assert unmeasured(0.6, (scope, 0.1)) == pytest.approx(unmeasured(0.3, (scope, 0.1)), abs=0.004)
    assert unmeasured(0.6, (scope, 0.1)) < unmeasured(0.6) - 0.02


def test_a_drift_elsewhere_or_above_leaves_the_gain_alone():
    assert unmeasured(0.3, ("bits", 0.0)) == pytest.approx(unmeasured(0.3), abs=0.01)
    assert unmeasured(0.3, ("equations", 0.8)) == pytest.approx(unmeasured(0.3), abs=0.02)
    assert unmeasured(0.6, ("equations", 0.1), ("all", 0.5)) == pytest.approx(
        unmeasured(0.6, ("equations", 0.1)), abs=0.01
    )


def test_the_gate_changes_which_recipe_is_drawn():
    recipes = [anyhow(steps=470), anyhow(steps=120)]
    shares = []
    for standing in ({}, {"all": detected("all", 0.0)}):
        made = measured()
        for trial in made.trials.values():
            if trial.candidate != BASE:
                trial.scores.pop("external", None)
        made.standing_drifts.update(standing)
        drawn_ = TrustModel.bound(made).samples(recipes, np.random.default_rng(0), 300)
        shares.append((drawn_[:, 0] > drawn_[:, 1]).mean())
    assert shares[0] > 0.9
    assert 0.3 < shares[1] < 0.7


@pytest.mark.parametrize("whole", [False, True])
def test_draws_have_the_predicted_mean_and_spread(whole):
    made = totals(recorded()) if whole else recorded()
    model = TrustModel.fit(made)
    points = ["r1s1", RECORDED[2][1], anyhow(lr=6e-3, curriculum="hard_first")]
    draws = model.samples(points, np.random.default_rng(0), 4000)
    for column, estimate in zip(draws.T, model.predict_all(points), strict=True):
        assert column.mean() == pytest.approx(estimate.mean, abs=0.1 * estimate.sd)
        assert column.std() == pytest.approx(estimate.sd, rel=0.1)


def test_gain_agrees_with_the_draws():
    model = TrustModel.fit(recorded())
    draws = model.samples(["r3s2", "r3s1"], np.random.default_rng(1), 4000)
    gain, probability = model.gain("r3s2", "r3s1")
    over = draws[:, 0] - draws[:, 1]
    assert over.mean() == pytest.approx(gain.mean, abs=0.1 * gain.sd)
    assert over.std() == pytest.approx(gain.sd, rel=0.1)
    assert (over > 0).mean() == pytest.approx(probability, abs=0.03)


def test_a_trial_against_itself_gains_nothing():
    gain, _ = TrustModel.fit(recorded()).gain("r1s1", "r1s1")
    assert gain.mean == pytest.approx(0, abs=1e-9)
    assert gain.sd == pytest.approx(0, abs=1e-6)


def test_hypotheses_disagree_about_dev_gain_that_no_target_score_has_checked():
    made = recorded(range(3))
    add(made, "r3s1", anyhow(steps=500), 3, 1, dev=counted([0.9] * 6, 100))
    add(made, "r3s2", anyhow(steps=120), 3, 2, dev=counted([0.32, 0.07, 1.0, 0.13, 0.0, 0.68], 100))
    model = TrustModel.fit(made)
    assert model.disagreement("r3s1") > 2 * model.disagreement("r3s2")
    assert model.disagreement(BASE) < model.disagreement("r3s1")


def test_with_nothing_measured_everything_is_uncertain_and_nothing_fails():
    model = TrustModel.fit(history())
    assert model.predict(Recipe()).sd > 0.1
    assert model.predict_trial(BASE).sd > 0.1
    assert model.samples([Recipe(), anyhow(steps=250)], np.random.default_rng(0), 3).shape == (3, 2)


def test_an_unknown_trial_is_an_error():
    with pytest.raises(KeyError, match="r9s9"):
        TrustModel.fit(recorded()).predict_trial("r9s9")


def test_the_noise_is_that_of_the_replicates():
    made = add(history(), BASE, dev=counted(START, 1000))
    for i, offset in enumerate((0.06, -0.06) * 6):
        add(made, f"r{i}s0", Recipe(), i, 0, dev=counted(START + 0.1 + offset, 1000))
    assert TrustModel.fit(made).noise == 0.06


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_predictions_cover_the_truth(seed):
    rng = np.random.default_rng(seed)
    world = tracking("scaled", rng)
    made = add(history(), BASE, dev=drawn(world.base, 100, rng), external=drawn(world.target, 150, rng))
    truth = {}
    for i in range(12):
        recipe = changed(anyhow(steps=120), rng)
        dev = world.dev(recipe, rng)
        target = world.external(dev, rng)
        external = {"external": drawn(target, 150, rng)} if i % 2 else {}
        add(made, f"r1s{i}", recipe, 1, i, dev=drawn(dev, 100, rng), **external)
        truth[f"r1s{i}"] = target.mean()
    estimates = TrustModel.fit(made).predict_all(list(truth))
    away = [(e.mean - t) / e.sd for e, t in zip(estimates, truth.values(), strict=True)]
    assert np.abs(away).max() < 5
