"""What dev cannot show about a recipe: how far its target may lie from the model's word, until the target was asked.

A model of the target by dev is sure of a recipe as soon as its dev is known, or can be guessed from others. So the
search draws a second term beside the model's: the prior field of `judgement.search.prior`, given the recipes whose
target has been measured. It sends the search to data and length before fine knobs, and fades where answers lie.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from judgement.basis import DIGITS
from judgement.history import History
from judgement.search.prior import NOISE, covariance
from judgement.search.space import Floats
from schemas.recipe import Recipe

JITTER = 1e-8
"""Added to variances, so that recipes which say the same of each other have a root too: a hundredth of a point."""


def unseen(history: History, recipes: Sequence[Recipe], asked: Sequence[Recipe] = ()) -> Floats:
    """Covariance of the recipes' unseen parts, (P, P), given all target scores and those that are `asked` for."""
    known = [*_measured(history), *asked]
    campaign = history.campaign
    whole = covariance(campaign.constitution.space, campaign.recipe, [*known, *recipes])
    n = len(known)
    answers = np.linalg.inv(whole[:n, :n] + NOISE**2 * np.eye(n))
    return np.asarray(whole[n:, n:] - whole[n:, :n] @ answers @ whole[:n, n:])


def unseen_sds(history: History, recipes: Sequence[Recipe], asked: Sequence[Recipe] = ()) -> list[float]:
    """Standard deviation of each recipe's unseen part, in accuracy."""
    variance = np.diag(unseen(history, recipes, asked))
    return [round(float(sd), DIGITS) for sd in np.sqrt(np.maximum(variance, 0.0))]


def unseen_draws(history: History, recipes: Sequence[Recipe], rng: np.random.Generator, draws: int) -> Floats:
    """Joint draws of the unseen parts, (draws, P).

    The root is Cholesky's because it is unique: eigenvectors of equal eigenvalues differ from processor to processor,
    and a draw that differs is a decision that nobody else can take again.
    """
    root = np.linalg.cholesky(unseen(history, recipes) + JITTER * np.eye(len(recipes)))
    return np.asarray(rng.standard_normal((draws, len(recipes))) @ root.T)


def _measured(history: History) -> list[Recipe]:
    return [t.recipe for t in history.measured("external") if t.recipe]
