"""What makes a decision replayable: its own seed, and a digest of exactly the evidence it used.

Neither contains the campaign's id, a time or an event id, so two runs with one seed decide alike, byte for byte.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from judgement.deciders import version
from judgement.history import History
from judgement.trial import Trial
from schemas.base import digest
from schemas.evidence import Basis

DIGITS = 6
"""Floats are rounded to a millionth before a choice depends on them: their last bits differ between machines."""


def seed_of(seed: int, round_: int, purpose: str) -> int:
    """A seed in [0, 2**32) for one purpose in one round, the same on every machine and Python version."""
    return int(hashlib.sha256(f"{seed}|{round_}|{purpose}".encode()).hexdigest()[:8], 16)


def generator(basis: Basis) -> np.random.Generator:
    """The random generator of a decision."""
    return np.random.default_rng(basis.seed)


def basis(history: History, round_: int, purpose: str, *, scored: bool = True) -> Basis:
    """The basis of a decision taken now by the decider `purpose`; `scored` as in `ground`."""
    return Basis(
        position=history.position,
        digest=digest(ground(history, scored=scored)),
        seed=seed_of(history.campaign.seed, round_, purpose),
        rules=version(purpose),
    )


def ground(history: History, *, scored: bool) -> dict[str, Any]:
    """All that a decision rests on, as plain data; `scored`: whether it reads scores and drifts.

    Round 1 opens while the base is still being measured, so its decisions must not depend on which job ends first.
    """
    return {**rules(history), **evidence(history)} if scored else rules(history)


def rules(history: History) -> dict[str, Any]:
    """The part that every decision rests on, as plain data."""
    return {
        "seed": history.campaign.seed,
        "recipe": history.campaign.recipe.model_dump(mode="json"),
        "constitution": history.campaign.constitution_sha256,
        "policy": history.policy.model_dump(mode="json") if history.policy else None,
        **({"warm": digest(history.campaign.warm)} if history.campaign.warm else {}),
    }


def evidence(history: History) -> dict[str, Any]:
    """Scores, drifts and reservations, as plain data ordered by round and slot."""
    trials = sorted(history.trials.values(), key=lambda t: (t.round, t.slot))
    drifts = sorted(history.standing_drifts.items())
    last = history.assessments[max(history.assessments)] if history.assessments else None
    return {
        "trials": [_trial_evidence(trial) for trial in trials],
        "drifts": [(scope, d.assessment.direction, round(d.assessment.level, DIGITS)) for scope, d in drifts],
        "posterior": round(last.posterior, DIGITS) if last else None,
        "reserved": sorted((r.candidate, r.kind) for r in history.reservations),
    }


def _trial_evidence(trial: Trial) -> dict[str, Any]:
    guards = {name: round(suite.score, DIGITS) for name, suite in sorted(trial.guards.items())}
    return {
        **({"guards": guards} if guards else {}),
        "candidate": trial.candidate,
        "recipe": trial.recipe.model_dump(mode="json") if trial.recipe else None,
        "failed": trial.failed,
        "expired": trial.expired,
        "unmeasured": dict(sorted(trial.unmeasured.items())),
        "scores": {
            kind: {domain: (round(s.score, DIGITS), s.n) for domain, s in sorted(scores.domains.items())}
            or (round(scores.score, DIGITS), scores.n)
            for kind, scores in sorted(trial.scores.items())
        },
    }
