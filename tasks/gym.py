"""Tasks of reasoning-gym as a suite: each set is generated with seeds of its own, and scored by the data sets.

An entry belongs to the set that the hash of its question names, so no question is in two sets, nor in the training rows
that the suite makes. reasoning-gym runs in the process of user code (`tasks.gym_process`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import chain, islice, zip_longest
from typing import Any

from schemas.base import digest
from schemas.campaign import ItemSet
from schemas.scores import Kind
from schemas.suites import SETS, GymSuite, SuitePin
from tasks.formats import core_of
from tasks.gym_process import PARTS
from tasks.item import Item
from tasks.suite import Places, Scores, SuiteRefused

VERSION = version("reasoning-gym")
"""Release of reasoning-gym, which decides the entries; raises `ModuleNotFoundError` without it."""

HELPERS = "tasks.gym_process"

BLOCK = 500
"""Entries per seed. Where a block brings nothing new, there is no more to be had."""

SECONDS = 60.0
"""Time of one call for entries: some data sets take a second for each."""

ENTRY = "entry"
"""Column with the entry, which the score function needs."""


class Gym:
    """An opened suite of reasoning-gym."""

    def __init__(self, rule: GymSuite, places: Places) -> None:
        self.rule, self.name, self._places = rule, rule.name, places
        self._tasks = {task.task: task for task in rule.tasks}
        if len(self._tasks) < len(rule.tasks):
            names = [task.task for task in rule.tasks]
            doubled = next(name for name in names if names.count(name) > 1)
            raise SuiteRefused(
                f"suites.{rule.name}.tasks: {doubled} is named {names.count(doubled)} times; name it once"
            )
        if rule.answer not in PARTS:
            try:
                re.compile(rule.answer)
            except re.error as error:
                raise SuiteRefused(
                    f"suites.{rule.name}.answer: {rule.answer!r} is no regular expression ({error}); use one of "
                    f"{', '.join(PARTS)}, or correct it"
                ) from None

    def pin(self) -> SuitePin:
        """Hash of the tasks, their settings and the release. Raises `SuiteRefused` for one that cannot be used."""
        tasks = [(name, self._settings(kind, name)) for kind in SETS for name in self._tasks]
        arguments = {"tasks": tasks, "own_score": not self.rule.score}
        if faults := self._places.call("reasoning_gym", f"{HELPERS}:refused", arguments):
            raise SuiteRefused("\n".join(f"suites.{self.name}.tasks: {fault}" for fault in faults))
        rule = self.rule.model_dump(mode="json", exclude={"pin"})
        sizes = dict.fromkeys(self._tasks, 0)
        sha256 = digest({"reasoning_gym": VERSION, "rule": rule})
        return SuitePin(sha256=sha256, sets={kind: dict(sizes) for kind in SETS}, train=dict(sizes))

    def pool(self, kind: Kind, domain: str) -> None:
        """None: entries are generated."""

    def generate(self, kind: Kind, domain: str, spec: ItemSet, seed: str) -> list[Item]:
        """Different entries of one data set. Raises `SuiteRefused` where it has too few, or `UserCodeFailed`."""
        items = list(islice(self._entries(kind, domain, seed, spec.items), spec.items))
        if len(items) < spec.items:
            field = "target" if self._target(kind, domain) else "settings"
            raise SuiteRefused(
                f"suites.{self.name}.tasks: {domain} has {len(items)} different questions for {SETS[kind]}, "
                f"{spec.items} are needed; widen its {field}, or lower evaluation.{SETS[kind]}.items"
            )
        return items

    def training(self, n: int, seed: str) -> list[Item]:
        """At most `n` entries with an answer, of all data sets alike."""
        share = -(-n // len(self._tasks))
        streams = (self._entries("train", task, f"{seed}/{task}", share) for task in self._tasks)
        shares = [[item for item in islice(items, share) if item.answer] for items in streams]
        return [item for item in chain.from_iterable(zip_longest(*shares)) if item][:n]

    def score(self, prompts: Sequence[str], completions: Sequence[str], **columns: Sequence[Any]) -> Scores:
        """The data set's own score of the answer; None for a row that is no entry of reasoning-gym."""
        entries = columns.get(ENTRY) or [None] * len(prompts)
        judged = [at for at, entry in enumerate(entries) if entry]
        arguments = {
            "entries": [entries[at] for at in judged],
            "completions": [completions[at] for at in judged],
            "part": self.rule.answer,
        }
        values = self._places.call("reasoning_gym", f"{HELPERS}:score", arguments) if judged else []
        scores: Scores = [None] * len(prompts)
        for at, value in zip(judged, values, strict=True):
            scores[at] = value
        return scores

    def _entries(self, split: str, domain: str, seed: str, most: int) -> Iterator[Item]:
        """The different entries of a split, in the order of the blocks, until a block brings no new one."""
        settings, cores, block, new = self._settings(split, domain), set[str](), 0, True
        while new:
            new = False
            for question, answer, entry in self._block(split, domain, settings, f"{seed}/{block}", most):
                core = core_of(question)
                if core not in cores:
                    cores.add(core)
                    new = True
                    yield Item(domain, 0, 0, question, answer, "", core, {ENTRY: entry})
            block += 1

    def _block(
        self, split: str, domain: str, settings: Mapping[str, Any], seed: str, most: int
    ) -> Iterator[tuple[str, str, str]]:
        number = int(hashlib.sha256(f"{seed}|{split}|{domain}".encode()).hexdigest()[:8], 16)
        arguments = {
            "task": domain,
            "settings": settings,
            "seed": number,
            "size": BLOCK,
            "split": split,
            "most": most,
            "seconds": SECONDS,
        }
        start = 0
        while start < BLOCK:
            part = self._places.call("reasoning_gym", f"{HELPERS}:entries_of", {**arguments, "start": start})
            yield from part["entries"]
            start = part["next"]

    def _target(self, split: str, domain: str) -> Mapping[str, Any]:
        return self._tasks[domain].target if split in ("external", "final") else {}

    def _settings(self, split: str, domain: str) -> Mapping[str, Any]:
        return {**self._tasks[domain].settings, **self._target(split, domain)}
