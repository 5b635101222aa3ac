"""Which version of each decider's rules is in force, and which release brought it.

A decision records the version in its basis, so that a replay uses the rules that took it. A change of a decider's rules
appends its release here and adds a function to `judgement.decisions.RULES`. The earlier function stays there, or is
removed knowingly: then `aevolve replay` names the release that still has it.
"""

from __future__ import annotations

RELEASES: dict[str, tuple[str, ...]] = {
    "data": ("0.1.0",),  # DataBatchReady
    "propose": ("0.1.0", "0.2.0", "0.3.0"),  # RecipeProposed
    "submissions": ("0.1.0",),  # SubmissionsChosen of a round
    "final": ("0.1.0", "0.3.0"),  # SubmissionsChosen of the final set
    "drift": ("0.1.0", "0.2.0"),  # DriftAssessed, DriftDetected, DriftCleared
    "policy": ("0.1.0", "0.2.0"),  # PolicyUpdated
    "finish": ("0.1.0",),  # CampaignFinished
}
"""Decider -> the releases that changed its rules, the first one first: version 1 is that of the first."""


def version(decider: str) -> int:
    """The version of a decider's rules in force."""
    return len(RELEASES[decider])
