"""Effects of changes, seed noise, distributions and dead ends."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgement.search.beliefs import (
    Observation,
    dead_ends,
    effects,
    interventions,
    pooled_dev,
    replicate_sd,
    revised_axes,
)
from judgement.trial import Trial
from schemas.policy import DeadEnd, Estimate
from schemas.recipe import Change, Recipe
from schemas.scores import BASE
from tests.unit.fieldmodel import FieldModel
from tests.unit.searchcases import even, scored_round, with_scores


def observation(round_, names, value, sd=0.01):
    return Observation(round_, names, value, sd**2)


def test_an_effect_is_measured_against_the_anchor_of_its_own_round():
    found = effects(
        [
            observation(1, (), 0.30),
            observation(1, ("a",), 0.40),
            observation(2, (), 0.60),
            observation(2, ("a",), 0.70),
        ]
    )
    assert found["a"].mean == pytest.approx(0.10, abs=0.002)
    assert found["a"].sd == pytest.approx(0.01, abs=0.001)


def test_two_changes_that_only_came_together_share_the_credit_and_are_unsure():
    together = effects([observation(1, (), 0.3), observation(1, ("a", "b"), 0.5)])
    assert together["a"] == together["b"]
    assert together["a"].mean == pytest.approx(0.10, abs=0.002)
    assert together["a"].sd > 0.1
    resolved = effects(
        [observation(1, (), 0.3), observation(1, ("a", "b"), 0.5), observation(1, ("a",), 0.5)],
    )
    assert resolved["a"].mean > 0.18
    assert abs(resolved["b"].mean) < 0.02


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.floats(0, 1), min_size=2, max_size=6),
    more=st.floats(0, 1),
)
def test_more_evidence_never_widens_an_interval(values, more):
    rows = [observation(1, ("a",) if i % 2 else (), v) for i, v in enumerate(values)]
    assert effects([*rows, observation(1, ("a",), more)])["a"].sd <= effects(rows)["a"].sd + 1e-6


def test_a_confirmation_adds_its_items():
    trial = Trial("r1s1", scores={"dev": even(0.4), "confirm": even(0.6)})
    value, variance = pooled_dev(trial)
    assert value == pytest.approx(0.5)
    assert variance < even(0.4).se ** 2


def replicated(*accuracies):
    history = scored_round()
    history.trials = {BASE: history.trials[BASE]}
    for round_, accuracy in enumerate(accuracies, start=1):
        history.trials[f"r{round_}s0"] = Trial(
            f"r{round_}s0", round=round_, recipe=Recipe(), scores={"dev": even(accuracy)}
        )
    return history


def test_noise_is_the_spread_between_replicates_beside_the_binomial_error():
    binomial = replicate_sd(replicated(0.4))
    assert binomial == pytest.approx(even(0.4).se, rel=0.15)
    assert replicate_sd(replicated(0.4, 0.4)) < binomial
    assert replicate_sd(replicated(0.30, 0.50)) == pytest.approx(((binomial**2 + 0.02) / 2) ** 0.5, rel=0.1)
    empty = replicated()
    empty.trials[BASE].scores = {}
    assert replicate_sd(empty) == 0.0


def test_every_change_has_its_effects_and_candidates():
    history = with_scores(scored_round(), "r1s1", external=0.35, confirm=0.45)
    beliefs = {b.name: b for b in interventions(history, FieldModel(history), 0.02)}
    assert sorted(beliefs) == ["difficulty=0.35/0.5/0.15", "steps=500", "traces=1"]
    assert beliefs["traces=1"].trials == ("r1s1", "r1s3")
    assert beliefs["steps=500"].dev.mean == pytest.approx(0.2, abs=0.02)
    assert beliefs["traces=1"].target.mean > 0


def test_without_changes_there_are_no_interventions():
    history = replicated(0.4)
    assert interventions(history, FieldModel(history), 0.02) == ()


def lr_tried(external=0.02, **law):
    """A single change of the learning rate that was measured on the target."""
    history = scored_round()
    trial = history.trials["r1s2"]
    trial.recipe, trial.changes = Recipe(lr=1e-2), (Change(knob="lr", before=3e-3, after=1e-2),)
    with_scores(history, "r1s0", external=0.20)
    return with_scores(history, "r1s2", external=external)


def test_a_single_change_that_harmed_the_target_is_closed():
    history = lr_tried()
    (end,) = dead_ends(history, FieldModel(history), Recipe())
    assert (end.knob, end.value, end.evidence) == ("lr", 1e-2, ("r1s2",))
    assert "it does harm with a chance of 99 in 100" in end.reason


def test_what_is_not_surely_harmful_stays_open():
    history = lr_tried(external=0.19)
    assert dead_ends(history, FieldModel(history), Recipe()) == ()


def test_a_fall_of_dev_alone_closes_nothing():
    history = scored_round((0.6, 0.1, 0.6, 0.1))
    assert dead_ends(history, FieldModel(history), Recipe()) == ()


def test_a_pair_closes_nothing():
    history = lr_tried()
    history.trials["r1s2"].changes += (Change(knob="rank", before=16, after=4),)
    assert dead_ends(history, FieldModel(history), Recipe()) == ()


def test_the_standing_value_is_never_closed():
    history = lr_tried()
    assert dead_ends(history, FieldModel(history), Recipe(lr=1e-2)) == ()


def test_a_change_whose_anchor_was_not_scored_closes_nothing():
    history = lr_tried()
    history.trials["r1s0"].scores.pop("dev")
    assert dead_ends(history, FieldModel(history), Recipe()) == ()


def test_dead_ends_are_kept_and_not_said_twice():
    history = lr_tried()
    known = DeadEnd(knob="lr", value=1e-2, evidence=("r0s1",), reason="before")
    history.policies[1] = history.policies[1].model_copy(update={"dead_ends": (known,)})
    assert dead_ends(history, FieldModel(history), Recipe()) == (known,)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_distributions_sum_to_one_and_give_nothing_to_closed_values(seed):
    history = with_scores(scored_round(), "r1s1", external=0.3)
    closed = DeadEnd(knob="lr", value=1e-2, evidence=("r1s1",), reason="")
    axes = revised_axes(history, FieldModel(history), Recipe(), [closed], np.random.default_rng(seed))
    assert all(sum(axis.probabilities) == pytest.approx(1.0, abs=1e-9) for axis in axes)
    lr = next(axis for axis in axes if axis.knob == "lr")
    assert lr.probabilities[2] == 0.0


class Sure(FieldModel):
    """A model that is sure that nothing beats the standing recipe."""

    def samples(self, recipes, rng, draws):
        return np.tile([0.3 if r == Recipe() else 0.0 for r in recipes], (draws, 1))

    def predict_trial(self, candidate):
        return Estimate(mean=0.3, sd=0.0)


def test_a_tried_axis_without_hope_is_retired_on_the_standing_value():
    history = with_scores(scored_round(), "r1s1", external=0.1)
    axes = {a.knob: a for a in revised_axes(history, Sure(history), Recipe(), [], np.random.default_rng(0))}
    assert axes["traces"].retired
    assert axes["traces"].probabilities == (1.0, 0.0, 0.0)
    assert not axes["rank"].retired  # never tried
