"""The events of the loop: past tense, frozen, small. What is large lies in artifacts and is named by hash.

The envelope says which campaign, when and why (`schemas.envelope`); the payloads here say what; `schemas.registry` says
who may write which.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.base import Frozen, Grown, Name, Sha256, Share
from schemas.campaign import Campaign, Substrate
from schemas.evidence import (
    Basis,
    Calibration,
    Coverage,
    GapTest,
    Lineage,
    ScopeAssessment,
    Stored,
    Submission,
    Yield,
)
from schemas.policy import Estimate, Policy
from schemas.recipe import Change, Recipe
from schemas.scores import Cost, Kind, Receipt, Scores, Stamp

Proposer = Literal["search", "advisor"]
"""Who may think of a candidate."""


class CampaignStarted(Frozen):
    """A person started a campaign."""

    campaign: Campaign
    """The campaign file as read."""
    constitution_sha256: Sha256
    """Hash of its constitution."""
    substrate: Substrate
    """Hashes of what no candidate may touch."""


class DataBatchReady(Grown):
    """The round's training data is an immutable snapshot."""

    LATER = ("card", "harvest", "lineage")

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
    cost: Cost = Cost()
    """What its making took; nothing where it is reused."""
    card: Stored | None = None
    """Its data card (Markdown): where every row came from, and what became of those that are not in it."""
    harvest: Stored | None = None
    """What the sources have given so far and what they remember (JSON): where the next round goes on."""
    lineage: tuple[Lineage, ...] = ()
    """Which weights wrote rows of it; none unless the campaign has a source that samples a model."""
    basis: Basis
    """What the mix was decided on."""


class DataFailed(Frozen):
    """Tries to make a round's data failed until `budget.data_seconds` had passed; no further one follows."""

    round: int = Field(ge=1)
    """The round."""
    attempt: int = Field(ge=1)
    """The last try."""
    error: str
    """Class of its failure, such as `SourceFailed`; or that of the sealed sets' fingerprints, such as `KeyMissing`."""
    message: str
    """What happened and what to do about it."""
    cost: Cost
    """What the last try took; `lost_seconds` has the earlier ones."""


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
    by: Proposer = "search"
    """Who thought of it."""
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


class CheckpointTrained(Grown):
    """A candidate's adapter exists, or its whole model."""

    LATER = ("form", "reward", "too_long", "unused")

    candidate: Name
    """Candidate id."""
    attempt: int = Field(ge=1)
    """The try that succeeded."""
    uri: str
    """Folder of the adapter (PEFT, safetensors), or of the whole model."""
    sha256: Sha256
    """Hash over the folder's files."""
    coverage: Coverage
    """Which modules were trained."""
    loss: float
    """Mean loss over the last tenth of the steps: of the completions, in nats per token, or the method's objective."""
    cost: Cost
    """What it took."""
    form: Literal["adapter", "full"] = "adapter"
    """What the folder holds."""
    reward: Share | None = None
    """GRPO: mean score of the sampled answers over the last tenth of the steps."""
    too_long: dict[Name, int] = Field(default_factory=dict)
    """Rows that were left out because they are longer than `model.max_length`, by source."""
    unused: dict[Name, int] = Field(default_factory=dict)
    """Rows that the method cannot use, by reason: `no_pair`, `no_answer`, `no_prompt`, `no_assistant_turn`."""


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


class GuardsReported(Frozen):
    """The oracle measured a candidate on all guards."""

    candidate: Name
    """Candidate id, or `base`."""
    suites: dict[Name, Scores]
    """By guard: accuracy per task and in all."""
    receipt: Receipt
    """Every item's output."""
    stamp: Stamp
    """How it was taken."""
    cost: Cost
    """What it took."""


class GuardsUnmeasured(Frozen):
    """A try to measure a candidate on the guards ended without a score."""

    candidate: Name
    """Candidate id, or `base`."""
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


class FingerprintsPublished(Frozen):
    """The oracle wrote hashes of a campaign's sealed items among those of many more that are not."""

    uri: str
    """Where the file lies."""
    sha256: Sha256
    """Hash of the file."""
    items: int = Field(ge=0)
    """Items whose hashes it holds: the sealed ones, the decoys among which they are hidden, and those of task lists."""
    ngrams: int = Field(ge=0)
    """Hashes in the file."""
    cost: Cost
    """What it took."""
    basis: Basis
    """What it was decided on."""


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


FinishReason = Literal["complete", "no data"]
"""Why a campaign is over: all rounds ended, or no data could be made for the first."""


class CampaignFinished(Grown):
    """The campaign is over."""

    LATER = ("reason",)

    winner: Name
    """The candidate with the highest posterior mean of the target, or `base`."""
    gain: Estimate
    """Gain of the winner over the base on the final set."""
    why: str
    """The explanation for a person."""
    basis: Basis
    """What it rests on."""
    reason: FinishReason = "complete"
    """Why it is over: `no data` where the first round's data was given up (`DataFailed`)."""


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
