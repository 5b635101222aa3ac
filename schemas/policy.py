"""The search policy: the only thing that crosses a round (design rule 1), and all that the loop has learned."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from schemas.base import Frozen, Grown, Name, Sha256, Share
from schemas.recipe import Recipe, Value

Direction = Literal["inflated", "blind"]
"""How dev misleads: it rises without the target, or the target rises without it."""


class Estimate(Frozen):
    """A mean and its standard deviation, in accuracy points of 1."""

    mean: float
    """Posterior mean."""
    sd: float = Field(ge=0.0)
    """Posterior standard deviation."""


class AxisBelief(Frozen):
    """The learned distribution of one knob, from which the next candidates are drawn."""

    knob: str
    """Path of the knob."""
    values: tuple[Value, ...]
    """Its values, as in the constitution."""
    probabilities: tuple[Share, ...]
    """Probability of drawing each; dead ends have 0. They sum to 1."""
    retired: bool = False
    """Whether the axis has reached its plateau and is no longer varied."""


class InterventionBelief(Grown):
    """What one named change did, over all candidates that carried it."""

    LATER = ("cost",)

    name: str
    """The change, as `knob=value`."""
    dev: Estimate
    """Effect on dev against its round's anchor."""
    target: Estimate
    """Effect on the target, by the model average."""
    trials: tuple[str, ...]
    """The candidates that carried it."""
    cost: float | None = None
    """Training cost of its candidates against that of the first recipe, their mean; the target's effect over it is the
    gain per cost. None where none was trained."""


class Distrust(Frozen):
    """A standing drift: dev gain here beyond the level is not evidence."""

    scope: str
    """A domain, or `all`."""
    direction: Direction
    """How dev misleads."""
    level: float
    """Dev gain over the base up to which dev still counts."""
    since: int = Field(ge=1)
    """Round of the `DriftDetected`."""


class DeadEnd(Frozen):
    """A value not worth another run. Dead ends only grow (design rule 9)."""

    knob: str
    """Path of the knob."""
    value: Value
    """The value closed."""
    evidence: tuple[str, ...]
    """The candidates that closed it."""
    reason: str
    """Why, with the numbers."""


class Best(Frozen):
    """The best score of the target that has been announced."""

    candidate: Name
    """Its candidate, or `base`."""
    score: Share
    """Its score."""
    se: float = Field(ge=0.0)
    """Its standard error."""


class Policy(Grown):
    """What the next round starts from."""

    LATER = ("best",)

    version: int = Field(ge=0)
    """0 at the start, one more with each update."""
    round: int = Field(ge=1)
    """The round that this policy opens."""
    standing: Recipe
    """The best recipe so far, the anchor of the round."""
    standing_from: str
    """The candidate it came from, or `base` at the start."""
    axes: tuple[AxisBelief, ...]
    """Learned distributions."""
    interventions: tuple[InterventionBelief, ...] = ()
    """Effects of the changes tried."""
    distrusted: tuple[Distrust, ...] = ()
    """Standing drifts."""
    dead_ends: tuple[DeadEnd, ...] = ()
    """Closed values."""
    noise: float = Field(0.0, ge=0.0)
    """Standard deviation of dev between replicates of one recipe (the anchors)."""
    mode: str
    """The search in a word, from the posterior: `recipe stabilisation`, `stack and calibrate` or `proxy-aware`."""
    best: Best | None = None
    """The announced best on the target: a new one must climb the last by a step (`judgement.search.promote`)."""


class WarmAxis(Frozen):
    """Where an earlier campaign expected the best value of one knob."""

    knob: str
    """Path of the knob."""
    values: tuple[Value, ...] = Field(min_length=2)
    """Its values there."""
    probabilities: tuple[Share, ...]
    """Probability of each; dead ends have 0."""

    @model_validator(mode="after")
    def _one_for_each(self) -> WarmAxis:
        if len(self.probabilities) != len(self.values):
            raise ValueError(f"{self.knob}: {len(self.probabilities)} probabilities of {len(self.values)} values")
        return self


class WarmDeadEnd(Frozen):
    """A value that an earlier campaign closed."""

    knob: str
    """Path of the knob."""
    value: Value
    """The value."""
    evidence: tuple[str, ...]
    """The candidates that closed it, each as `campaign/candidate`; the reason, with its numbers, stays in that log."""


class WarmStart(Frozen):
    """The prior, and where it comes from."""

    campaign: str = Field(min_length=1, max_length=200)
    """Id of the earlier campaign."""
    position: int = Field(ge=1)
    """Position of its last policy in its log."""
    policy: Sha256
    """Hash of that policy."""
    axes: tuple[WarmAxis, ...]
    """Its learned distributions; of knobs and values that the new space does not have, nothing is used."""
    dead_ends: tuple[WarmDeadEnd, ...] = ()
    """Its dead ends, which make a value unlikely here and forbid nothing."""
