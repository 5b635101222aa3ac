"""The search policies by the name that a constitution gives: the built-in ones, and those of installed packages.

A package offers a policy by an entry point of the group `aevolve.search_policies`. The entry point's name is the name
in the constitution; its value is a class or function that is called without arguments and returns a `SearchPolicy`. A
built-in name cannot be replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points

from judgement.history import History
from judgement.search.baselines import DevGreedy, Random
from judgement.search.policy import SearchPolicy
from judgement.search.trust import Trust

GROUP = "aevolve.search_policies"
"""Entry point group of policies outside this package."""

BUILT_IN: dict[str, Callable[[], SearchPolicy]] = {"trust": Trust, "dev_greedy": DevGreedy, "random": Random}
"""Policies of this package."""


class UnknownPolicy(ValueError):
    """A constitution names a search policy that is not installed here."""


def names() -> tuple[str, ...]:
    """Names of all policies that can be used here: the built-in ones first."""
    return tuple(dict.fromkeys((*BUILT_IN, *sorted(point.name for point in entry_points(group=GROUP)))))


def unknown(name: str) -> str:
    """The message for a name that is not installed here: field, value and remedy."""
    return (
        f"constitution.search: {name!r}; no policy of this name is installed: choose {', '.join(names())}, "
        f"or install the package that offers it (entry point group {GROUP})"
    )


def policy(name: str) -> SearchPolicy:
    """The policy of this name. Raises `UnknownPolicy` with the known names."""
    if make := BUILT_IN.get(name):
        return make()
    return _installed(name)


@cache
def _installed(name: str) -> SearchPolicy:
    """A policy of another package, loaded once per process."""
    for point in entry_points(group=GROUP, name=name):
        made: SearchPolicy = point.load()()
        return made
    raise UnknownPolicy(unknown(name))


def policy_of(history: History) -> SearchPolicy:
    """The policy that the campaign's constitution names."""
    return policy(history.campaign.constitution.search)
