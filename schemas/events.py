"""The events of the loop: past tense, frozen, small. What is large lies in artifacts and is named by hash.

The envelope says which campaign, when and why (`schemas.envelope`); the payloads here say what. The table at the end is
the map of the system: every event type, its version and its writers.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.base import Frozen, Name, Sha256, Share
from schemas.campaign import Campaign, Substrate
from schemas.policy import Direction, Estimate, Policy
from schemas.recipe import Change, Recipe
from schemas.scores import Cost, Kind, Receipt, Scores, Stamp


class Basis(Frozen):
    """What a decision rests on: replaying the log up to here with this seed gives the decision again."""

    position: int = Field(ge=0)
    """Last log position the decider had read."""
    digest: Sha256
    """Hash of the evidence it used, ordered by candidate, without times and ids."""
    seed: int = Field(ge=0)
    """Seed of its random draws."""


class CampaignStarted(Frozen):
    """A person started a campaign."""

    campaign: Campaign
    """The campaign file as read."""
    constitution_sha256: Sha256
    """Hash of its constitution."""
    substrate: Substrate
    """Hashes of what no candidate may touch."""


class Yield(Frozen):
    """What one source gave a snapshot."""

    source: str
    """Name of the source."""
    domain: str
    """Domain of its rows."""
    made: int = Field(ge=0)
    """Rows produced or fetched."""
    kept: int = Field(ge=0)
    """Rows in the snapshot."""
    dropped: dict[str, int] = Field(default_factory=dict)
    """Rows dropped, per filter."""


class DataBatchReady(Frozen):
    """The round's training data is an immutable snapshot."""

    round: int = Field(ge=1)
    """The round it was made for."""
    snapshot: Sha256
    """Its id: the hash of its content."""
    uri: str
    """Where the Parquet file lies."""
    rows: dict[str, int]
    """Rows per domain."""
    tokens: dict[str, int]
    """Whitespace-free characters per domain: a tokenizer-free measure of size."""
    yields: tuple[Yield, ...]
    """What each source gave."""
    reused: bool = False
    """Whether the deadline passed and this is the last round's snapshot again."""
    basis: Basis
    """What the mix was decided on."""


class RecipeProposed(Frozen):
    """One candidate of a round."""

    round: int = Field(ge=1)
    """Round."""
    slot: int = Field(ge=0)
    """Place in the round; slot 0 is the anchor."""
    candidate: Name
    """Candidate id, `r<round>s<slot>`."""
    recipe: Recipe
    """The full recipe."""
    changes: tuple[Change, ...]
    """Its differences from the standing recipe; none for the anchor."""
    intervention: str
    """Name of the change, `anchor` or several joined by ` + `."""
    predicted: Estimate
    """Expected gain of the target over the standing recipe."""
    compute: float = Field(ge=0.0)
    """Expected cost in tokens times active parameters."""
    snapshot: Sha256
    """The data it trains on."""
    seed: int = Field(ge=0)
    """Seed of its data order and initialisation."""
    basis: Basis
    """What the proposal rests on."""


class TrainingStarted(Frozen):
    """A worker holds the lease of a candidate's job."""

    candidate: Name
    """Candidate id."""
    attempt: int = Field(ge=1)
    """1 for the first try."""
    worker: str
    """Which worker."""


class Coverage(Frozen):
    """Which target modules exist and were trained."""

    modules: dict[str, int]
    """Adapted layers per target module."""
    trainable: int = Field(ge=0)
    """Trained parameters."""
    moved: int = Field(ge=0)
    """Adapted layers whose weights differ from their initialisation; must equal the sum of `modules`."""


class CheckpointTrained(Frozen):
    """A candidate's adapter exists."""

    candidate: Name
    """Candidate id."""
    attempt: int = Field(ge=1)
    """The try that succeeded."""
    uri: str
    """Folder of the adapter (PEFT, safetensors)."""
    sha256: Sha256
    """Hash over the folder's files."""
    coverage: Coverage
    """Which modules were trained."""
    loss: float
    """Mean completion loss, in nats per token, over the last tenth of the steps."""
    cost: Cost
    """What it took."""


class TrainingFailed(Frozen):
    """A try ended without an adapter; charged like any other (design rule 8)."""

    candidate: Name
    """Candidate id."""
    attempt: int = Field(ge=1)
    """The try."""
    error: str
    """Class of the failure, such as `TargetModuleMissing`, `OutOfMemory`, `WorkerLost`, `DeadlinePassed`."""
    message: str
    """What happened and what to do about it."""
    terminal: bool
    """Whether no further try follows."""
    cost: Cost
    """What it took."""


class ScoresReported(Frozen):
    """The oracle measured a candidate."""

    candidate: Name
    """Candidate id, or `base`."""
    kind: Kind
    """Which set."""
    scores: Scores
    """Accuracy, per domain and in all."""
    receipt: Receipt
    """Every item's output."""
    stamp: Stamp
    """How it was taken."""
    cost: Cost
    """What it took."""


class EvaluationFailed(Frozen):
    """A try to measure a candidate ended without a score."""

    candidate: Name
    """Candidate id, or `base`."""
    kind: Kind
    """Which set."""
    attempt: int = Field(ge=1)
    """The try."""
    error: str
    """Class of the failure."""
    message: str
    """What happened and what to do about it."""
    terminal: bool
    """Whether no further try follows."""
    cost: Cost
    """What it took."""


class Submission(Frozen):
    """One candidate chosen, and why."""

    candidate: Name
    """Candidate id, or `base`."""
    reason: str
    """Why it was chosen, in words and numbers."""


class SubmissionsChosen(Frozen):
    """A round's candidates have all ended, or its deadline has passed; these are measured further."""

    round: int = Field(ge=1)
    """Round."""
    closed_by: Literal["complete", "deadline"]
    """What ended the round."""
    expired: tuple[Name, ...] = ()
    """Candidates that had not ended at the deadline."""
    confirm: tuple[Submission, ...]
    """To be measured again on fresh items."""
    external: tuple[Submission, ...]
    """To be measured on the target."""
    final: tuple[Submission, ...] = ()
    """To be measured once on the final set: the base and the winner, after the last round."""
    basis: Basis
    """What the choice rests on."""


class SubmissionReserved(Frozen):
    """A query of the target or the final set is charged before it is sent (design rule 6)."""

    candidate: Name
    """Candidate id, or `base`."""
    kind: Kind
    """`external` or `final`."""
    round: int = Field(ge=0)
    """Round that asked; 0 for the base."""
    number: int = Field(ge=1)
    """How many queries of this kind the campaign has then made: the exposure of the set."""
    left: int = Field(ge=0)
    """Queries of this kind left after it."""


class Contrast(Frozen):
    """What one candidate gained over the base, on dev and on the target."""

    candidate: str
    """A measured candidate."""
    dev: float
    """Smoothed dev gain."""
    target: float
    """Target gain; 0 while the base's target is not known."""


class ScopeAssessment(Frozen):
    """The drift test in one domain, or over all."""

    scope: str
    """A domain, or `all`."""
    direction: Direction
    """The direction that the evidence favours."""
    bayes_factor: float = Field(ge=0.0)
    """Evidence for drift in this scope against none; capped at 1e9."""
    posterior: Share
    """Posterior probability of drift in this scope."""
    level: float
    """Dev gain over the base beyond which dev no longer counts, most probable."""
    slope: Estimate
    """Points of target per point of dev beyond that level."""
    highest_dev: Contrast | None
    """The measured candidate with the largest smoothed dev gain; none while nothing is measured."""
    highest_target: Contrast | None
    """The measured candidate with the largest target gain."""


class Calibration(Frozen):
    """How the target follows dev in this campaign where no drift is: learned, not assumed."""

    offset: Estimate
    """Target minus dev for the base, mean over the domains."""
    slope: Estimate
    """Points of target per point of dev."""


class GapTest(Frozen):
    """Second opinion: a plain two-proportion test of dev against target for the round's best dev candidate."""

    candidate: Name
    """The candidate tested."""
    z: float
    """Gap beyond the base's gap, in standard errors."""
    fires: bool
    """Whether z is at least 2.58."""


class DriftAssessed(Frozen):
    """The drift test ran on all evidence so far; said after every round, whatever it found."""

    round: int = Field(ge=1)
    """Round."""
    bayes_factor: float = Field(ge=0.0)
    """Evidence for any drift against none; capped at 1e9."""
    posterior: Share
    """Posterior probability of any drift."""
    threshold: float
    """The constitution's threshold for the Bayes factor."""
    scopes: tuple[ScopeAssessment, ...]
    """Each domain and `all`."""
    calibration: Calibration
    """How the target follows dev."""
    gap: GapTest | None
    """The second opinion, where a candidate of the round has both scores."""
    evidence: tuple[Name, ...]
    """Candidates with both scores, that the test used."""
    words: str
    """One paragraph for a person."""
    basis: Basis
    """What the assessment rests on."""


class DriftDetected(Frozen):
    """Dev has stopped tracking the target here. From now on its gain there beyond the level is not evidence."""

    round: int = Field(ge=1)
    """Round."""
    assessment: ScopeAssessment
    """The finding."""
    threshold: float
    """The threshold it passed."""
    evidence: tuple[Name, ...]
    """The candidates that show it."""
    words: str
    """One paragraph for a person."""
    basis: Basis
    """What it rests on."""


class DriftCleared(Frozen):
    """The evidence no longer supports a standing drift."""

    round: int = Field(ge=1)
    """Round."""
    scope: str
    """The scope cleared."""
    bayes_factor: float = Field(ge=0.0)
    """Its Bayes factor now."""
    words: str
    """One paragraph for a person."""
    basis: Basis
    """What it rests on."""


class PolicyUpdated(Frozen):
    """The search policy of the next round."""

    policy: Policy
    """The new policy, whole."""
    changed: tuple[str, ...]
    """What changed against the last version, one sentence each."""
    why: str
    """The explanation for a person."""
    basis: Basis
    """What it rests on."""


class CampaignFinished(Frozen):
    """The campaign is over."""

    winner: Name
    """The candidate with the highest posterior mean of the target, or `base`."""
    gain: Estimate
    """Gain of the winner over the base on the final set."""
    why: str
    """The explanation for a person."""
    basis: Basis
    """What it rests on."""


class CampaignPaused(Frozen):
    """A person paused the campaign: running jobs end, nothing new is decided."""

    by: str
    """Who."""
    reason: str
    """Why."""


class CampaignResumed(Frozen):
    """A person resumed the campaign."""

    by: str
    """Who."""
    reason: str
    """Why."""


class CampaignStopped(Frozen):
    """A person stopped the campaign for good."""

    by: str
    """Who."""
    reason: str
    """Why."""


class DecisionRefused(Frozen):
    """A decision broke the constitution and was not carried out."""

    decision: str
    """Type of the refused event."""
    article: str
    """The field of the constitution it broke."""
    message: str
    """The value, and what would have been allowed."""
    basis: Basis
    """What the decision rested on."""


class AdvisorFailed(Frozen):
    """The optional advisor gave nothing usable; the built-in policy went on without it."""

    error: str
    """Class of the failure."""
    message: str
    """What happened."""


SERVICES = ("data", "recipes", "trainer", "oracle", "policy", "console")
"""Every writer of the log."""

WRITERS: dict[type[Frozen], tuple[str, ...]] = {
    CampaignStarted: ("console",),
    DataBatchReady: ("data",),
    RecipeProposed: ("recipes",),
    TrainingStarted: ("trainer",),
    CheckpointTrained: ("trainer",),
    TrainingFailed: ("trainer",),
    ScoresReported: ("oracle",),
    EvaluationFailed: ("oracle",),
    SubmissionsChosen: ("policy",),
    SubmissionReserved: ("oracle",),
    DriftAssessed: ("oracle",),
    DriftDetected: ("oracle",),
    DriftCleared: ("oracle",),
    PolicyUpdated: ("policy",),
    CampaignFinished: ("policy",),
    CampaignPaused: ("console",),
    CampaignResumed: ("console",),
    CampaignStopped: ("console",),
    DecisionRefused: ("recipes", "oracle", "policy"),
    AdvisorFailed: ("recipes", "policy"),
}
"""Who may write which event."""
