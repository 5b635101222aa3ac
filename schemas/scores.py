"""A score is a mean per domain with its uncertainty, a receipt to recount it by, and a stamp of how it was taken."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.base import Frozen, Name, Sha256, Share

Kind = Literal["dev", "confirm", "external", "final"]
"""Which set was measured."""

BASE = "base"
"""The candidate id of the base model itself."""


class DomainScore(Frozen):
    """Accuracy in one domain."""

    score: Share
    """Share of items answered right."""
    se: float = Field(ge=0.0)
    """Standard error of the share; Agresti-Coull, so that 0 and 1 do not claim certainty."""
    n: int = Field(ge=1)
    """Items."""


class Scores(Frozen):
    """Accuracy over the domains, each weighing the same."""

    score: Share
    """Mean of the domains' shares."""
    se: float = Field(ge=0.0)
    """Standard error of the mean."""
    n: int = Field(ge=1)
    """Items in all."""
    domains: dict[Name, DomainScore]
    """Accuracy per domain; empty where the target gives only the total."""


class Receipt(Frozen):
    """What a score rests on, kept by hash: a score without one does not exist (design rule 3)."""

    uri: str
    """Where every item's output lies (JSON lines: domain, item id, hash of the answer, output, whether it is correct);
    of a target outside, the board's answer as it came."""
    sha256: Sha256
    """Hash of the file."""


class Stamp(Frozen):
    """How a score was taken; scores with different stamps are never compared (design rule 4)."""

    engine: str
    """Inference engine and its version."""
    harness: str
    """Evaluation harness and its version."""
    max_new_tokens: int
    """Tokens an answer could take; 0 where a target outside does not say."""
    max_length: int
    """Tokens of prompt and answer together; 0 where a target outside does not say."""
    template_sha256: Sha256
    """Hash of the prompt template and the scorer's source."""
    precision: str
    """Number format of the weights."""


class Cost(Frozen):
    """What a piece of work took."""

    tokens: int = Field(0, ge=0)
    """Tokens processed."""
    compute: float = Field(0.0, ge=0.0)
    """Tokens times active parameters: the same on every run, so it may steer a choice."""
    seconds: float = Field(0.0, ge=0.0)
    """Wall time; for people and budgets, never for a choice."""
    device_seconds: float = Field(0.0, ge=0.0)
    """Processor or accelerator seconds."""
    lost_seconds: float = Field(0.0, ge=0.0)
    """Wall time of earlier tries that stand in no event of their own: their workers died without a word, in which case
    it is the most that they can have taken, or nothing was decided by their failure."""
