"""The correction of a score that was measured under another runtime stamp than the base's (design rule 4).

The base's dev scores under both stamps, on the same items, give the shift between the stamps. A candidate's score is
moved by that shift, and counts as fewer items because the shift is uncertain itself. Without the base's dev score under
the other stamp there is no correction, and the score is set aside.
"""

from __future__ import annotations

import math

from judgement.statistics import combined
from schemas.scores import DomainScore, Scores

FLIPS = 0.024
"""Share of items whose verdict two ways of running one model give differently although their means agree: 12 of 500 on
the Nemotron Reasoning Challenge when the engine's batch alone changed."""


def corrected(scores: Scores, there: Scores, here: Scores) -> Scores:
    """The scores under the stamp of `here`, the base's dev, where `there` is the base's dev under their own.

    Raises `KeyError` for a domain that the base was not measured in.
    """
    parts = scores.domains.items()
    return combined({name: _corrected(part, there.domains[name], here.domains[name]) for name, part in parts})


def _corrected(part: DomainScore, there: DomainScore, here: DomainScore) -> DomainScore:
    """One domain's score. Verdicts of the base may differ between the stamps; that variance lowers the items."""
    shift = here.score - there.score
    variance = part.se**2 + max(FLIPS, abs(shift)) / there.n
    return DomainScore(
        score=min(1.0, max(0.0, part.score + shift)),
        se=math.sqrt(variance),
        n=max(1, round(part.n * part.se**2 / variance)),
    )
