"""Response surfaces over the space: their terms, their posterior, and the climb to the best recipe of a draw."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgement.search.propose import climb, with_value
from judgement.search.surface import Surface, fit, terms
from judgement.search.surface_target import Target, Targets, unit_variances
from judgement.search.trust import TrustModel
from schemas.campaign import Axis
from schemas.recipe import Recipe, differences
from tests.unit.driftworld import RECORDED, SPACE, anyhow, recorded

TERMS = terms(SPACE)
KNOBS = tuple(axis.knob for axis in SPACE)
SEEDS = st.integers(0, 2**32 - 1)


def recipe_at(rng):
    recipe = Recipe()
    for axis in SPACE:
        recipe = recipe.replace(axis.knob, axis.values[rng.integers(len(axis.values))])
    return recipe


def surface(rng, count=2):
    return Surface(TERMS, rng.normal(size=(count, TERMS.size)))


def test_there_is_a_term_for_each_coordinate_its_square_and_each_pair_of_different_axes():
    widths = [1, 3, 3, 1, 1, 3]
    pairs = sum(a * b for i, a in enumerate(widths) for b in widths[:i])
    assert len(TERMS.owner) == sum(widths)
    assert TERMS.size == 1 + 2 * sum(widths) + pairs


def test_coordinates_of_an_axis_lie_between_its_ends_and_squares_belong_to_scales():
    assert np.abs(TERMS.linear).max() == pytest.approx(1.0)
    steps = TERMS.linear[TERMS.axis == KNOBS.index("steps")]
    assert steps[[0, -1]].sum(axis=1) == pytest.approx([-1.0, 1.0])
    chosen = TERMS.owner == KNOBS.index("curriculum")
    assert not TERMS.square[:, chosen].any()


def test_a_value_beside_the_axis_has_coordinates_too():
    z, _ = TERMS.point(anyhow(steps=245))
    assert -0.05 < z[TERMS.owner == KNOBS.index("steps")][0] < 0.05
    assert TERMS.code(anyhow(steps=245))[KNOBS.index("steps")] == -1


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_the_table_of_moves_is_the_surface_at_each_neighbour(seed):
    rng = np.random.default_rng(seed)
    recipe, drawn = recipe_at(rng), surface(rng)
    table = drawn.moves(*TERMS.point(recipe))
    for value in rng.choice(len(TERMS.axis), 5, replace=False):
        neighbour = with_value(TERMS, recipe, value)
        assert table[value] == pytest.approx(drawn.at(*TERMS.point(neighbour)), abs=1e-9)
        assert table[value] == pytest.approx((TERMS.features([neighbour]) @ drawn.weights.T)[0], abs=1e-9)


def test_draws_have_the_mean_and_spread_of_the_exact_posterior():
    """By Rasmussen and Williams 2.22 to 2.24, with the covariance that the chosen scales give."""
    rng = np.random.default_rng(0)
    recipes, asked = [recipe_at(rng) for _ in range(12)], [recipe_at(rng) for _ in range(3)]
    accuracy = rng.uniform(0.3, 0.6, (12, 1))
    fitted = fit(TERMS, TERMS.features(recipes), accuracy, np.full((12, 1), 4e-4), accuracy.mean(axis=0))
    common, f, g = fitted.common, TERMS.features(recipes), TERMS.features(asked)
    solved = np.linalg.solve((f * common.prior) @ f.T + 4e-4 * np.eye(12), (f * common.prior) @ g.T)
    mean = accuracy.mean() + solved.T @ (accuracy - accuracy.mean())[:, 0]
    covariance = (g * common.prior) @ g.T - (g * common.prior) @ f.T @ solved
    draws = np.array([g @ fitted.common.draw(rng)[0] + accuracy.mean() for _ in range(4000)])
    assert draws.mean(axis=0) == pytest.approx(mean, abs=4 * np.sqrt(covariance.max() / 4000))
    assert np.cov(draws.T) == pytest.approx(covariance, abs=0.1 * covariance.max())


def test_what_all_domains_share_is_learned_from_all_of_them():
    rng = np.random.default_rng(1)
    recipes = [recipe_at(rng) for _ in range(30)]
    z = np.array([TERMS.point(recipe)[0][0] for recipe in recipes])
    accuracy = 0.4 + 0.05 * z[:, None] + rng.normal(0, 0.05, (30, 6))
    fitted = fit(TERMS, TERMS.features(recipes), accuracy, np.full((30, 6), 0.0025), accuracy.mean(axis=0))
    slopes = np.array([fitted.draw(rng).weights[:, 1] for _ in range(200)])
    assert slopes.mean() == pytest.approx(0.05, abs=0.02)
    assert slopes.std() < 0.03


def test_an_effect_has_variance_one_on_average_over_the_space():
    rng, unit = np.random.default_rng(2), unit_variances(TERMS)
    f = TERMS.features([recipe_at(rng) for _ in range(400)])
    assert ((f**2) @ unit).mean() == pytest.approx(1.0, abs=0.25)


def flat(recipe_weights, **changes):
    """A target that is its dev: one domain, slope 1."""
    nothing = np.zeros(1)
    dev = Surface(TERMS, recipe_weights)
    effect = Surface(TERMS, np.zeros((1, TERMS.size)))
    given = {"dev": dev, "effect": effect, "under": np.ones(1), "level": np.array([np.inf]), "beyond": nothing}
    return Target(base=nothing, weights=np.ones(1), **{**given, **changes})


def every_value():
    return np.ones(len(TERMS.axis), dtype=bool)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, most=st.integers(1, 6))
def test_the_climb_keeps_to_the_allowed_changes_and_ends_where_no_change_improves(seed, most):
    rng = np.random.default_rng(seed)
    target, standing = flat(surface(rng, 1).weights), recipe_at(rng)
    best = climb(target, TERMS, standing, every_value(), most)
    assert len(differences(standing, best, KNOBS)) <= most
    reached, begun = (target.at(*TERMS.point(recipe)) for recipe in (best, standing))
    assert reached >= begun
    for value in range(len(TERMS.axis)):
        neighbour = with_value(TERMS, best, value)
        if len(differences(standing, neighbour, KNOBS)) <= most:
            assert target.at(*TERMS.point(neighbour)) <= reached + 2e-6


def test_a_climb_that_comes_back_to_a_default_leaves_nothing_of_it_in_the_recipe():
    """Upsampling pays first, then steps and traces, and together these turn it round."""
    table = terms((*SPACE, Axis(knob="upsample.cipher", values=(1.0, 2.0, 4.0), scale="log")))
    owner = {knob: list(table.owner).index(axis) for axis, knob in enumerate([*KNOBS, "upsample.cipher"])}
    u, s, t = (owner[knob] for knob in ("upsample.cipher", "steps", "traces"))
    weights = np.zeros(table.size)
    weights[[1 + u, 1 + s, 1 + t]] = 1.0, 0.9, 0.9
    pairs = np.argwhere(table.apart)
    first = table.size - len(pairs)
    weights[first:] = [-0.8 if set(pair) in ({u, s}, {u, t}) else 0.0 for pair in pairs]
    target = flat(weights[None], dev=Surface(table, weights[None]), effect=Surface(table, np.zeros((1, table.size))))
    seen: list[Recipe] = []

    def listening(recipe: Recipe) -> float:
        seen.append(recipe)
        return 0.0

    best = climb(target, table, anyhow(steps=120), np.ones(len(table.axis), bool), 7, listening)
    assert any(recipe.upsample.get("cipher") == 4.0 for recipe in seen)
    assert (best.steps, best.traces, best.upsample) == (500, 1.0, {})


def test_the_climb_takes_no_closed_value_and_may_always_go_back():
    rng = np.random.default_rng(3)
    target, standing = flat(surface(rng, 1).weights), recipe_at(rng)
    closed = np.zeros(len(TERMS.axis), dtype=bool)
    assert climb(target, TERMS, standing, closed, 6) == standing


def test_a_price_keeps_the_climb_from_dear_recipes():
    weights = np.zeros((1, TERMS.size))
    weights[0, 1 + np.flatnonzero(TERMS.owner == KNOBS.index("steps"))] = 0.05
    standing = anyhow(steps=120)
    free = climb(flat(weights), TERMS, standing, every_value(), 6)
    priced = climb(flat(weights), TERMS, standing, every_value(), 6, lambda recipe: 0.1 * recipe.steps / 120)
    assert (free.steps, priced.steps) == (500, 120)


def test_dev_beyond_the_level_counts_by_the_other_slope():
    weights = np.zeros((1, TERMS.size))
    weights[0, 0] = 0.5
    z, q = TERMS.point(Recipe())
    assert flat(weights, level=np.array([0.2])).at(z, q) == pytest.approx(0.2)
    assert flat(weights, level=np.array([0.2]), beyond=np.array([-1.0])).at(z, q) == pytest.approx(-0.1)


def test_drawn_targets_agree_with_the_model_on_the_recorded_runs():
    """Where dev misled, most draws put the diverse traces above the narrow ones, as the target did."""
    model, rng = TrustModel.fit(recorded()), np.random.default_rng(0)
    targets = Targets(model.posterior, TERMS)
    narrow, diverse = (RECORDED[index][1] for index in (5, 6))
    draws = [targets.draw(rng) for _ in range(60)]
    better = [t.at(*TERMS.point(diverse)) > t.at(*TERMS.point(narrow)) for t in draws]
    assert np.mean(better) > 0.7
    assert narrow.steps == diverse.steps
