"""The kinds of suites. A kind's module is imported only for a campaign that has such a suite.

Another package adds a kind by an entry point of the group `aevolve.suites`: a class that is called with its part of the
campaign file (`schemas.suites.PluginSuite`) and the `Places`, and implements `tasks.suite.Suite`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from schemas.campaign import Constitution
from schemas.plugins import Registry, UnknownName
from schemas.suites import AnySuite
from schemas.suites import Suite as SuiteRule
from tasks.scoring import Scoring
from tasks.suite import ItemsChanged, Places, Suite, SuiteRefused

KINDS: Registry[Any] = Registry(
    field="suites.kind",
    group="aevolve.suites",
    builtin={
        "files": "tasks.files:Files",
        "python": "tasks.python:Python",
        "gym": "tasks.gym:Gym",
        "harness": "tasks.harness:Harness",
        "verifiers": "tasks.verifiers:Verifiers",
        "puzzles": "tasks.puzzles.suite:Puzzles",
    },
)
"""Module and class of this package's kinds, and the classes that entry points name."""

EXTRAS: Mapping[str, str] = {"gym": "gym", "verifiers": "verifiers"}
"""Extra of this distribution that a kind needs."""


PROCESSES: Mapping[str, str] = {"gym": "tasks.gym_process", "verifiers": "tasks.verifiers_process"}
"""Module of a kind that makes its items and scores in the process of user code."""


def open_suite(rule: AnySuite | SuiteRule, places: Places) -> Suite:
    """The suite of a part of the campaign file. Raises `SuiteRefused`, or `ItemsChanged` if it is pinned otherwise."""
    kind = str(getattr(rule, "kind"))  # noqa: B009 - the base class has none
    try:
        target = KINDS.get(kind)
        make = _imported(target) if isinstance(target, str) else target
    except UnknownName as unknown:
        raise SuiteRefused(str(unknown)) from None
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(kind)
        remedy = f"pip install 'aevolve[{extra}]'" if extra else "install it"
        raise SuiteRefused(
            f"suites.{rule.name}: kind {kind!r} needs {error.name}, which is not installed: {remedy}"
        ) from error
    suite: Suite = make(rule, places)
    return suite


def open_all(law: Constitution, places: Places) -> dict[str, tuple[Suite, Scoring]]:
    """The campaign's suites with their scorers, by name; each must be what the campaign recorded.

    Raises `SuiteRefused` or `ItemsChanged`.
    """
    return open_rules(law.suites, places)


def open_rules(rules: Sequence[AnySuite], places: Places) -> dict[str, tuple[Suite, Scoring]]:
    """As `open_all`, for the suites of a job."""
    opened = {}
    for rule in rules:
        suite = open_suite(rule, places)
        check_pin(rule, suite)
        check_code(rule, places)
        opened[rule.name] = (suite, Scoring.of(suite, rule.score, places))
    return opened


def check_pin(rule: SuiteRule, suite: Suite) -> None:
    """Raise `ItemsChanged` if a suite is not what the campaign recorded at its start."""
    if rule.pin and (now := suite.pin().sha256) != rule.pin.sha256:
        raise ItemsChanged(
            f"suites.{rule.name}: its items or settings have hash {now}, the campaign began with {rule.pin.sha256}; "
            "restore them, or start a new campaign"
        )


def check_code(rule: SuiteRule, places: Places) -> None:
    """Raise `ItemsChanged` if a scorer's code is not what the campaign recorded at its start."""
    for scorer in rule.score:
        if scorer.sha256 and (now := places.code_sha256(scorer.kind.rpartition(":")[0])) != scorer.sha256:
            raise ItemsChanged(
                f"suites.{rule.name}.score: {scorer.kind} has hash {now}, the campaign began with {scorer.sha256}; "
                "restore it, or start a new campaign"
            )


def _imported(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)
