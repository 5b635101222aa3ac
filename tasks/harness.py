"""Lists of lm-eval tasks as a suite: it has no items of its own, since lm-eval reads, asks and scores them.

The oracle takes the lists from the campaign (`Constitution.lists`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas.base import digest
from schemas.campaign import ItemSet
from schemas.scores import Kind
from schemas.suites import SETS, HarnessSuite, SuitePin
from tasks.item import Item
from tasks.suite import Places, Scores, SuiteRefused


class Harness:
    """An opened suite of lm-eval tasks."""

    def __init__(self, rule: HarnessSuite, places: Places) -> None:
        self.rule, self.name = rule, rule.name
        self._lists = {kind: getattr(rule, key) for kind, key in SETS.items()}
        self._lists["confirm"] = rule.confirm or rule.dev
        if not any(self._lists.values()):
            raise SuiteRefused(f"suites.{rule.name}: it names no task; give dev, confirm, target or final")
        if rule.score:
            raise SuiteRefused(f"suites.{rule.name}.score: lm-eval scores its tasks itself; leave score out")

    def pin(self) -> SuitePin:
        """Hash of the lists; a task of a list is a domain. The tasks' own hash is in the stamp of each score."""
        sets = {kind: dict.fromkeys((task.name for task in tasks), 0) for kind, tasks in self._lists.items() if tasks}
        return SuitePin(sha256=digest(self.rule.model_dump(mode="json", exclude={"pin"})), sets=sets)

    def pool(self, kind: Kind, domain: str) -> Sequence[Item] | None:
        """None: the items are lm-eval's."""

    def generate(self, kind: Kind, domain: str, spec: ItemSet, seed: str) -> list[Item]:
        """Raises `SuiteRefused`: the items are lm-eval's."""
        raise SuiteRefused(
            f"suites.{self.name}: {domain} is a task of lm-eval, which has its own items; use a list of tasks"
        )

    def training(self, n: int, seed: str) -> list[Item]:
        """None: a list of tasks is for evaluation."""
        return []

    def score(self, prompts: Sequence[str], completions: Sequence[str], **columns: Sequence[Any]) -> Scores:
        """None for each answer: lm-eval scores its tasks itself."""
        return [None] * len(prompts)
