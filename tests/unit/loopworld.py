"""A small world for closed-loop tests: dev and target respond to the recipe as the tiny model's do.

Narrow data raises dev and leaves the target flat; worked traces together with diverse data raise the target at a lower
dev; more steps help whichever the data serves; a high learning rate hurts; rank does next to nothing. Every score is
binomial, and every run of a recipe differs a little by its seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np

from judgement.basis import seed_of
from judgement.constitution import check
from judgement.decisions import ClosedBy
from judgement.history import History
from schemas import events as e
from schemas.base import Frozen, digest
from schemas.campaign import Axis, Budget, Campaign, Constitution, Evaluation, ItemSet, Substrate
from schemas.envelope import Envelope
from schemas.evidence import Basis, Coverage, Yield
from schemas.recipe import Recipe
from schemas.registry import WRITERS
from schemas.scores import BASE, Cost, DomainScore, Kind, Receipt, Scores, Stamp
from services.data.core import Planned, decisions

SHA = "0" * 64
ITEMS = 100
SPACE = (
    Axis(knob="traces", values=(0.0, 0.5, 1.0), scale="linear"),
    Axis(knob="difficulty", values=((1.0, 0.0, 0.0), (0.65, 0.27, 0.08), (0.35, 0.5, 0.15))),
    Axis(knob="wordings", values=((1.0, 0.0, 0.0), (1.0, 1.0, 1.0))),
    Axis(knob="steps", values=(120, 250, 500), scale="log"),
    Axis(knob="lr", values=(1e-3, 3e-3, 1e-2), scale="log"),
    Axis(knob="rank", values=(4, 16, 32), scale="log"),
    Axis(knob="curriculum", values=("shuffled", "easy_first")),
    Axis(knob="upsample.cipher", values=(1.0, 2.0, 4.0), scale="log"),
    Axis(knob="checkpoint", values=("last", "average")),
)
DEV0 = np.array([0.10, 0.03, 0.10 + 0.48, 0.10, 0.38, 0.32])
EXT0 = np.array([0.08, 0.02, 0.68, 0.03, 0.08, 0.10])
RESPONSE = np.array([0.6, 0.1, 0.9, 1.6, 1.6, 1.2])
"""How much each domain responds to training, mean 1."""


def campaign(seed: int = 0, **law: Any) -> Campaign:
    sets = dict.fromkeys(("dev", "confirm", "external", "final"), ItemSet(items=ITEMS))
    defaults = {
        "rounds": 4,
        "candidates": 5,
        "max_changes": 2,
        "evaluation": Evaluation(**sets),
        "budget": Budget(external_queries=9, external_per_round=2, confirm_per_round=2),
        "space": SPACE,
    }
    return Campaign(name="world", seed=seed, constitution=Constitution(**{**defaults, **law}))


@dataclass(frozen=True)
class World:
    """True accuracies; `null` makes the target respond exactly as dev does."""

    seed: int = 0
    null: bool = False

    def truth(self, recipe: Recipe | None, kind: Kind) -> np.ndarray:
        """True accuracy per domain, without the noise of a single run."""
        proxy = self.null or kind in ("dev", "confirm")
        start = DEV0 if proxy else EXT0
        if recipe is None:
            return start
        rise = _dev_rise(recipe) if proxy else _target_rise(recipe)
        return np.clip(start + _learned(recipe) * rise * RESPONSE - _harm(recipe), 0.01, 0.99)

    def scores(self, candidate: str, recipe: Recipe | None, kind: Kind, run: int) -> Scores:
        """Measured accuracy; `run` is the seed of the training run."""
        drift = np.random.default_rng(run).normal(0, 0.012) if recipe else 0.0
        rng = np.random.default_rng(seed_of(self.seed, 0, f"{candidate} {kind}"))
        shares = np.clip(self.truth(recipe, kind) + drift, 0.005, 0.995)
        return scores_of(rng.binomial(ITEMS, shares))


def _diverse(recipe: Recipe) -> float:
    hard = 1 - recipe.difficulty[0] / sum(recipe.difficulty)
    words = 1 - recipe.wordings[0] / sum(recipe.wordings)
    return min(1.0, hard / 0.65) * (0.5 + 0.75 * words)


def _learned(recipe: Recipe) -> float:
    steps = np.clip(np.log2(recipe.steps / 30) / 4, 0, 1.2)
    return float(steps * np.exp(-((np.log10(recipe.lr / 3e-3) / 0.8) ** 2)))


def _harm(recipe: Recipe) -> float:
    return 0.15 * max(0.0, float(np.log10(recipe.lr / 3e-3)))


def _dev_rise(recipe: Recipe) -> float:
    return (0.22 + 0.28 * recipe.traces) * (1 - 0.5 * _diverse(recipe))


def _target_rise(recipe: Recipe) -> float:
    diverse = _diverse(recipe)
    return -0.03 * (1 - diverse) + 0.05 * diverse + recipe.traces * (0.02 + 0.14 * diverse)


def scores_of(right: Iterable[int], n: int = ITEMS) -> Scores:
    """Scores from the items right in each domain."""
    domains = {}
    for domain, k in zip(("bits", "cipher", "roman", "units", "gravity", "equations"), right, strict=True):
        adjusted = (k + 2) / (n + 4)
        domains[domain] = DomainScore(score=int(k) / n, se=float((adjusted * (1 - adjusted) / (n + 4)) ** 0.5), n=n)
    parts = list(domains.values())
    se = float(sum(p.se**2 for p in parts) ** 0.5 / len(parts))
    return Scores(score=sum(p.score for p in parts) / len(parts), se=se, n=n * len(parts), domains=domains)


def source_of(event: Any) -> str:
    """The service that writes such an event."""
    return f"aevolve/{WRITERS[type(event)][0]}"


@dataclass
class Log:
    """An in-memory log of one campaign, folded as it grows."""

    history: History = field(default_factory=lambda: History("test"))
    payloads: list[Frozen] = field(default_factory=list)
    obeys: bool = False
    """Whether every decision is held against the constitution."""

    def append(self, *events: Any) -> None:
        if self.obeys:
            assert [check(self.history, event) for event in events] == [None] * len(events)
        for event in events:
            self.payloads.append(event)
            number = len(self.payloads)
            self.history.apply(
                Envelope(
                    id=UUID(int=number),
                    source=source_of(event),
                    type=type(event).__name__,
                    subject="test",
                    time=datetime(2026, 1, 1, tzinfo=UTC),
                    sequence=number,
                    stream_version=number,
                    correlationid="test",
                    data=event.model_dump(mode="json"),
                )
            )


STAMP = Stamp(engine="world", harness="world", max_new_tokens=1, max_length=1, template_sha256=SHA, precision="float64")


def report(candidate: str, kind: Kind, scores: Scores) -> e.ScoresReported:
    receipt = Receipt(uri="memory:", sha256=SHA)
    return e.ScoresReported(candidate=candidate, kind=kind, scores=scores, receipt=receipt, stamp=STAMP, cost=Cost())


def started(of: Campaign) -> e.CampaignStarted:
    substrate = Substrate(base_sha256=SHA, code_sha256=SHA, base_uri="memory:", active_parameters=200_000)
    return e.CampaignStarted(campaign=of, constitution_sha256=of.constitution_sha256, substrate=substrate)


def data_ready(round_: int) -> e.DataBatchReady:
    sizes = dict.fromkeys(("bits", "cipher", "roman", "units", "gravity", "equations"), 100)
    tokens = dict.fromkeys(sizes, 4000)
    basis = Basis(position=0, digest=SHA, seed=0)
    return e.DataBatchReady(
        round=round_, snapshot=digest(round_), uri="memory:", rows=sizes, tokens=tokens, yields=(), basis=basis
    )


def planned_data(history: History) -> e.DataBatchReady:
    """The open round's data, on the decision that the data service takes at this state."""
    planned = decisions(history)[0]
    assert isinstance(planned, Planned)
    yields = tuple(
        Yield(source="puzzles", domain=domain, made=rows, kept=100, dropped={"duplicate": rows - 100})
        for domain, rows in planned.puzzles.items()
    )
    return data_ready(planned.round).model_copy(update={"yields": yields, "basis": planned.basis})


def trained(candidate: str, recipe: Recipe) -> e.CheckpointTrained:
    tokens = int(recipe.steps * recipe.batch * (40 + 40 * recipe.traces))
    return e.CheckpointTrained(
        candidate=candidate,
        attempt=1,
        uri="memory:",
        sha256=SHA,
        coverage=Coverage(modules={}, trainable=1, moved=0),
        loss=1.0,
        cost=Cost(tokens=tokens, compute=tokens * 2e5),
    )


def reserved(history: History, candidate: str, kind: Kind, round_: int) -> e.SubmissionReserved:
    number = history.reserved(kind) + 1
    budget = history.campaign.constitution.budget.external_queries if kind == "external" else 2
    return e.SubmissionReserved(candidate=candidate, kind=kind, round=round_, number=number, left=budget - number)


def measure(log: Log, world: World, candidate: str, kind: Kind) -> None:
    """Score a candidate as the oracle would, with a reservation where one is due."""
    trial = log.history.trials[candidate]
    if kind in ("external", "final"):
        log.append(reserved(log.history, candidate, kind, trial.round))
    run = trial.proposed.seed if trial.proposed else 0
    log.append(report(candidate, kind, world.scores(candidate, trial.recipe, kind, run)))


@dataclass(frozen=True)
class Deciders:
    """The services' pure cores, so that one loop drives any policy."""

    first_policy: Callable[[History], e.PolicyUpdated]
    propose: Callable[[History], tuple[e.RecipeProposed, ...]]
    choose_submissions: Callable[[History, int, ClosedBy], e.SubmissionsChosen]
    assess: Callable[[History, int], list[Any]]
    update: Callable[[History], e.PolicyUpdated]
    choose_final: Callable[[History], e.SubmissionsChosen]
    finish: Callable[[History], e.CampaignFinished]


def play(of: Campaign, world: World, by: Deciders, fails: Iterable[str] = (), *, obeys: bool = False) -> Log:
    """One whole campaign; the candidates in `fails` end without a checkpoint, `obeys` asserts the constitution."""
    log = Log(obeys=obeys)
    log.append(started(of))
    for kind in ("dev", "external"):
        measure(log, world, BASE, kind)
    log.append(by.first_policy(log.history))
    for round_ in range(1, of.constitution.rounds + 1):
        play_round(log, world, by, round_, set(fails))
        if round_ < of.constitution.rounds:
            log.append(by.update(log.history))
    final = by.choose_final(log.history)
    log.append(final)
    for submission in final.final:
        measure(log, world, submission.candidate, "final")
    log.append(by.finish(log.history))
    return log


def play_round(log: Log, world: World, by: Deciders, round_: int, fails: set[str]) -> None:
    log.append(planned_data(log.history))
    proposals = by.propose(log.history)
    log.append(*proposals)
    for proposal in proposals:
        if proposal.candidate in fails:
            error = {"error": "OutOfMemory", "message": "smaller rank", "terminal": True, "cost": Cost()}
            log.append(e.TrainingFailed(candidate=proposal.candidate, attempt=1, **error))
        else:
            log.append(trained(proposal.candidate, proposal.recipe))
            measure(log, world, proposal.candidate, "dev")
    chosen = by.choose_submissions(log.history, round_, "complete")
    log.append(chosen)
    for submission in chosen.confirm:
        measure(log, world, submission.candidate, "confirm")
    for submission in chosen.external:
        measure(log, world, submission.candidate, "external")
    log.append(*by.assess(log.history, round_))
