"""The optional advisor: a language model that may propose changes and word what it sees, and decides nothing.

It is given the evidence that the built-in search decides on, and nothing else. What it says is recorded here; its
proposals pass the checks of any other, and its words stand beside ours, never in their place.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Frozen, Sha256
from schemas.evidence import Basis
from schemas.scores import Cost

Verdict = Literal[
    "taken",
    "no change",
    "unknown change",
    "contradiction",
    "too many changes",
    "dead end",
    "tried before",
    "double",
    "no slot left",
]
"""What became of a proposal: a candidate of the round, or why not."""


class AdvisorRule(Frozen):
    """Whom a campaign may ask; where, and with which key, each installation's settings say."""

    model: str = Field(min_length=1, max_length=200)
    """Name of the model, as the endpoint knows it."""
    seconds: float = Field(60.0, gt=0.0, le=3600.0)
    """How long a round waits for the answer, from its data on."""
    slots: int = Field(1, ge=1, le=1_000)
    """Candidates of a round that the advisor may fill at most; the others are the search's."""


class Advice(Frozen):
    """One candidate that the advisor proposes."""

    changes: tuple[Annotated[str, Field(max_length=200)], ...] = Field(max_length=16)
    """Changes of the standing recipe, each as `knob=value`."""
    reason: str = Field(max_length=1_000)
    """Why, in the advisor's words."""


class AdvisorAnswered(Frozen):
    """The advisor answered in time and in the form that it was asked for."""

    round: int = Field(ge=1)
    """Round."""
    model: str = Field(max_length=200)
    """Who answered, as the endpoint names it."""
    proposals: tuple[Advice, ...] = Field(max_length=64)
    """What it proposes, unchecked, in its order."""
    words: str = Field(max_length=8_000)
    """Its own explanation of the evidence."""
    answer: Sha256
    """Hash of the answer's bytes as they came."""
    cost: Cost = Cost()
    """What asking took, with the tries that failed before."""
    basis: Basis
    """What it was asked on: `digest` is the hash of exactly the evidence that was sent."""


class AdviceWeighed(Frozen):
    """What became of the advisor's proposals; said together with the round's candidates."""

    round: int = Field(ge=1)
    """Round."""
    answer: Sha256
    """Which answer: the hash that `AdvisorAnswered` names."""
    verdicts: tuple[Verdict, ...]
    """One for each proposal, in the order of the answer."""
    basis: Basis
    """What the round's candidates rest on."""


class AdvisorFailed(Frozen):
    """The optional advisor gave nothing usable; the built-in policy went on without it."""

    round: int = Field(0, ge=0)
    """Round; 0 where a release that did not say so wrote it."""
    error: str
    """Class of the failure."""
    message: str
    """What happened."""
    cost: Cost = Cost()
    """What asking took, with the tries that failed before."""
