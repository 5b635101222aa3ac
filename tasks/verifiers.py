"""Single-turn tasks of a `verifiers` taskset as a suite: they are divided over the sets by hash, as those of a file.

The taskset is code of a user: it is loaded and its rewards are computed in the process of user code
(`tasks.verifiers_process`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any

from schemas.base import digest
from schemas.campaign import ItemSet
from schemas.scores import Kind
from schemas.suites import SETS, ColumnNames, SuitePin, VerifiersSuite
from tasks.formats import Unreadable, core_of, read
from tasks.item import Item
from tasks.split import Split, split_of
from tasks.suite import Places, Scores, SuiteRefused

VERSION = version("verifiers")
"""Release of verifiers, whose weights make the score; raises `ModuleNotFoundError` without it."""

HELPERS = "tasks.verifiers_process"

COLUMNS = ColumnNames(prompt="prompt")

INDEX = "task_index"
"""Column with the task's place in the taskset."""


class Verifiers:
    """An opened suite of a taskset."""

    def __init__(self, rule: VerifiersSuite, places: Places) -> None:
        self.rule, self.name, self._places = rule, rule.name, places
        self._target, _, self._attribute = rule.taskset.rpartition(":")
        if not self._target or not self._attribute:
            raise SuiteRefused(
                f"suites.{rule.name}.taskset: {rule.taskset!r}; write package:attribute or FILE.py:attribute"
            )
        self.refused: Counter[str] = Counter()
        """Tasks without an item, by reason."""

    @cached_property
    def parts(self) -> Mapping[Split, list[Item]]:
        """The items by set, those for training among them. Raises `SuiteRefused` or `UserCodeFailed`."""
        loaded = self._call("rows", {})
        if "refused" in loaded:
            raise SuiteRefused(f"suites.{self.name}.taskset: {loaded['refused']}")
        self.refused.update(loaded["unread"])
        parts: dict[Split, list[Item]] = {}
        cores = set()
        for row in loaded["rows"]:
            try:
                item = self._item(row)
            except Unreadable as error:
                self.refused[error.reason] += 1
                continue
            if item.core in cores:
                self.refused["duplicate"] += 1
                continue
            cores.add(item.core)
            parts.setdefault(split_of(item.domain, item.core), []).append(item)
        if not parts:
            reasons = ", ".join(f"{reason} {n}" for reason, n in self.refused.most_common())
            raise SuiteRefused(f"suites.{self.name}.taskset: none of its tasks can be asked in one turn ({reasons})")
        return parts

    def pin(self) -> SuitePin:
        """Hash of the code, its options and its tasks. Raises `SuiteRefused`."""
        cores = {split: [[item.core, item.answer] for item in items] for split, items in self.parts.items()}
        code = self._places.code_sha256(self._target)
        rule = self.rule.model_dump(mode="json", exclude={"pin"})
        sizes = {split: {self.name: len(items)} for split, items in self.parts.items()}
        return SuitePin(
            sha256=digest({"verifiers": VERSION, "code": code, "rule": rule, "tasks": cores}),
            sets={kind: sizes[kind] for kind in SETS if kind in sizes},
            train=sizes.get("train", {}),
        )

    def pool(self, kind: Kind, domain: str) -> Sequence[Item]:
        """The tasks of a set."""
        return self.parts.get(kind, []) if domain == self.name else []

    def generate(self, kind: Kind, domain: str, spec: ItemSet, seed: str) -> list[Item]:
        """Not called: a taskset is a pool."""
        raise NotImplementedError

    def training(self, n: int, seed: str) -> list[Item]:
        """The tasks of the train split."""
        return self.parts.get("train", [])

    def score(self, prompts: Sequence[str], completions: Sequence[str], **columns: Sequence[Any]) -> Scores:
        """The sum of the task's rewards by weight; None for a row that is no task."""
        indexes = columns.get(INDEX) or [None] * len(prompts)
        judged = [at for at, index in enumerate(indexes) if index is not None]
        arguments = {"indexes": [indexes[at] for at in judged], "completions": [completions[at] for at in judged]}
        values = self._call("score", arguments) if judged else []
        scores: Scores = [None] * len(prompts)
        for at, value in zip(judged, values, strict=True):
            scores[at] = value
        return scores

    def _item(self, row: Mapping[str, Any]) -> Item:
        fields = read({"prompt": row["prompt"]}, COLUMNS)
        core = core_of(fields.prompt, fields.asked)
        return Item(self.name, 0, 0, fields.prompt, row["answer"], "", core, {INDEX: row["index"]}, fields.asked)

    def _call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        taskset = {"attribute": self._attribute, "options": self.rule.options}
        return self._places.call(self._target, f"{HELPERS}:{function}", {**taskset, **arguments})
