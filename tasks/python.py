"""A user's module as a suite: it makes the items and judges the answers, in a process without secrets.

The module defines `rows(split, seed, n)`, which returns up to `n` rows as dictionaries (`prompt`, `answer`, optionally
`domain` and any further columns), the same for the same arguments, and `score(prompts, completions, **columns)`. `split`
is `train`, `dev`, `confirm`, `target` or `final`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from schemas.base import digest
from schemas.campaign import ItemSet
from schemas.scores import Kind
from schemas.suites import SETS, ColumnNames, PythonSuite, SuitePin
from tasks.formats import Unreadable, core_of, detect, read
from tasks.item import Item
from tasks.records import fingerprint
from tasks.suite import Places, Scores, SuiteRefused

ASKED = 8
"""Rows that are asked for per domain and set to see that a module works."""

ROOM = 4
"""Times as many rows as are needed are asked for, so that every domain gets its number."""


class Python:
    """An opened suite of a user's module."""

    def __init__(self, rule: PythonSuite, places: Places) -> None:
        self.rule, self.name, self._places = rule, rule.name, places
        self.domains = rule.domains or (rule.name,)
        self._rows = lru_cache(maxsize=16)(self._called)

    def pin(self) -> SuitePin:
        """Hash of the module and its settings. Raises `SuiteRefused` where its rows differ from call to call."""
        for split in (*SETS.values(), "train"):
            first, second = (self._called(split, "pin", ASKED * len(self.domains)) for _ in range(2))
            if digest(list(first)) != digest(list(second)):
                raise SuiteRefused(
                    f"suites.{self.name}: rows({split!r}, 'pin', {ASKED * len(self.domains)}) gave other rows the second "
                    "time; draw from random.Random(seed)"
                )
        sizes = dict.fromkeys(self.domains, 0)
        rule = self.rule.model_dump(mode="json", exclude={"pin"})
        sha256 = digest({"file": fingerprint(self._places.code(self.rule.file)), "rule": rule})
        return SuitePin(sha256=sha256, sets=dict.fromkeys(SETS, sizes), train=sizes)

    def pool(self, kind: Kind, domain: str) -> None:
        """None: the module generates."""

    def generate(self, kind: Kind, domain: str, spec: ItemSet, seed: str) -> list[Item]:
        """Items of a domain. Raises `SuiteRefused` where the module gives too few, or one item twice."""
        wanted = spec.items * len(self.domains)
        for n in (wanted, ROOM * wanted):
            items = [item for item in self._items(SETS[kind], seed, n) if item.domain == domain]
            if len(items) >= spec.items:
                return items[: spec.items]
        raise SuiteRefused(
            f"suites.{self.name}: rows({SETS[kind]!r}, ..., {ROOM * wanted}) gave {len(items)} different items of the "
            f"domain {domain}, {spec.items} are needed; return more, or lower evaluation.{SETS[kind]}.items"
        )

    def training(self, n: int, seed: str) -> list[Item]:
        """Training rows."""
        return self._items("train", seed, n)[:n]

    def score(self, prompts: Sequence[str], completions: Sequence[str], **columns: Sequence[Any]) -> Scores:
        """The module's own score."""
        arguments = {"prompts": prompts, "completions": completions, **columns}
        scores: Scores = self._places.call(self.rule.file, "score", arguments)
        return scores

    def _items(self, split: str, seed: str, n: int) -> list[Item]:
        """The module's rows as items, each core once per domain."""
        items: dict[tuple[str, str], Item] = {}
        refused: Counter[str] = Counter()
        for row in self._rows(split, seed, n):
            try:
                item = self._item(row)
            except Unreadable as error:
                refused[error.reason] += 1
                continue
            items.setdefault((item.domain, item.core), item)
        if not items:
            raise SuiteRefused(f"suites.{self.name}: rows({split!r}, ..., {n}) gave no usable row ({dict(refused)})")
        return list(items.values())

    def _item(self, row: Mapping[str, Any]) -> Item:
        fields = read(row, detect(list(row), ColumnNames()))
        domain = fields.domain or self.name
        if domain not in self.domains:
            raise Unreadable("other_domain")
        core = core_of(fields.prompt, fields.asked)
        trace = fields.trace or fields.completion
        return Item(domain, 0, 0, fields.prompt, fields.answer, trace, core, fields.columns, fields.asked)

    def _called(self, split: str, seed: str, n: int) -> tuple[Mapping[str, Any], ...]:
        arguments = {"split": split, "seed": seed, "n": n, **self.rule.options}
        rows = self._places.call(self.rule.file, "rows", arguments)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise SuiteRefused(f"suites.{self.name}: rows() must return a list of dictionaries, one per row")
        return tuple(rows)
