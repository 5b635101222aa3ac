"""A score taken under another stamp, told as the base's stamp would have it (design rule 4).

What the two stamps say of the base on the same items of dev is the difference between them; a candidate's score is
moved by it, and pays with items for what the difference itself leaves open. Without the base's dev score under the
other stamp nothing can be moved, and the score is set aside.
"""

from __future__ import annotations

import math

from judgement.statistics import combined
from schemas.scores import DomainScore, Scores

FLIPS = 0.024
"""Share of items whose verdict two ways of running one model give differently although their means agree: 12 of 500 on
the Nemotron Reasoning Challenge when the engine's batch alone changed."""


def transferred(scores: Scores, there: Scores, here: Scores) -> Scores:
    """The scores under the stamp of `here`, the base's dev, where `there` is the base's dev under their own.

    Raises `KeyError` for a domain that the base was not measured in.
    """
    parts = scores.domains.items()
    return combined({name: _moved(part, there.domains[name], here.domains[name]) for name, part in parts})


def _moved(part: DomainScore, there: DomainScore, here: DomainScore) -> DomainScore:
    """One domain's score: its items worth fewer by the variance that each verdict of the base may differ with."""
    shift = here.score - there.score
    variance = part.se**2 + max(FLIPS, abs(shift)) / there.n
    return DomainScore(
        score=min(1.0, max(0.0, part.score + shift)),
        se=math.sqrt(variance),
        n=max(1, round(part.n * part.se**2 / variance)),
    )
