"""A user's module as a suite: it makes the items and judges the answers, in a process without secrets.

The module defines `rows(split, seed, n)`, which returns up to `n` rows as dictionaries (`prompt`, `answer`, optionally
`domain` and any further columns), the same for the same arguments, and `score(prompts, completions, **columns)`.
`split` is `train`, `dev`, `confirm`, `target` or `final`; no row for a split means that the suite has no such set.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from schemas.base import digest
from schemas.campaign import ItemSet
from schemas.scores import Kind
from schemas.suites import SETS, ColumnNames, PythonSuite, SuitePin
from tasks.formats import FormatUnknown, Unreadable, core_of, detect, read
from tasks.item import Item
from tasks.records import fingerprint
from tasks.suite import Places, Scores, SuiteRefused

PIN_ROWS = 8
"""Rows that are asked for per domain and set to see that a module works."""

ROOM = 4
"""Times as many rows as are needed are asked for, so that every domain gets its number."""

Rows = tuple[Mapping[str, Any], ...]


class Python:
    """An opened suite of a user's module."""

    def __init__(self, rule: PythonSuite, places: Places) -> None:
        self.rule, self.name, self._places = rule, rule.name, places
        self.domains = rule.domains or (rule.name,)
        self._rows = lru_cache(maxsize=16)(self._called)

    def pin(self) -> SuitePin:
        """Hash of the module, its settings and some rows, which are asked for twice.

        Raises `SuiteRefused` where its rows differ from call to call, cannot be used, or are the same in two sets.
        """
        n = PIN_ROWS * len(self.domains)
        samples = {split: self._twice(split, n) for split in ("train", *SETS.values())}
        cores = {split: {item.core for item in self._items(split, "pin", n)} for split, rows in samples.items() if rows}
        for split, other in ((a, b) for a in cores for b in cores if a < b):
            if cores[split] == cores[other] and len(cores[split]) > 1:
                raise SuiteRefused(
                    f"suites.{self.name}: rows({split!r}, 'pin', {n}) and rows({other!r}, 'pin', {n}) gave the same "
                    "questions; give each split its own"
                )
        sizes = dict.fromkeys(self.domains, 0)
        rule = self.rule.model_dump(mode="json", exclude={"pin"})
        file = fingerprint(self._places.code(self.rule.file))
        rows = {split: _digest(rows) for split, rows in samples.items()}
        return SuitePin(
            sha256=digest({"file": file, "rule": rule, "rows": rows}),
            sets={kind: dict(sizes) for kind, split in SETS.items() if split in cores},
            train=dict(sizes) if "train" in cores else {},
        )

    def _twice(self, split: str, n: int) -> Rows:
        first, second = self._called(split, "pin", n), self._called(split, "pin", n)
        if _digest(first) != _digest(second):
            raise SuiteRefused(
                f"suites.{self.name}: rows({split!r}, 'pin', {n}) gave other rows the second time; draw from "
                "random.Random(seed)"
            )
        return first

    def pool(self, kind: Kind, domain: str) -> None:
        """None: the module generates."""

    def generate(self, kind: Kind, domain: str, spec: ItemSet, seed: str) -> list[Item]:
        """Items of a domain. Raises `SuiteRefused` where the module gives too few, or one item several times."""
        needed = spec.items * len(self.domains)
        for n in (needed, ROOM * needed):
            items = [item for item in self._items(SETS[kind], seed, n) if item.domain == domain]
            if len(items) >= spec.items:
                return items[: spec.items]
        raise SuiteRefused(
            f"suites.{self.name}: rows({SETS[kind]!r}, ..., {ROOM * needed}) gave {len(items)} different items of the "
            f"domain {domain}, {spec.items} are needed; return more, or lower evaluation.{SETS[kind]}.items"
        )

    def training(self, n: int, seed: str) -> list[Item]:
        """Training rows; none where the module gives none."""
        return self._items("train", seed, n)[:n] if self._rows("train", seed, n) else []

    def score(self, prompts: Sequence[str], completions: Sequence[str], **columns: Sequence[Any]) -> Scores:
        """The module's own score."""
        arguments = {"prompts": prompts, "completions": completions, **columns}
        scores: Scores = self._places.call(self.rule.file, "score", arguments)
        return scores

    def _items(self, split: str, seed: str, n: int) -> list[Item]:
        """The module's rows as items, each core once per domain. Raises `SuiteRefused` for one that makes no item."""
        items: dict[tuple[str, str], Item] = {}
        for at, row in enumerate(self._rows(split, seed, n)):
            try:
                item = self._item(row)
            except (Unreadable, FormatUnknown) as error:
                raise SuiteRefused(
                    f"suites.{self.name}: row {at} of rows({split!r}, {seed!r}, {n}): {error}; give it a prompt and an "
                    f"answer as texts, and a domain that suites.{self.name}.domains lists: {', '.join(self.domains)}"
                ) from None
            items.setdefault((item.domain, item.core), item)
        return list(items.values())

    def _item(self, row: Mapping[str, Any]) -> Item:
        fields = read(row, detect(list(row), ColumnNames()))
        domain = fields.domain or self.name
        if domain not in self.domains:
            raise Unreadable(f"domain {domain!r} is not one of suites.{self.name}.domains")
        core = core_of(fields.prompt, fields.asked)
        trace = fields.trace or fields.completion
        return Item(domain, 0, 0, fields.prompt, fields.answer, trace, core, fields.columns, fields.asked)

    def _called(self, split: str, seed: str, n: int) -> Rows:
        arguments = {"split": split, "seed": seed, "n": n, **self.rule.options}
        rows = self._places.call(self.rule.file, "rows", arguments)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            kind = type(rows).__name__ if not isinstance(rows, list) else "a list of other values"
            raise SuiteRefused(
                f"suites.{self.name}: rows({split!r}, {seed!r}, {n}) returned {kind}; return a list of dictionaries, "
                "one per row"
            )
        return tuple(rows)


def _digest(rows: Rows) -> str:
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
