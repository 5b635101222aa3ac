"""How a suite's answers are scored: the named scorers with their weights, each part kept beside the sum."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.plugins import Registry, UnknownName
from schemas.suites import ScorerRule
from tasks.item import Item
from tasks.scorers.choice import choice
from tasks.scorers.mathematics import mathematics
from tasks.scorers.numeric import numeric
from tasks.scorers.scorer import FIELD, Scorer, checked, combine
from tasks.scorers.text import boxed, contains, exact, length, regex
from tasks.suite import Places, Score, Scores, Suite, SuiteRefused

SCORERS: Registry[Callable[..., Scorer]] = Registry(
    field=FIELD,
    group="aevolve.scorers",
    builtin={
        "exact": exact,
        "numeric": numeric,
        "choice": choice,
        "regex": regex,
        "boxed": boxed,
        "math": mathematics,
        "contains": contains,
        "length": length,
    },
)
"""The scorers of this project; `pip install 'aevolve[math]'` adds what `math` needs."""

NATIVE = "suite"
"""Name of a suite's own score among the parts."""

ARGUMENTS = ("prompts", "completions", "self")
"""Names of a scorer's other arguments: a column of such a name is not passed on."""


@dataclass(frozen=True)
class Judged:
    """The scores of a list of answers."""

    values: Scores
    """Score of each answer: the weighted mean of the parts that apply; None where none does."""
    parts: Mapping[str, Scores]
    """The scores by scorer, where there are several."""


class Scoring:
    """The scorers of one suite. Each column that a scorer gets is a list as long as the prompts."""

    def __init__(self, scorers: Mapping[str, tuple[float, Score]]) -> None:
        self._scorers = scorers

    @classmethod
    def of(cls, suite: Suite, rules: Sequence[ScorerRule], places: Places) -> Scoring:
        """The scorers that a campaign names, or the suite's own. Raises `SuiteRefused`."""
        if not rules:
            return cls({NATIVE: (1.0, suite.score)})
        scorers: dict[str, tuple[float, Score]] = {}
        for rule in rules:
            name = rule.kind if rule.kind not in scorers else f"{rule.kind} {len(scorers) + 1}"
            scorers[name] = rule.weight, _scorer(suite.name, rule, places)
        return cls(scorers)

    def judge(self, prompts: Sequence[str], completions: Sequence[str], **columns: Sequence[Any]) -> Judged:
        """The scores of answers to prompts. Raises `ScoreInvalid` or `UserCodeFailed`."""
        parts = {
            name: checked(name, score(list(prompts), list(completions), **columns), len(prompts))
            for name, (_, score) in self._scorers.items()
        }
        weights = [weight for weight, _ in self._scorers.values()]
        values = combine(list(zip(weights, parts.values(), strict=True)))
        return Judged(values, parts if len(parts) > 1 else {})

    def items(self, items: Sequence[Item], completions: Sequence[str]) -> Judged:
        """The scores of a completion to each item."""
        return self.judge([item.prompt for item in items], completions, **columns_of(items))

    @property
    def rewards(self) -> list[tuple[str, float, Score]]:
        """Name, weight and function of each scorer, for a method that is rewarded by each of them."""
        return [(name, weight, score) for name, (weight, score) in self._scorers.items()]


def columns_of(items: Sequence[Item]) -> dict[str, list[Any]]:
    """The columns that scorers get of items: `answer`, `domain`, and all further ones, None where an item has none."""
    names = dict.fromkeys(name for item in items for name in item.columns if name not in ARGUMENTS)
    columns = {name: [item.columns.get(name) for item in items] for name in names}
    return {
        **columns,
        "answer": [item.answer for item in items],
        "domain": [item.domain for item in items],
    }


def _scorer(suite: str, rule: ScorerRule, places: Places) -> Score:
    if rule.user_code:
        return _user_scorer(rule, places)
    try:
        return SCORERS.get(rule.kind)(**rule.options)
    except UnknownName as unknown:
        raise SuiteRefused(f"{unknown}, or give FILE.py:function") from None
    except (ValueError, TypeError) as error:
        raise SuiteRefused(f"suites.{suite}.score: {rule.kind}: {error}") from error


def _user_scorer(rule: ScorerRule, places: Places) -> Score:
    target, _, function = rule.kind.rpartition(":")

    def score(prompts: Sequence[str], completions: Sequence[str], **columns: Sequence[Any]) -> Scores:
        arguments = {"prompts": prompts, "completions": completions, **columns, **rule.options}
        scores: Scores = places.call(target, function, arguments)
        return scores

    return score
