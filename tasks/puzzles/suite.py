"""The puzzle families as a suite: generated for every set, judged by the challenge's scorer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas.base import digest
from schemas.campaign import ItemSet
from schemas.scores import Kind
from schemas.suites import SETS, PuzzlesSuite, SuitePin
from tasks.item import Item
from tasks.puzzles.draw import FAMILIES, draw
from tasks.puzzles.scorer import correct
from tasks.suite import Places, Scores, SuiteRefused


class Puzzles:
    """An opened suite of puzzles."""

    def __init__(self, rule: PuzzlesSuite, places: Places) -> None:
        self.name, self._domains = rule.name, rule.domains
        for domain in rule.domains:
            if domain not in FAMILIES:
                raise SuiteRefused(f"suites.{rule.name}.domains: {domain!r} is no family; use {', '.join(FAMILIES)}")

    def pin(self) -> SuitePin:
        """The families; their code is covered by `code_sha256`."""
        sizes = dict.fromkeys(self._domains, 0)
        return SuitePin(sha256=digest({"puzzles": self._domains}), sets=dict.fromkeys(SETS, sizes), train=sizes)

    def pool(self, kind: Kind, domain: str) -> None:
        """None: puzzles are generated."""

    def generate(self, kind: Kind, domain: str, spec: ItemSet, seed: str) -> list[Item]:
        """Puzzles of the kind's split."""
        return draw(domain, spec.items, difficulty=spec.difficulty, wordings=spec.wordings, split=kind, seed=seed)

    def training(self, n: int, seed: str) -> list[Item]:
        """Puzzles of the train split, of all levels and wordings alike, the same number of each family."""
        share = -(-n // len(self._domains))
        even = {"difficulty": (1.0, 1.0, 1.0), "wordings": (1.0, 1.0, 1.0)}
        items = [draw(domain, share, split="train", seed=f"{seed}/{domain}", **even) for domain in self._domains]
        return [item for batch in zip(*items, strict=True) for item in batch][:n]

    def score(self, prompts: Sequence[str], completions: Sequence[str], **columns: Sequence[Any]) -> Scores:
        """1 where the challenge's scorer accepts the answer, else 0."""
        triples = zip(prompts, completions, columns["answer"], strict=True)
        return [float(correct(*triple)) for triple in triples]
