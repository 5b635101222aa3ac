"""One line of plain words per event, for people who watch a campaign or read its log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from judgement.drift.assess import CAP
from schemas import events as e
from schemas.advisor import AdviceWeighed, AdvisorAnswered, AdvisorFailed
from schemas.envelope import Envelope
from schemas.events import (
    CampaignPaused,
    CampaignResumed,
    CampaignStopped,
    FingerprintsPublished,
    GuardsReported,
    GuardsUnmeasured,
)
from schemas.evidence import LOSS_WARNING
from schemas.scores import Scores
from schemas.suites import SETS
from schemas.unreadable import UnreadableEvent


def narrate(envelope: Envelope) -> str:
    """What happened, without when and where."""
    try:
        event = envelope.event
    except UnreadableEvent as error:
        return f"cannot be read: {error.reason}"
    return WORDS[type(event)](event)


def accuracy(scores: Scores) -> str:
    """A score with its standard error, in percent."""
    return f"{100 * scores.score:.1f} ± {100 * scores.se:.1f}"


def odds(factor: float) -> str:
    """A Bayes factor in three digits; the largest that are told are capped."""
    return "over a billion" if factor >= CAP else f"{factor:,.0f}" if factor >= 1000 else f"{factor:.3g}"


def _started(x: e.CampaignStarted) -> str:
    c = x.campaign.constitution
    return f"campaign started: {c.rounds} rounds of {c.candidates} candidates, seed {x.campaign.seed}"


def _data(x: e.DataBatchReady) -> str:
    again = " (the last snapshot again)" if x.reused else ""
    lost = "".join(f"; WARNING: {text}" for text in loss_warnings(x))
    return f"data of round {x.round}: {sum(x.rows.values()):,} rows{again}{lost}"


def loss_warnings(x: e.DataBatchReady) -> list[str]:
    """A sentence for each source that has lost more than `LOSS_WARNING` of its records."""
    return [
        f"source {part.source} lost {100 * part.lost_share:.0f} % of its records ("
        + ", ".join(f"{n:,} {reason}" for reason, n in part.losses.items())
        + ")"
        for part in x.yields
        if part.lost_share > LOSS_WARNING
    ]


def _training(x: e.TrainingStarted) -> str:
    return f"training {x.candidate}" + (f", try {x.attempt}" if x.attempt > 1 else "")


def _guards(x: GuardsReported) -> str:
    return f"guards of {x.candidate}: " + ", ".join(f"{name} {accuracy(suite)}" for name, suite in x.suites.items())


def _failed(x: e.TrainingFailed | e.EvaluationFailed | GuardsUnmeasured) -> str:
    what = f"training {x.candidate}"
    if not isinstance(x, e.TrainingFailed):
        what = f"{SETS[x.kind] if isinstance(x, e.EvaluationFailed) else 'guards'} score of {x.candidate}"
    return f"failed: {what}, try {x.attempt}: {x.error}: {x.message}"


def _chosen(x: e.SubmissionsChosen) -> str:
    kind, chosen = ("final", x.final) if x.final else ("target", x.external)
    names = ", ".join(s.candidate for s in chosen) or "none"
    return f"round {x.round} closed ({x.closed_by}); to be measured on {kind}: {names}"


def _assessed(x: e.DriftAssessed) -> str:
    return f"drift of round {x.round}: {odds(x.bayes_factor)} to 1, declared from {odds(x.threshold)} to 1 on"


def _policy(x: e.PolicyUpdated) -> str:
    return f"policy v{x.policy.version} opens round {x.policy.round}, {x.policy.mode}: {x.why}"


def _finished(x: e.CampaignFinished) -> str:
    if x.reason == "no data":
        return f"ended without data: {x.why}"
    gain = f"{100 * x.gain.mean:+.1f} ± {100 * x.gain.sd:.1f} points over the base"
    return f"finished: winner {x.winner}, {gain}. {x.why}"


def _weighed(x: AdviceWeighed) -> str:
    counts = ", ".join(f"{number} {verdict}" for verdict, number in Counter(x.verdicts).items())
    return f"the advice on round {x.round}: {counts or 'no proposal'}"


WORDS: dict[type, Callable[[Any], str]] = {
    e.CampaignStarted: _started,
    e.DataBatchReady: _data,
    e.DataFailed: lambda x: f"the data of round {x.round} is given up after try {x.attempt}: {x.error}: {x.message}",
    e.RecipeProposed: lambda x: f"proposed {x.candidate}{', as advised' * (x.by == 'advisor')}: {x.intervention}",
    e.TrainingStarted: _training,
    e.CheckpointTrained: lambda x: f"trained {x.candidate}: loss {x.loss:.3f} in {x.cost.seconds:.0f} s",
    e.TrainingFailed: _failed,
    e.ScoresReported: lambda x: f"scored {x.candidate} on {SETS[x.kind]}: {accuracy(x.scores)}",
    e.EvaluationFailed: _failed,
    GuardsReported: _guards,
    GuardsUnmeasured: _failed,
    e.SubmissionsChosen: _chosen,
    e.SubmissionReserved: lambda x: f"charged {SETS[x.kind]} query {x.number} for {x.candidate}, {x.left} left",
    e.DriftAssessed: _assessed,
    e.DriftDetected: lambda x: f"DRIFT in {x.assessment.scope}, dev {x.assessment.direction}: {x.words}",
    e.DriftCleared: lambda x: f"drift cleared in {x.scope}: {x.words}",
    e.PolicyUpdated: _policy,
    e.CampaignFinished: _finished,
    e.DecisionRefused: lambda x: f"REFUSED: {x.decision} breaks {x.article} of the constitution: {x.message}",
    FingerprintsPublished: lambda x: f"fingerprints of the sealed sets among {x.items:,} items: {x.ngrams:,} hashes",
    AdvisorAnswered: lambda x: f"{x.model} advises on round {x.round}: {len(x.proposals)} proposals",
    AdviceWeighed: _weighed,
    AdvisorFailed: lambda x: f"no advice on round {x.round}: {x.error}: {x.message}",
    CampaignPaused: lambda x: f"paused by {x.by}: {x.reason}",
    CampaignResumed: lambda x: f"resumed by {x.by}: {x.reason}",
    CampaignStopped: lambda x: f"stopped by {x.by}: {x.reason}",
}
"""How each event is told."""
