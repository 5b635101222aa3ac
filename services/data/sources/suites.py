"""The campaign's suites as the data service uses them: training rows, and the verdict on answers.

Evaluation files may lie where the oracle alone can read. So nothing here needs them: a suite is opened for its scorers
or its training rows, and each of the two is checked against what the campaign recorded at its start.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence

from schemas.campaign import Constitution
from schemas.rows import Row
from schemas.sources import Source
from schemas.suites import AnySuite, HarnessSuite, PuzzlesSuite
from tasks.item import Item
from tasks.registry import check_code, check_pin, open_suite
from tasks.scoring import Scoring
from tasks.suite import Places, Suite, SuiteRefused

BOXED = "boxed"
"""The scorer that reads an answer in `\\boxed{}`."""

FULL_MARKS = 1.0
"""Score from which an answer is right."""

STATED_END = " \t\n.,;:!)$*"
"""Characters that may follow an answer at the end of a text that states it."""


class Suites:
    """The suites of one campaign in one job; each is opened when it is first needed."""

    def __init__(self, law: Constitution, places: Places) -> None:
        self._rules = {rule.name: rule for rule in law.suites}
        self.places = places
        self._opened: dict[str, Suite] = {}
        self._scorings: dict[str, Scoring] = {}

    def rule(self, source: Source) -> AnySuite | None:
        """The suite whose scorers judge a source's rows; None if the campaign measures by lists of tasks alone.

        Raises `SuiteRefused` if the source names a suite that the campaign does not have.
        """
        if source.suite is not None and source.suite not in self._rules:
            raise SuiteRefused(
                f"data.sources: {source.name}: suite {source.suite!r} is none of {', '.join(self._rules)}; correct it"
            )
        if source.suite is not None:
            rule = self._rules[source.suite]
            return None if isinstance(rule, HarnessSuite) else rule
        return next((rule for rule in self._rules.values() if not isinstance(rule, HarnessSuite)), None)

    def named(self, source: Source) -> AnySuite:
        """As `rule`, for a source that needs one. Raises `SuiteRefused`."""
        if (rule := self.rule(source)) is None:
            raise SuiteRefused(
                f"data.sources: {source.name}: suite: lists of lm-eval tasks have no training rows; name another suite"
            )
        return rule

    def training(self, source: Source, n: int, seed: str) -> list[Item]:
        """Training rows of a source's suite: at most `n` generated ones, or all that it holds.

        Raises `SuiteRefused` for a suite without any, or `ItemsChanged`.
        """
        rule = self.named(source)
        suite = self._suite(rule)
        items = suite.training(n, seed)
        if not items:
            raise SuiteRefused(
                f"data.sources: {source.name}: the suite {rule.name} has no training rows; give it a file `all`, or "
                "use a source of files"
            )
        return items

    def judge(self, source: Source, items: Sequence[Item], completions: Sequence[str]) -> list[float | None]:
        """Scores of a completion to each item by the source's suite; None where no scorer applies.

        Raises `ScoreInvalid`, `UserCodeFailed`, `SuiteRefused`, or `ItemsChanged`.
        """
        if (rule := self.rule(source)) is None or not items:
            return [None] * len(items)
        if rule.name not in self._scorings:
            check_code(rule, self.places)
            self._scorings[rule.name] = Scoring.of(self._unchecked(rule), rule.score, self.places)
        return self._scorings[rule.name].items(items, completions).values

    def form(self, source: Source, answer: str, trace: str) -> str:
        """What is learnt of a row with an answer where the source gives no form.

        Empty for the puzzles' form where the suite reads boxes; else the steps and then the answer on a line.
        """
        rule = self.rule(source)
        if rule is not None and (isinstance(rule, PuzzlesSuite) or any(scorer.kind == BOXED for scorer in rule.score)):
            return ""
        return "{trace}\n{answer}" if answer else "{trace}"

    def _suite(self, rule: AnySuite) -> Suite:
        """The suite, which must be what the campaign recorded as far as its files are here."""
        if rule.name not in self._opened:
            check_code(rule, self.places)
            suite = self._unchecked(rule)
            with contextlib.suppress(SuiteRefused):  # its evaluation files are the oracle's; training() has its own
                check_pin(rule, suite)
            self._opened[rule.name] = suite
        return self._opened[rule.name]

    def _unchecked(self, rule: AnySuite) -> Suite:
        return self._opened.get(rule.name) or open_suite(rule, self.places)


def item_of(row: Row) -> Item:
    """A row as the item that its scorers get. Its columns are those of the record."""
    columns: Mapping[str, object] = json.loads(row.columns) if row.columns else {}
    return Item(row.domain, row.difficulty, row.wording, row.prompt, row.answer, row.trace, row.core, columns)


def states(text: str, answer: str) -> bool:
    """Whether a text ends with an answer, as `... #### 48` does with 48."""
    text, answer = text.rstrip(STATED_END), answer.rstrip(STATED_END)
    if not answer or not text.endswith(answer):
        return False
    before = text[: -len(answer)]
    return not (before[-1:].isalnum() and answer[:1].isalnum())
