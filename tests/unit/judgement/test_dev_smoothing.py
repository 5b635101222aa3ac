"""Smoothing shrinks luck, keeps what is known, and learns the seed noise; coordinates tell recipes apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judgement.dev_smoothing import recipe_kernel, smooth
from judgement.search.space import coordinates, features
from schemas.campaign import Axis
from schemas.recipe import Recipe
from tests.unit.driftworld import DIVERSE, EVEN, SPACE, anyhow

X = np.linspace(0, 1, 8)[:, None]
BASE = np.array([0.4, 0.5])


def noise(variance, trials=8):
    return np.full((trials, 2), variance)


def test_without_noise_the_posterior_is_the_data():
    accuracy = np.column_stack([0.3 + 0.4 * X[:, 0], 0.5 - 0.2 * X[:, 0] ** 2])
    mean, covariance = smooth(X, accuracy, noise(1e-8), BASE).joint(X, np.arange(8))
    assert np.abs(mean.T - accuracy).max() < 1e-3
    assert np.einsum("dpp->dp", covariance).max() < 1e-6


def test_the_posterior_is_the_textbook_formula():
    rng = np.random.default_rng(0)
    accuracy = 0.5 + rng.normal(0, 0.1, (8, 2))
    fitted = smooth(X, accuracy, noise(0.002), BASE)
    new = np.array([[0.33], [1.2]])
    mean, covariance = fitted.joint(new, np.array([-1, -1]))
    for d in range(2):
        k = fitted.amplitude[d] * (1 + recipe_kernel(X, X, fitted.length)) + (0.002 + fitted.seed_sd**2) * np.eye(8)
        cross = fitted.amplitude[d] * (1 + recipe_kernel(new, X, fitted.length))
        prior = fitted.amplitude[d] * (1 + recipe_kernel(new, new, fitted.length)) + fitted.seed_sd**2 * np.eye(2)
        center = np.vstack([BASE, accuracy]).mean(axis=0)[d]
        assert mean[d] == pytest.approx(center + cross @ np.linalg.solve(k, accuracy[:, d] - center))
        assert covariance[d] == pytest.approx(prior - cross @ np.linalg.solve(k, cross.T))


def test_the_luckiest_of_equal_recipes_is_shrunk_towards_the_rest():
    rng = np.random.default_rng(1)
    accuracy = 0.5 + rng.normal(0, 0.05, (8, 2))
    mean, _ = smooth(X, accuracy, noise(0.05**2), BASE + 0.05).joint(X, np.arange(8))
    best = accuracy[:, 0].argmax()
    assert mean[0, best] - 0.5 < 0.7 * (accuracy[best, 0] - 0.5)


@pytest.mark.parametrize("sd", [0.005, 0.06])
def test_replicates_tell_the_seed_noise(sd):
    rng = np.random.default_rng(2)
    x = np.repeat(np.array([[0.0], [1.0]]), 20, axis=0)
    accuracy = 0.4 + 0.3 * x + rng.normal(0, sd, (40, 2))
    assert smooth(x, accuracy, noise(1e-4, 40), BASE).seed_sd == sd


def test_a_run_not_made_yet_is_less_certain_than_the_one_made():
    rng = np.random.default_rng(3)
    accuracy = 0.5 + rng.normal(0, 0.06, (8, 2)) + 0.2 * X
    _, covariance = smooth(X, accuracy, noise(1e-4), BASE).joint(X[[2, 2]], np.array([2, -1]))
    assert (covariance[:, 0, 0] < covariance[:, 1, 1]).all()
    assert np.linalg.eigvalsh(covariance).min() > -1e-12


def test_with_no_trial_the_prior_is_centred_on_the_base():
    mean, covariance = smooth(np.zeros((0, 1)), np.zeros((0, 2)), np.zeros((0, 2)), BASE).joint(X, np.full(8, -1))
    assert mean == pytest.approx(np.repeat(BASE[:, None], 8, axis=1))
    assert np.einsum("dpp->dp", covariance).min() > 0


@given(st.lists(st.lists(st.floats(-2, 2), min_size=3, max_size=3), min_size=1, max_size=6), st.sampled_from([0.5, 2]))
def test_the_kernel_is_a_correlation(rows, length):
    kernel = recipe_kernel(np.array(rows), np.array(rows), length)
    assert np.diag(kernel) == pytest.approx(np.ones(len(rows)))
    assert np.linalg.eigvalsh(kernel).min() > -1e-9
    assert kernel.max() <= 1 + 1e-12


def test_numbers_are_scaled_by_the_ends_of_their_axis():
    log = Axis(knob="steps", values=(100, 200, 400), scale="log")
    linear = Axis(knob="traces", values=(0.0, 0.5, 1.0), scale="linear")
    assert [coordinates(v, log)[0] for v in (100, 200, 400)] == pytest.approx([0, 0.5, 1])
    assert coordinates(0.25, linear) == pytest.approx([0.25])


def test_weights_are_normalised_and_choices_one_hot():
    weights = Axis(knob="difficulty", values=((1.0, 0.0, 0.0), (1.0, 1.0)))
    choice = Axis(knob="curriculum", values=("shuffled", "easy_first"))
    assert coordinates((2.0, 2.0), weights) == pytest.approx(np.array([0.5, 0.5, 0]) / np.sqrt(2))
    assert np.linalg.norm(coordinates((1.0,), weights) - coordinates((0, 0, 3.0), weights)) == pytest.approx(1)
    assert np.linalg.norm(coordinates("shuffled", choice) - coordinates("easy_first", choice)) == pytest.approx(1)
    assert coordinates("hard_first", choice) == pytest.approx([0, 0])


def test_a_recipe_is_its_axes_one_after_the_other():
    recipe = anyhow(difficulty=DIVERSE, wordings=EVEN, traces=1.0, steps=500, curriculum="easy_first")
    point = features(recipe, SPACE)
    assert point.shape == (1 + 3 + 3 + 1 + 1 + 3,)
    assert point[0] == 1
    assert features(Recipe(), SPACE) == pytest.approx(features(Recipe(dropout=0.3), SPACE))
