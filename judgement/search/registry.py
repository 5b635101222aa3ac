"""The search policies by the name that a constitution gives: the built-in ones, and those of installed packages.

A package offers a policy by an entry point of the group `aevolve.search_policies`. The entry point's name is the name
in the constitution; its value is a class or function that is called without arguments and returns a `SearchPolicy`. A
built-in name cannot be replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from schemas.plugins import Registry

if TYPE_CHECKING:  # a campaign file is checked by the names alone, without numpy
    from judgement.history import History
    from judgement.search.policy import SearchPolicy

BUILT_IN: dict[str, str | Callable[[], SearchPolicy]] = {
    "trust": "judgement.search.trust:Trust",
    "dev_greedy": "judgement.search.baselines:DevGreedy",
    "random": "judgement.search.baselines:Random",
}
"""Policies of this package: `module:class`, imported when it is used."""

POLICIES = Registry("constitution.search", "aevolve.search_policies", BUILT_IN)
"""All policies that can be used here."""


def policy(name: str) -> SearchPolicy:
    """The policy of this name. Raises `schemas.plugins.UnknownName` with the known names."""
    make = POLICIES.get(name) if name in BUILT_IN else _installed(name)
    if isinstance(make, str):
        module, _, attribute = make.partition(":")
        make = getattr(import_module(module), attribute)
    created: SearchPolicy = make()
    return created


@cache
def _installed(name: str) -> str | Callable[[], SearchPolicy]:
    """The entry point of another package, looked up once per process."""
    return POLICIES.get(name)


def policy_of(history: History) -> SearchPolicy:
    """The policy that the campaign's constitution names."""
    return policy(history.campaign.constitution.search)
