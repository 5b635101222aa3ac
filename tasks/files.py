"""A user's files as a suite: items are divided over the sets by a hash of their content, so no item is in two sets."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from schemas.base import digest
from schemas.campaign import ItemSet
from schemas.scores import Kind
from schemas.suites import SETS, ColumnNames, FilesSuite, SuitePin
from tasks.formats import FormatUnknown, Unreadable, core_of, detect, read
from tasks.item import Item
from tasks.records import FileUnreadable, fingerprint, records
from tasks.split import split_of
from tasks.suite import Places, Scores, SuiteRefused

KEYS = ("all", "eval", "dev", "confirm", "target", "final")
"""Fields of the files."""

PARTS: Mapping[str, tuple[Kind, ...]] = {
    "eval": ("dev", "confirm", "external", "final"),
    "dev": ("dev", "confirm"),
    "target": ("external", "final"),
}
"""Sets that are taken from a file, unless they have a file of their own."""


@dataclass
class Loaded:
    """The items of one file."""

    path: Path
    items: list[Item]
    columns: ColumnNames
    """Roles of its columns."""
    refused: Counter[str] = field(default_factory=Counter)
    """Records without an item, by reason."""


class Files:
    """An opened suite of files."""

    def __init__(self, rule: FilesSuite, places: Places) -> None:
        self.rule, self.name, self._places = rule, rule.name, places
        if not any(getattr(rule, key) for key in KEYS):
            raise SuiteRefused(f"suites.{rule.name}: it names no file; give eval, all, or dev and target")

    @cached_property
    def loaded(self) -> dict[str, Loaded]:
        """The suite's files by their key (`all`, `eval`, `dev`, ...). Raises `SuiteRefused`."""
        shared = {"all": self._shared} if self._shared else {}
        return shared | {key: self._load(key, name) for key in KEYS[1:] if (name := getattr(self.rule, key))}

    @cached_property
    def _shared(self) -> Loaded | None:
        """The file `all`, which is read without the evaluation files: those may lie where the oracle alone can read."""
        return self._load("all", self.rule.all) if self.rule.all else None

    def _load(self, key: str, name: str) -> Loaded:
        where = f"suites.{self.name}.{key}"
        try:
            path = self._places.items(name)
            return load(path, self.rule.columns, self.name)
        except (FileUnreadable, FormatUnknown) as error:
            raise SuiteRefused(f"{where}: {error}") from error

    @cached_property
    def pools(self) -> dict[Kind, dict[str, list[Item]]]:
        """Items by set and domain, in the order of their files."""
        pools: dict[Kind, dict[str, list[Item]]] = {kind: {} for kind in SETS}
        owners = {kind: self.file_of(kind) for kind in SETS}
        for key, loaded in self.loaded.items():
            sets = [kind for kind in SETS if owners[kind] == key]
            for item in loaded.items if sets else ():
                part = split_of(item.domain, item.core) if key == "all" else sets[part_of(item, len(sets))]
                if part != "train" and part in sets:
                    pools[part].setdefault(item.domain, []).append(item)
        return pools

    def file_of(self, kind: Kind) -> str | None:
        """The file that a set is taken from: its own, that of dev or the target, `eval` or `all`."""
        keys = (SETS[kind], *(key for key in ("dev", "target", "eval") if kind in PARTS[key]), "all")
        return next((key for key in keys if key in self.loaded), None)

    def pin(self) -> SuitePin:
        """Hash and sizes of the sets. Raises `SuiteRefused`."""
        files = {key: fingerprint(loaded.path) for key, loaded in self.loaded.items()}
        rule = self.rule.model_dump(mode="json", exclude={"pin"})
        sets = {kind: {name: len(items) for name, items in pool.items()} for kind, pool in self.pools.items() if pool}
        train = Counter(item.domain for item in self.training(0, ""))
        return SuitePin(sha256=digest({"files": files, "rule": rule}), sets=sets, train=dict(train))

    def pool(self, kind: Kind, domain: str) -> Sequence[Item]:
        """The items of a set and domain."""
        return self.pools[kind].get(domain, [])

    def generate(self, kind: Kind, domain: str, spec: ItemSet, seed: str) -> list[Item]:
        """Not called: a suite of files has a pool."""
        raise NotImplementedError

    def training(self, n: int, seed: str) -> list[Item]:
        """The training part of the file `all`; none without it."""
        items = self._shared.items if self._shared else []
        return [item for item in items if split_of(item.domain, item.core) == "train"]

    def score(self, prompts: Sequence[str], completions: Sequence[str], **columns: Sequence[Any]) -> Scores:
        """Not called: a suite of files names its scorers."""
        raise NotImplementedError


def load(path: Path, names: ColumnNames, domain: str) -> Loaded:
    """The items of a file, each core once per domain; `domain` is that of records that name none.

    Raises `FileUnreadable` or `FormatUnknown`.
    """
    rows = list(records(path))
    columns = {name: None for row in rows if not isinstance(row, Unreadable) for name in row}
    if not columns:
        reasons = Counter(row.reason for row in rows if isinstance(row, Unreadable))
        raise FileUnreadable(
            f"{path}: no record can be read ({_counts(reasons)}); see docs/guides/tasks.md for formats"
        )
    loaded = Loaded(path, [], detect(list(columns), names))
    keys = set()
    for row in rows:
        try:
            item = _item(row, loaded.columns, domain)
        except Unreadable as error:
            loaded.refused[error.reason] += 1
            continue
        if (item.domain, item.core) in keys:
            loaded.refused["duplicate"] += 1
            continue
        keys.add((item.domain, item.core))
        loaded.items.append(item)
    if not loaded.items:
        raise FileUnreadable(
            f"{path}: none of its {len(rows)} records makes an item ({_counts(loaded.refused)}); correct `columns`, or "
            "the records"
        )
    return loaded


def _item(row: Mapping[str, Any] | Unreadable, columns: ColumnNames, domain: str) -> Item:
    if isinstance(row, Unreadable):
        raise row
    fields = read(row, columns)
    if columns.answer and not fields.answer:
        raise Unreadable("no_answer")
    return Item(
        domain=fields.domain or domain,
        difficulty=0,
        wording=0,
        prompt=fields.prompt,
        answer=fields.answer,
        trace=fields.trace or fields.completion,
        core=core_of(fields.prompt, fields.asked),
        columns=fields.columns,
        messages=fields.asked,
    )


def part_of(item: Item, parts: int) -> int:
    """Which of several equal parts an item is in: SHA-256 of domain and core, in another order than `split_of`."""
    hashed = hashlib.sha256(f"{item.domain}\n{item.core}\nset".encode()).digest()
    return int.from_bytes(hashed[:8], "big") * parts >> 64


def _counts(reasons: Counter[str]) -> str:
    return ", ".join(f"{reason} {n}" for reason, n in reasons.most_common()) or "it is empty"
