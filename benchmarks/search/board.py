"""The oracle of a simulated campaign: it alone knows the truth, and folds what was measured into the history.

A policy reads the history and nothing else, so a target that nobody asked for is not there to be seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from benchmarks.search.plan import Plan
from benchmarks.search.world import Truth, World
from judgement.history import FOLDS, History
from judgement.statistics import domain_score, scores
from judgement.trial import Trial
from schemas import events as e
from schemas.base import Frozen, digest
from schemas.campaign import DOMAINS, Substrate
from schemas.evidence import Basis, Coverage
from schemas.scores import BASE, Cost, Kind, Receipt, Scores, Stamp

SHA = "0" * 64
NOBODY = Basis(position=0, digest=SHA, seed=0)
"""The basis of what the simulation itself decides."""
TIME = datetime(2026, 1, 1, tzinfo=UTC)
STAMP = Stamp(engine="world", harness="world", max_new_tokens=1, max_length=1, template_sha256=SHA, precision="float64")
RECEIPT = Receipt(uri="memory:", sha256=SHA)
STREAMS: dict[Kind, int] = {"dev": 10, "confirm": 11, "external": 12, "final": 13}
"""Stream of random numbers of each kind of measurement."""


@dataclass
class Board:
    """One campaign's history and the world behind it."""

    world: World
    """The truth."""
    plan: Plan
    """The budget."""
    history: History = field(default_factory=lambda: History("simulated"))
    """What has been told."""

    def __post_init__(self) -> None:
        """Start the campaign: the base is measured on both sets."""
        campaign = self.plan.campaign(self.world.seed)
        substrate = Substrate(base_sha256=SHA, code_sha256=SHA, base_uri="memory:", active_parameters=200_000)
        hashed = campaign.constitution_sha256
        self.append(e.CampaignStarted(campaign=campaign, constitution_sha256=hashed, substrate=substrate))
        self.measure(BASE, "dev")
        self.query(BASE, 0)

    def append(self, *events: Frozen) -> None:
        """Fold events in; those that no decider reads are nothing to the history."""
        for event in events:
            self.history.position += 1
            if fold_one := FOLDS.get(type(event).__name__):
                fold_one(self.history, event, TIME)

    def data(self, round_: int) -> None:
        """The round's data: the same for all."""
        sizes: dict[str, Any] = dict.fromkeys(DOMAINS, 100)
        tokens: dict[str, Any] = dict.fromkeys(DOMAINS, 4000)
        ready = {"snapshot": digest(round_), "uri": "memory:", "rows": sizes, "tokens": tokens, "yields": ()}
        self.append(e.DataBatchReady(round=round_, basis=NOBODY, **ready))

    def train(self, proposal: e.RecipeProposed) -> None:
        """Train a candidate and score it on dev."""
        self.append(
            proposal,
            e.CheckpointTrained(
                candidate=proposal.candidate,
                attempt=1,
                uri="memory:",
                sha256=SHA,
                coverage=Coverage(modules={}, trainable=1, moved=0),
                loss=1.0,
                cost=Cost(compute=proposal.compute),
            ),
        )
        self.measure(proposal.candidate, "dev")

    def query(self, candidate: str, round_: int) -> None:
        """Charge a query of the target in a round, then answer it."""
        number = self.history.reserved("external") + 1
        left = self.history.campaign.constitution.budget.external_queries - number
        self.append(e.SubmissionReserved(candidate=candidate, kind="external", round=round_, number=number, left=left))
        self.measure(candidate, "external")

    def measure(self, candidate: str, kind: Kind) -> None:
        """Score a candidate on fresh items; the same candidate has the same luck on every run."""
        trial = self.history.trials[candidate]
        rng = np.random.default_rng([self.world.seed, STREAMS[kind], trial.round, trial.slot, int(candidate == BASE)])
        scores = self._target(trial, rng) if kind == "external" else self._dev(trial, rng)
        self.append(
            e.ScoresReported(candidate=candidate, kind=kind, scores=scores, receipt=RECEIPT, stamp=STAMP, cost=Cost())
        )

    def truth(self, candidate: str) -> Truth:
        """What is true of a candidate. Not for policies."""
        trial = self.history.trials[candidate]
        return self.world.truth(trial.recipe, max(trial.round, 1))

    def _dev(self, trial: Trial, rng: np.random.Generator) -> Scores:
        n = self.plan.dev_items
        right = rng.binomial(n, self.truth(trial.candidate).dev[0])
        return scores({domain: (int(k), n) for domain, k in zip(DOMAINS, right, strict=True)})

    def _target(self, trial: Trial, rng: np.random.Generator) -> Scores:
        """Each domain has as many items as the target weighs it; a target of one number gives only the total."""
        truth = self.truth(trial.candidate)
        if not self.plan.itemised:
            total = domain_score(int(rng.binomial(self.plan.external_items, truth.target[0])), self.plan.external_items)
            return Scores(score=total.score, se=total.se, n=total.n, domains={})
        items = np.maximum(1, np.round(self.plan.external_items * self.world.weights)).astype(int)
        right = rng.binomial(items, truth.external[0])
        counted = {d: (int(k), int(n)) for d, k, n in zip(DOMAINS, right, items, strict=True)}
        total = domain_score(int(right.sum()), int(items.sum()))
        return scores(counted).model_copy(update={"score": total.score, "se": total.se})
