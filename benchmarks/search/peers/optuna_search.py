"""Optuna: its samplers are told the scores of all rounds so far, then asked for the next round."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, TPESampler

from benchmarks.search.peers.random_search import first_batch
from benchmarks.search.peers.ranking import Ranked, board, dev, proposals, trials
from benchmarks.search.space import ARMS, SPACE, Codes, code_of
from judgement.history import History
from judgement.search.policy import Chosen, Proposal
from judgement.search.submit import queries_left
from judgement.trial import Trial
from schemas.evidence import Submission

ORDERED = len(SPACE) - len(ARMS)
"""Axes whose values have an order come first."""

Sampler = Callable[[int], BaseSampler]
"""A sampler by its seed."""


def tpe(seed: int) -> BaseSampler:
    """Tree-structured Parzen estimator, multivariate, with the constant liar that batches need."""
    return TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=8)


def gp(seed: int) -> BaseSampler:
    """Gaussian process with expected improvement; it needs torch."""
    return GPSampler(seed=seed, n_startup_trials=8)


@dataclass(frozen=True)
class OptunaSearch(Ranked):
    """Maximises dev."""

    sampler: Sampler = tpe
    """Who is asked."""

    def propose(self, history: History, slots: int, rng: np.random.Generator) -> list[Proposal]:
        """A study of everything told, asked once for each slot."""
        if history.round == 1:
            return proposals(first_batch(slots, history.campaign.seed))
        results = [(code_of(t.recipe), self.value(t)) for t in self.results(history) if t.recipe]
        return proposals(suggested(self.sampler(int(rng.integers(2**31))), results, slots))

    def results(self, history: History) -> list[Trial]:
        """The trials that the sampler learns from."""
        return trials(history)

    def value(self, trial: Trial) -> float:
        """What it maximises."""
        return dev(trial)


@dataclass(frozen=True)
class OptunaOnTarget(OptunaSearch):
    """Maximises the target alone: of each round the first candidates are asked, and only they are told."""

    def results(self, history: History) -> list[Trial]:
        """Those whose target is known."""
        return [t for t in trials(history) if "external" in t.scores]

    def value(self, trial: Trial) -> float:
        """The target."""
        return board(trial)

    def choose_submissions(self, history: History, round_: int) -> Chosen:
        """The first of the round, as dev is not looked at."""
        first = history.of_round(round_)[: queries_left(history)]
        return (), tuple(Submission(candidate=t.candidate, reason="") for t in first)


def suggested(sampler: BaseSampler, results: list[tuple[Codes, float]], count: int) -> Codes:
    """The next recipes of a sampler that has been told these."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna warns that the options of `tpe` may change in a later release
        study, space = optuna.create_study(direction="maximize", sampler=sampler), distributions()
        for row, value in results:
            params = {name: int(i) for name, i in zip(space, row, strict=True)}
            study.add_trial(optuna.trial.create_trial(params=params, distributions=space, value=value))
        rows = [study.ask(space).params for _ in range(count)]
    return np.array([[row[name] for name in space] for row in rows])


def distributions() -> dict[str, BaseDistribution]:
    """The space by the indices of its values."""
    sizes = [(axis.knob, len(axis.values)) for axis in SPACE]
    ordered: dict[str, BaseDistribution] = {knob: IntDistribution(0, n - 1) for knob, n in sizes[:ORDERED]}
    return ordered | {knob: CategoricalDistribution(tuple(range(n))) for knob, n in sizes[ORDERED:]}
