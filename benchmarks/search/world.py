"""A world of known truth: what a recipe scores on dev and on the target, and by how much dev misleads about it.

Everything is drawn from `default_rng([seed, stream])`, so a world is the same on every run; worlds of one seed and
different kinds share their landscape, so kinds can be compared in pairs. The constants were set by what peers reach on
seeds from 10000 on, never by this project's own policy, and are frozen: `VERSION` and `fingerprint` change with them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from benchmarks.search.exploit import EFFECTS, Inside
from benchmarks.search.kinds import KINDS
from benchmarks.search.landscape import Landscape
from benchmarks.search.region import Region
from benchmarks.search.space import ARMS, Codes, arms, code_of, random_codes
from judgement.search.space import Floats
from schemas.campaign import DOMAINS
from schemas.recipe import Recipe

VERSION = "1"

COUNT = len(DOMAINS)
OFFSET = 0.05
"""Standard deviation of the base's target less its dev, in accuracy."""
EVENNESS = 40.0
"""Of the Dirichlet law that uneven weights are drawn from: they differ by about 15 %."""


@dataclass(frozen=True)
class Truth:
    """True accuracies of N models."""

    dev: Floats
    """Per domain, (N, D)."""
    external: Floats
    """Per domain, (N, D)."""
    target: Floats
    """The domains together, as the target weighs them, (N,)."""
    misleading: Floats
    """What dev's rise and fall says of the target, less what is true of it; below zero where dev is blind, (N,)."""


class World:
    """One campaign's world."""

    def __init__(self, seed: int, kind: str, rounds: int = 8) -> None:
        self.seed, self.name, self.kind, self.rounds = seed, kind, KINDS[kind], rounds
        self.landscape = Landscape.random(np.random.default_rng([seed, 0]))
        rng = np.random.default_rng([seed, 1])
        self.region = Region.random(rng)
        onset = int(rng.integers(3, 6))
        self.onset = onset if self.kind.late else 1
        self.slopes = rng.uniform(*self.kind.slope) * (1 + self.kind.mismatch * rng.standard_normal(COUNT))
        self.base_external = np.clip(self.landscape.base + rng.normal(0, OFFSET, COUNT), 0.05, 0.9)
        weights = rng.dirichlet(np.full(COUNT, EVENNESS))
        self.weights = weights if self.kind.uneven else np.full(COUNT, 1 / COUNT)
        self.arm_effects = self.kind.arms * rng.standard_normal((len(ARMS), 3))
        self.arm_effects[:, 0] = 0.0

    def truth(self, recipe: Recipe | None, round_: int = 1) -> Truth:
        """Truth of one model: a recipe trained in a round, or the base."""
        if recipe is not None:
            return self.truths(code_of(recipe)[None], round_)
        base = self.base_external[None]
        return Truth(self.landscape.base[None], base, base @ self.weights, np.zeros(1))

    def truths(self, codes: Codes, round_: int = 1) -> Truth:
        """Truth of recipes trained in a round."""
        at = self._inside(codes, round_)
        on_dev, on_target = EFFECTS[self.kind.effect](at)
        chosen = arms(codes)
        arm_effect = self.arm_effects[np.arange(len(ARMS)), chosen].sum(axis=1)[:, None]
        dev = np.clip(self.landscape.base + at.gain + on_dev, 0.01, 0.99)
        predicted = self.base_external + self.slopes * (dev - self.landscape.base) + arm_effect
        external = np.clip(self.base_external + self.slopes * at.gain + arm_effect + on_target, 0.01, 0.99)
        misleading = (np.clip(predicted, 0.01, 0.99) - external) @ self.weights
        return Truth(dev, external, external @ self.weights, misleading)

    def _inside(self, codes: Codes, round_: int) -> Inside:
        odds = self.landscape.log_odds(codes)
        depth = self.region.depth(codes, self.kind.edge) if round_ >= self.onset else np.zeros(len(codes))
        here, other = np.eye(COUNT)[[self.region.domain, self.region.other]]
        return Inside(odds, expit(odds) - self.landscape.base, self.slopes, depth[:, None], here, other)


def fingerprint(seeds: range = range(10_000, 10_010)) -> str:
    """Hash of true values of every kind, to a millionth: another one is another benchmark."""
    hasher = hashlib.sha256(VERSION.encode())
    for seed in seeds:
        codes = random_codes(np.random.default_rng(seed), 10)
        for kind in KINDS:
            truths = [World(seed, kind).truths(codes, round_) for round_ in (1, 8)]
            hasher.update(str([np.round(truth.target, 6).tolist() for truth in truths]).encode())
            hasher.update(str([np.round(truth.dev, 6).tolist() for truth in truths]).encode())
    return hasher.hexdigest()
