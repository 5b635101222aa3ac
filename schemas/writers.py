"""The map of the system: every event type and who may write it. The database enforces it."""

from __future__ import annotations

from schemas import advisor, fingerprints, guards, steering
from schemas import events as e
from schemas.base import Frozen

SERVICES = ("data", "recipes", "trainer", "oracle", "policy", "console")
"""Every writer of the log."""

READERS = ("scaler", "exporter")
"""Roles that write nothing: one that counts the open jobs, for whoever starts workers (`deploy/kubernetes`), and one
that tells Prometheus what the log says (`aevolve exporter`)."""

WRITERS: dict[type[Frozen], tuple[str, ...]] = {
    e.CampaignStarted: ("console",),
    e.DataBatchReady: ("data",),
    e.RecipeProposed: ("recipes",),
    e.TrainingStarted: ("trainer",),
    e.CheckpointTrained: ("trainer",),
    e.TrainingFailed: ("trainer",),
    e.ScoresReported: ("oracle",),
    e.EvaluationFailed: ("oracle",),
    guards.GuardsReported: ("oracle",),
    guards.GuardsUnmeasured: ("oracle",),
    fingerprints.FingerprintsPublished: ("oracle",),
    e.SubmissionsChosen: ("policy",),
    e.SubmissionReserved: ("oracle",),
    e.DriftAssessed: ("oracle",),
    e.DriftDetected: ("oracle",),
    e.DriftCleared: ("oracle",),
    e.PolicyUpdated: ("policy",),
    e.CampaignFinished: ("policy",),
    steering.CampaignPaused: ("console",),
    steering.CampaignResumed: ("console",),
    steering.CampaignStopped: ("console",),
    e.DecisionRefused: ("recipes", "oracle", "policy"),
    advisor.AdvisorAnswered: ("recipes",),
    advisor.AdviceWeighed: ("recipes",),
    advisor.AdvisorFailed: ("recipes", "policy"),
}
"""Who may write which event."""
