"""One line of plain words per event, for people who watch a campaign or read its log."""

from __future__ import annotations

from schemas import events as e
from schemas.envelope import Envelope
from schemas.scores import Scores


def narrate(envelope: Envelope) -> str:
    """What happened, without when and where."""
    match envelope.event:
        case e.CampaignStarted() as x:
            c = x.campaign.constitution
            return f"campaign started: {c.rounds} rounds of {c.candidates} candidates, seed {x.campaign.seed}"
        case e.DataBatchReady() as x:
            again = " (the last snapshot again)" if x.reused else ""
            return f"data of round {x.round}: {sum(x.rows.values()):,} rows{again}"
        case e.RecipeProposed() as x:
            return f"proposed {x.candidate}: {x.intervention}"
        case e.TrainingStarted() as x:
            return f"training {x.candidate}" + (f", try {x.attempt}" if x.attempt > 1 else "")
        case e.CheckpointTrained() as x:
            return f"trained {x.candidate}: loss {x.loss:.3f} in {x.cost.seconds:.0f} s"
        case e.TrainingFailed() | e.EvaluationFailed() as x:
            what = f"{x.kind} score of {x.candidate}" if isinstance(x, e.EvaluationFailed) else f"training {x.candidate}"
            return f"failed: {what}, try {x.attempt}: {x.error}: {x.message}"
        case e.ScoresReported() as x:
            return f"scored {x.candidate} on {x.kind}: {accuracy(x.scores)}"
        case other:
            return _decision(other)


def _decision(event: object) -> str:
    match event:
        case e.SubmissionsChosen() as x:
            kind = "final" if x.final else "external"
            names = ", ".join(s.candidate for s in (x.final or x.external)) or "none"
            return f"round {x.round} closed ({x.closed_by}); to be measured on {kind}: {names}"
        case e.SubmissionReserved() as x:
            return f"charged {x.kind} query {x.number} for {x.candidate}, {x.left} left"
        case e.DriftAssessed() as x:
            return f"drift of round {x.round}: {x.bayes_factor:.3g} to 1, declared at {x.threshold:g} to 1"
        case e.DriftDetected() as x:
            return f"DRIFT in {x.assessment.scope}, dev {x.assessment.direction}: {x.words}"
        case e.DriftCleared() as x:
            return f"drift cleared in {x.scope}: {x.words}"
        case e.PolicyUpdated() as x:
            return f"policy v{x.policy.version} opens round {x.policy.round}, {x.policy.mode}: {x.why}"
        case e.CampaignFinished() as x:
            return f"finished: {x.winner} wins by {100 * x.gain.mean:+.1f} ± {100 * x.gain.sd:.1f} points. {x.why}"
        case e.CampaignPaused() | e.CampaignResumed() | e.CampaignStopped() as x:
            return f"{type(x).__name__.removeprefix('Campaign').lower()} by {x.by}: {x.reason}"
        case other:
            return " ".join(f"{key}={value}" for key, value in dict(other).items())  # type: ignore[call-overload]


def accuracy(scores: Scores) -> str:
    """A score with its standard error, in percent."""
    return f"{100 * scores.score:.1f} ± {100 * scores.se:.1f}"
