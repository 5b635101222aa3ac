"""The hypotheses about a domain: dev tracks the target, or fails to in one of several ways.

In every hypothesis the target gain of a trial over the base is, with slope rho common to the campaign,

    (rho + deviation) * min(gain, level) + slope * max(0, gain - level) + effect(recipe) + mismatch,

where gain is the dev gain over the base. Tracking has no level and almost no effect. *Inflated*: beyond a level, dev
gain does not count or hurts; level 0 is a domain whose dev carries no information. *Blind*: the target moves with the
recipe (the interventions) in a way that dev does not show. All coefficients are Gaussian, so each hypothesis has an
exact marginal likelihood.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from judgement.search.space import Floats

LEVELS = (0.0, 0.1, 0.2, 0.4)
"""Dev gains over the base beyond which dev may stop counting."""

SLOPES = np.linspace(0.1, 1.3, 13)
"""Campaign slopes rho summed over. A slope of the target on dev below a tenth is not tracking but drift everywhere."""

SLOPE_PRIOR = np.exp(-0.5 * ((SLOPES - 0.5) / 0.4) ** 2)
"""Prior of rho, N(.5, .4^2): wide, since real models have .1 to .4 and a target distributed as dev has 1."""

DEVIATION = 0.2
"""Relative standard deviation of a domain's slope from the campaign's. Tight, so a slope of zero counts as drift."""

OFFSET_MEAN, OFFSET_SD = 0.4, 0.4
"""Prior of the base's target accuracy: learned from the base's own target score."""

REGIMES = {"none": 0.5, "some": 0.42, "all": 0.08}
"""Prior of no drift, of domains that drift each in its own way, and of all domains drifting in the same way."""

SOME = 0.4
"""Probability that a given domain drifts if some do: the cause in one domain often misleads others too."""

Kind = Literal["tracking", "inflated", "blind", "drawn"]


@dataclass(frozen=True)
class Hypotheses:
    """H hypotheses for each of D domains; the arrays are (H, D). The first is always that dev tracks the target."""

    kinds: tuple[Kind, ...]
    """Kind of each."""
    level: Floats
    """Dev gain beyond which the second slope holds."""
    slope_mean: Floats
    """Prior mean of the slope beyond the level."""
    slope_sd: Floats
    """Its prior standard deviation."""
    effect_mean: Floats
    """Prior mean of the recipe's own effect on the target."""
    effect_sd: Floats
    """Its prior standard deviation."""
    mismatch_sd: Floats
    """Standard deviation of the target of one run that neither dev nor recipe explains."""

    def gated(self, levels: Mapping[int, float]) -> Hypotheses:
        """The same, but in the given domains no hypothesis counts dev gain beyond the level.

        Recipes alone then explain the target there. This is how a standing drift binds the search.
        """
        columns = {"slope_mean": 0.0, "slope_sd": 0.0, "effect_mean": 0.0, "effect_sd": 0.25, "mismatch_sd": 0.04}
        arrays = {name: getattr(self, name).copy() for name in ("level", *columns)}
        for domain, level in levels.items():
            for name, value in {"level": level, **columns}.items():
                arrays[name][:, domain] = value
        return replace(self, **arrays)


def hypotheses(domains: int) -> Hypotheses:
    """The hypotheses of a campaign with that many domains."""
    rows: list[tuple[Kind, float, float, float, float, float, float]] = [
        ("tracking", np.inf, 0.0, 0.0, 0.0, 0.015, 0.025),
        *(("inflated", level, -0.1, 0.2, 0.0, 0.03, 0.03) for level in LEVELS),
        ("blind", np.inf, 0.0, 0.0, 0.08, 0.25, 0.04),
    ]
    kinds, *columns = zip(*rows, strict=True)
    return Hypotheses(kinds, *(np.repeat(np.array(column)[:, None], domains, axis=1) for column in columns))


@dataclass(frozen=True)
class Layout:
    """How hypotheses of domains combine into hypotheses of the C scores of a target.

    A target with a score per domain has C = D independent scores, each with its domain's hypotheses. A target with one
    number has C = 1, and its hypotheses name the domain that drifts, or all.
    """

    weights: Floats
    """Weight of each score in the total, (C,)."""
    share: Floats
    """Weight of each domain in each score, (C, D)."""
    assigned: np.ndarray
    """Hypothesis of each domain under each hypothesis of a score, (C, G, D)."""
    prior: Floats
    """Prior of a score's hypotheses under each of K regimes, (K, C, G)."""
    regimes: Floats
    """Prior of the regimes, (K,)."""
    shared: np.ndarray
    """Drift hypothesis that all domains share in a regime and under a hypothesis of a score, (K, G); else 0."""

    @property
    def no_drift(self) -> float:
        """Prior probability that no domain drifts."""
        return float(self.regimes @ self.prior[:, :, 0].prod(axis=1))

    @property
    def joint(self) -> Floats:
        """Prior joint probability of a regime and a score's hypothesis, (K, C, G)."""
        return self.regimes[:, None, None] * self.prior

    def of_domain(self, joint: Floats, domain: int) -> Floats:
        """Probability of each hypothesis in a domain, (H,), from a joint probability (K, C, G)."""
        part = (self.share[:, domain] > 0)[:, None] * joint.sum(axis=0)
        return np.array([part[self.assigned[:, :, domain] == h].sum() for h in range(self.assigned.max() + 1)])

    def of_all(self, joint: Floats) -> Floats:
        """Probability that all domains follow the same hypothesis, (H,); the first entry is the remainder."""
        return np.array([joint[:, 0][self.shared == h].sum() for h in range(self.assigned.max() + 1)])

    def per_domain(self, by_score: np.ndarray) -> np.ndarray:
        """The hypothesis in each domain, (D,), from that of each score, (C,)."""
        owner = self.share.argmax(axis=0)
        chosen: np.ndarray = self.assigned[owner, by_score[owner], np.arange(len(owner))]
        return chosen

    def narrowed(self, hyps: Hypotheses, by_score: np.ndarray) -> tuple[Hypotheses, Layout]:
        """The single hypothesis per domain under `by_score`, one hypothesis per score (C,), and its layout."""
        chosen = self.per_domain(by_score)
        domain = np.arange(len(chosen))
        names = ("level", "slope_mean", "slope_sd", "effect_mean", "effect_sd", "mismatch_sd")
        one = replace(hyps, kinds=("drawn",), **{name: getattr(hyps, name)[None, chosen, domain] for name in names})
        return one, replace(self, assigned=np.zeros((len(self.weights), 1, len(chosen)), dtype=int))


def itemised(domains: int, count: int) -> Layout:
    """Layout for a target with a score per domain.

    Regimes: no drift; some domains drift, each in its own way; all follow drift hypothesis 1, 2 and so on.
    """
    some = np.full(count, SOME / (count - 1))
    some[0] = 1 - SOME
    prior = np.array([np.eye(count)[0], some, *np.eye(count)[1:]])
    common = np.full(count - 1, REGIMES["all"] / (count - 1))
    return Layout(
        weights=np.full(domains, 1 / domains),
        share=np.eye(domains),
        assigned=np.broadcast_to(np.arange(count)[None, :, None], (domains, count, domains)),
        prior=np.repeat(prior[:, None, :], domains, axis=1),
        regimes=np.array([REGIMES["none"], REGIMES["some"], *common]),
        shared=np.repeat(np.array([0, 0, *range(1, count)])[:, None], count, axis=1),
    )


def total(domains: int, count: int) -> Layout:
    """Layout for a target with one number: tracking, one domain with one drift, or all domains with the same."""
    single = [np.eye(domains, dtype=int)[d] * h for d in range(domains) for h in range(1, count)]
    common = [np.full(domains, h) for h in range(1, count)]
    one, all_ = REGIMES["some"] / len(single), REGIMES["all"] / len(common)
    return Layout(
        weights=np.ones(1),
        share=np.full((1, domains), 1 / domains),
        assigned=np.array([np.zeros(domains, dtype=int), *single, *common])[None],
        prior=np.array([REGIMES["none"], *[one] * len(single), *[all_] * len(common)])[None, None],
        regimes=np.ones(1),
        shared=np.array([0, *[0] * len(single), *range(1, count)])[None],
    )
