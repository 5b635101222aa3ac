"""Who judges the answers that a model samples in training: the scorers of the campaign's suites, or the puzzles'.

Each scorer is a reward function of its own, so that TRL can weigh and normalise them apart. A scorer sees the answers
to its suite's questions alone; for all others its reward is None. User code runs in a process without secrets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

from schemas.rows import Row
from schemas.suites import HarnessSuite
from services.runtime.places import places
from services.runtime.settings import Settings
from services.trainer.job import RecipeUnsupported, TrainingJob
from tasks.item import Item
from tasks.puzzles.scorer import correct
from tasks.registry import check_code, check_pin, open_suite
from tasks.scorers.scorer import checked
from tasks.scoring import Scoring, columns_of
from tasks.suite import Score, Scores


@dataclass(frozen=True)
class Question:
    """One row without its completion."""

    item: Item
    """What the scorers get: question, answer, domain and further columns."""
    tokens: tuple[int, ...]
    """What the model reads, as in the other methods and in evaluation."""
    source: str
    """Source of the row, which decides whose scorers judge it."""
    difficulty: int
    """1, 2 or 3; 0 if the row is ungraded."""

    @property
    def size(self) -> int:
        """Tokens of the prompt."""
        return len(self.tokens)


Reward = Callable[[Sequence[Question], Sequence[str]], Scores]
"""The rewards of an answer to each question."""


class Rewards(Protocol):
    """The rewards of a job's answers."""

    @property
    def functions(self) -> Sequence[tuple[str, float, Reward]]:
        """Name, weight and function of each reward."""

    @property
    def separate(self) -> bool:
        """Whether a question has several rewards, which are then normalised one by one (GDPO, arXiv 2601.05242)."""

    def usable(self, rows: Sequence[Row]) -> list[bool]:
        """Whether answers to each row's question can be judged."""

    def score(self, questions: Sequence[Question], answers: Sequence[str]) -> Scores:
        """The score of an answer to each question; None where no scorer judges it."""

    def close(self) -> None:
        """End what runs for it."""


class PuzzleRewards:
    """1 for an answer that the puzzles' scorer accepts, else 0."""

    separate = False

    def __init__(self) -> None:
        self.functions = (("correct", 1.0, self.score),)

    def usable(self, rows: Sequence[Row]) -> list[bool]:
        """Rows with an answer."""
        return [bool(row.answer) for row in rows]

    def score(self, questions: Sequence[Question], answers: Sequence[str]) -> Scores:
        """1 or 0 for an answer to each question."""
        pairs = zip(questions, answers, strict=True)
        return [float(correct(question.item.prompt, answer, question.item.answer)) for question, answer in pairs]

    def close(self) -> None:
        """Nothing runs."""


class SuiteRewards:
    """The scorers of a campaign's suites. Of several scorers of a suite, the weights sum to 1."""

    def __init__(self, job: TrainingJob) -> None:
        """Raises `RecipeUnsupported`, `SuiteRefused` or `ItemsChanged`.

        Only the oracle may read a suite's items: what the campaign recorded of them is compared only where the suite's
        own code is the scorer.
        """
        rules = [rule for rule in job.suites if not isinstance(rule, HarnessSuite)]
        if not rules:
            raise RecipeUnsupported(
                "recipe.method: grpo needs answers that can be scored, and lists of tasks have no scorer for training "
                "rows; add a suite with a score, or use method: sft"
            )
        self._judges, self._first = job.judges, rules[0].name
        self._stack = ExitStack()
        self._scorings: dict[str, Scoring] = {}
        settings = Settings()
        if job.task_path is not None:
            settings = settings.model_copy(update={"task_path": job.task_path})
        opened = self._stack.enter_context(places(settings))
        for rule in rules:
            suite = open_suite(rule, opened)
            check_code(rule, opened)
            if not rule.score:
                check_pin(rule, suite)
            self._scorings[rule.name] = Scoring.of(suite, rule.score, opened)
        self.functions = [
            (f"{name}/{scorer}", weight / sum(w for _, w, _ in scoring.rewards), self._reward(name, scorer, score))
            for name, scoring in self._scorings.items()
            for scorer, weight, score in scoring.rewards
        ]
        self.separate = any(len(scoring.rewards) > 1 for scoring in self._scorings.values())

    def _suite(self, source: str) -> str:
        named = self._judges.get(source, self._first)
        return named if named in self._scorings else self._first

    def _reward(self, suite: str, name: str, score: Score) -> Reward:
        def reward(questions: Sequence[Question], answers: Sequence[str]) -> Scores:
            def judge(items: Sequence[Item], of_items: Sequence[str]) -> Scores:
                prompts = [item.prompt for item in items]
                return checked(name, score(prompts, list(of_items), **columns_of(items)), len(items))

            return self._of(suite, questions, answers, judge)

        return reward

    def _of(
        self,
        suite: str,
        questions: Sequence[Question],
        answers: Sequence[str],
        judge: Callable[[Sequence[Item], Sequence[str]], Scores],
    ) -> Scores:
        """What is judged of the answers to a suite's questions; None for the others."""
        own = [at for at, question in enumerate(questions) if self._suite(question.source) == suite]
        scores: Scores = [None] * len(questions)
        if own:
            values = judge([questions[at].item for at in own], [answers[at] for at in own])
            for at, value in zip(own, values, strict=True):
                scores[at] = value
        return scores

    def usable(self, rows: Sequence[Row]) -> list[bool]:
        """Rows with an answer, and of the others those whose scorers judge an answer without one."""
        open_rows = [at for at, row in enumerate(rows) if not row.answer]
        judged = [True] * len(rows)
        if open_rows:
            asked = [question_of(rows[at], ()) for at in open_rows]
            for at, value in zip(open_rows, self.score(asked, [""] * len(asked)), strict=True):
                judged[at] = value is not None
        return judged

    def score(self, questions: Sequence[Question], answers: Sequence[str]) -> Scores:
        """The weighted score of an answer to each question. Raises `ScoreInvalid` or `UserCodeFailed`."""
        scores: Scores = [None] * len(questions)
        for suite, scoring in self._scorings.items():
            of_suite = self._of(suite, questions, answers, lambda i, a, s=scoring: s.items(i, a).values)  # type: ignore[misc]
            scores = [new if new is not None else old for new, old in zip(of_suite, scores, strict=True)]
        return scores

    def close(self) -> None:
        """End the processes of user code."""
        self._stack.close()


def rewards_of(job: TrainingJob) -> Rewards:
    """The rewards of a job. Raises as `SuiteRewards` does."""
    return SuiteRewards(job) if job.suites else PuzzleRewards()


def question_of(row: Row, tokens: tuple[int, ...]) -> Question:
    """A row's question with its tokens."""
    columns: dict[str, Any] = json.loads(row.columns) if row.columns else {}
    item = Item(row.domain, row.difficulty, row.wording, row.prompt, row.answer, row.trace, row.core, columns=columns)
    return Question(item, tokens, row.source, row.difficulty)
