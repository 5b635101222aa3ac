"""The pool, the first round's design and Thompson sampling."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgement.basis import basis, seed_of
from judgement.cost import relative
from judgement.search.beliefs import first_axes
from judgement.search.policy import gains
from judgement.search.prior import covariance, design, distance, effect_sd, prior_gains, unseen, unseen_sds
from judgement.search.promote import rivals
from judgement.search.propose import DESIGN_POOL, pool
from schemas.campaign import Axis
from schemas.policy import AxisBelief, Policy
from schemas.recipe import Recipe, differences
from schemas.scores import Kind
from tests.typed import there
from tests.unit.fieldmodel import FieldModel
from tests.unit.loopworld import SPACE, Log, World, campaign, measure, started
from tests.unit.searchcases import scored_round, with_scores

KNOBS = tuple(axis.knob for axis in SPACE)
AXES = {axis.knob: axis for axis in SPACE}


def policy(standing=None, axes=None):
    standing = standing or Recipe()
    return Policy(
        version=0,
        round=1,
        standing=standing,
        standing_from="base",
        axes=axes or first_axes(SPACE),
        mode="recipe stabilisation",
    )


def changed(recipe):
    return {change.knob for change in differences(Recipe(), recipe, KNOBS)}


def measured():
    log = Log()
    log.append(started(campaign()))
    for kind in ("dev", "external"):
        measure(log, World(), "base", kind)
    return log.history


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), max_changes=st.integers(1, 4))
def test_the_pool_holds_new_recipes_within_the_allowed_changes(seed, max_changes):
    tried = [Recipe(traces=1.0), Recipe(steps=500)]
    drawn = pool(policy(), max_changes, tried, np.random.default_rng(seed), 64)
    assert all(1 <= len(changed(recipe)) <= max_changes for recipe in drawn)
    assert len({recipe.model_dump_json() for recipe in drawn}) == len(drawn)
    assert not any(recipe in tried for recipe in drawn)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_pool_never_holds_a_closed_value_nor_varies_a_retired_axis(seed):
    axes = list(first_axes(SPACE))
    axes[0] = AxisBelief(knob="traces", values=(0.0, 0.5, 1.0), probabilities=(0.5, 0.5, 0.0))
    axes[3] = AxisBelief(knob="steps", values=(120, 250, 500), probabilities=(1.0, 0.0, 0.0), retired=True)
    drawn = pool(policy(axes=tuple(axes)), 3, (), np.random.default_rng(seed), 64)
    assert not any(recipe.traces == 1.0 or recipe.steps != 120 for recipe in drawn)


def test_the_pool_is_empty_when_every_axis_is_settled():
    settled = [AxisBelief(knob="steps", values=(120, 250), probabilities=(1.0, 0.0), retired=True)]
    assert pool(policy(axes=tuple(settled)), 2, (), np.random.default_rng(0), 64) == []


def test_the_strong_axes_are_drawn_more_often_than_the_fine_ones():
    drawn = pool(policy(), 1, (), np.random.default_rng(0), 4)
    counts = dict.fromkeys(KNOBS, 0)
    for seed in range(200):
        for recipe in pool(policy(), 1, (), np.random.default_rng(seed), 1):
            counts[changed(recipe).pop()] += 1
    assert drawn
    assert counts["traces"] > 2 * counts["rank"] > 0


def test_the_first_round_takes_the_data_axes_before_the_fine_ones():
    singles = [Recipe().replace(a.knob, v) for a in SPACE for v in a.values if v != Recipe().get(a.knob)]
    chosen = design(SPACE, Recipe(), singles, 3)
    assert [changed(recipe).pop() for recipe in chosen[:2]] == ["traces", "wordings"]
    assert set().union(*map(changed, chosen)) >= {"traces", "wordings", "difficulty"}


@pytest.mark.parametrize("seed", range(20))
def test_the_first_round_tries_traces_and_diverse_data_together_where_pairs_are_allowed(seed):
    drawn = pool(policy(), 2, (), np.random.default_rng(seed), DESIGN_POOL)
    first, *others = design(SPACE, Recipe(), drawn, 3)
    strong = {"traces", "difficulty", "wordings"}
    assert changed(first) <= strong
    assert changed(first).union(*map(changed, others)) >= strong


def test_a_design_asks_for_no_more_than_there_is():
    assert design(SPACE, Recipe(), [Recipe(rank=4)], 3) == [Recipe(rank=4)]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_prior_is_a_covariance_and_knows_nothing_about_the_standing_recipe(seed):
    recipes = [Recipe(), *pool(policy(), 3, (), np.random.default_rng(seed), 30)]
    k = covariance(SPACE, Recipe(), recipes)
    assert np.allclose(k, k.T)
    assert np.linalg.eigvalsh(k).min() > -1e-9
    assert np.allclose(k[0], 0.0)


def test_predicted_gains_before_any_evidence_are_none_with_the_prior_spread():
    anchor, traced = prior_gains(SPACE, Recipe(), [Recipe(), Recipe(traces=1.0)])
    assert (anchor.mean, anchor.sd) == (0.0, 0.0)
    assert (traced.mean, traced.sd) == (0.0, effect_sd("traces"))


def test_distance_follows_the_scale_of_the_axis():
    assert distance(AXES["steps"], 120, 500) == 1.0
    assert np.isclose(distance(AXES["steps"], 120, 250), np.log(250 / 120) / np.log(500 / 120))
    assert distance(AXES["traces"], 0.0, 0.5) == 0.5
    assert distance(AXES["curriculum"], "shuffled", "easy_first") == 1.0
    assert np.isclose(distance(AXES["difficulty"], (1.0, 0.0, 0.0), (0.35, 0.5, 0.15)), 0.65)
    assert distance(AXES["wordings"], (1.0, 1.0, 1.0), (2.0, 2.0, 2.0)) == 0.0
    modules = Axis(knob="target_modules", values=(("q_proj",), ("q_proj", "v_proj")))
    assert distance(modules, ("q_proj",), ("q_proj", "v_proj")) == 1.0


def test_the_gain_of_the_standing_recipe_over_itself_is_nothing():
    model = FieldModel(measured())
    same, other = gains(model, Recipe(), [Recipe(), Recipe(traces=1.0)], np.random.default_rng(0))
    assert abs(same.mean) < 1e-5
    assert same.sd < 1e-5
    assert other.sd > 0.01


def test_what_dev_cannot_show_shrinks_where_the_target_is_asked():
    history, recipe = measured(), Recipe(traces=1.0)
    (before,), (near,) = unseen_sds(history, [recipe]), unseen_sds(history, [recipe], [Recipe(traces=1.0, rank=4)])
    assert 0 < near < before / 2 + 0.01
    assert unseen_sds(history, [Recipe(steps=500)], [recipe]) == unseen_sds(history, [Recipe(steps=500)])
    assert unseen(history, [recipe, Recipe(steps=500)]).shape == (2, 2)


def test_a_seed_depends_on_the_campaigns_seed_the_round_and_the_purpose():
    seeds = {seed_of(s, r, p) for s in (0, 1) for r in (1, 2) for p in ("propose", "policy")}
    assert len(seeds) == 8
    assert seed_of(0, 1, "propose") == 0x5566FD55


def test_the_basis_knows_neither_positions_nor_the_order_of_equal_evidence():
    first, second = Log(), Log()
    orders: list[tuple[Log, tuple[Kind, ...]]] = [(first, ("dev", "external")), (second, ("external", "dev"))]
    for log, kinds in orders:
        log.append(started(campaign()))
        for kind in kinds:
            measure(log, World(), "base", kind)
    assert basis(first.history, 1, "policy").digest == basis(second.history, 1, "policy").digest
    assert basis(first.history, 1, "policy", scored=False).digest != basis(first.history, 1, "policy").digest


def test_a_dearer_rival_must_bring_its_price():
    free, priced = (with_scores(scored_round(price=price), "r1s3", external=0.4, confirm=0.4) for price in (0.0, 0.02))
    (gained,), (net,) = (rivals(history, FieldModel(history), Recipe()) for history in (free, priced))
    dearer = relative(priced, there(gained.trial.recipe)) - 1
    assert dearer > 0.1
    assert net.gain.mean == pytest.approx(gained.gain.mean - 0.02 * dearer, abs=1e-6)
    assert net.probability < gained.probability
