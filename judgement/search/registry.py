"""The search policies that a constitution can name."""

from __future__ import annotations

from judgement.history import History
from judgement.search.greedy_policy import DevGreedy
from judgement.search.policy import SearchPolicy
from judgement.search.random_policy import Random
from judgement.search.trust_policy import Trust

POLICIES: dict[str, SearchPolicy] = {"trust": Trust(), "dev_greedy": DevGreedy(), "random": Random()}
"""By the name in `Constitution.search`."""


def policy_of(history: History) -> SearchPolicy:
    """The policy that the campaign's constitution names."""
    return POLICIES[history.campaign.constitution.search]
