"""Where external scores come from: sealed sets, tasks, or a board outside that is sent a candidate and answers later.

Nothing here is secret: tokens and accounts stand in the oracle's settings, never in a campaign file. Where a board is
the target, the *final* set is still the oracle's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from schemas.base import Frozen
from schemas.tasks import TaskTarget

URL = r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$"


def _address(url: str) -> str:
    if not re.match(URL, url):
        raise ValueError(
            "give http(s)://host[:port][/path], without user, query or fragment; a token goes into the file that "
            "AEVOLVE_BOARD_TOKEN_FILE names"
        )
    return url


class Outside(Frozen):
    """What every board has: a scale, an uncertainty, and how patiently it is asked."""

    lowest: float = 0.0
    """The board's score that counts as 0; scores are mapped affinely to [0, 1]."""
    highest: float = 1.0
    """The board's score that counts as 1. Higher is better: a board of errors must publish them negated."""
    items: int | None = Field(None, ge=1, le=10_000_000)
    """Items behind a score; its standard error follows from them (Agresti-Coull). Either this or `se`."""
    se: float | None = Field(None, gt=0.0)
    """Standard error of a score on the board's scale, where it is no share of items. Either this or `items`."""
    poll_seconds: float = Field(60.0, gt=0.0, le=86_400.0)
    """Pause between two questions whether the score is there."""
    tries: int = Field(12, ge=1, le=1_000)
    """Tries against a board that does not answer; the pause between them doubles from `poll_seconds` to an hour."""
    give_up_seconds: float = Field(604_800.0, gt=0.0)
    """After this long without a score the query has failed; it stays charged."""

    @model_validator(mode="after")
    def _is_a_scale(self) -> Outside:
        if self.lowest >= self.highest:
            raise ValueError(f"lowest: {self.lowest:g} is not below highest {self.highest:g}; give the scale's ends")
        if (self.items is None) == (self.se is None):
            raise ValueError("items, se: give one of them, so that a score has one standard error")
        return self

    def mistakes(
        self,
        external_queries: int,
        board_seconds: float,
        ranks: Sequence[int],
    ) -> list[str]:
        """What in the campaign contradicts this target, a sentence each."""
        faults = []
        if external_queries < 2:
            faults.append(
                f"budget.external_queries: {external_queries} asks the target about no candidate; give 2 or more, or "
                "say target: sealed"
            )
        if self.poll_seconds >= board_seconds:
            faults.append(
                f"target.poll_seconds: {self.poll_seconds:g} is not below budget.board_seconds {board_seconds:g}, so "
                "every score would come late; lower the one or raise the other"
            )
        return faults


class BoardTarget(Outside):
    """A board that speaks the protocol of `docs/guides/boards.md`."""

    kind: Literal["board"] = "board"
    """Which target this is."""
    url: Annotated[str, AfterValidator(_address), Field(json_schema_extra={"pattern": URL})]
    """Where the board is; the protocol's paths follow it."""


class KaggleTarget(Outside):
    """The public leaderboard of a Kaggle competition that takes PEFT adapters as `submission.zip`."""

    kind: Literal["kaggle"] = "kaggle"
    """Which target this is."""
    competition: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=200)
    """Name of the competition, as in its address."""
    max_rank: int = Field(32, ge=1, le=256)
    """Highest LoRA rank that it takes."""
    max_bytes: int = Field(8 * 2**30, ge=1)
    """Largest submission that is sent."""

    def mistakes(self, external_queries: int, board_seconds: float, ranks: Sequence[int]) -> list[str]:
        """Those of every board, and ranks that the competition would refuse."""
        faults = super().mistakes(external_queries, board_seconds, ranks)
        if (highest := max(ranks)) > self.max_rank:
            faults.append(f"rank: {highest} is above target.max_rank {self.max_rank}; leave it out of recipe and space")
        return faults


def _kind(target: Any) -> Any:
    if isinstance(target, dict):
        return target.get("kind")
    return getattr(target, "kind", target)


Target = Annotated[
    Annotated[Literal["sealed"], Tag("sealed")]
    | Annotated[TaskTarget, Tag("tasks")]
    | Annotated[BoardTarget, Tag("board")]
    | Annotated[KaggleTarget, Tag("kaggle")],
    Discriminator(
        _kind,
        custom_error_type="target",
        custom_error_message="give `sealed`, or a mapping whose `kind` is tasks, board or kaggle",
    ),
]
"""Where external scores come from."""
