"""The checks of a harvested row in their order, and the variants made of a kept one.

    exact duplicate -> sealed sets -> verifier -> filters -> near-duplicate -> kept -> its variants, by the same checks

A row with a parent skips the near-duplicate check: variants of a row and sampled answers to a puzzle are alike by
design. In a campaign with suites the rows of a step are scored at once, before the first of them is judged, and a
variant, which has its parent's answer, is not scored again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from schemas.rows import Row
from schemas.sources import AnySource, Columns, DataRule, SelfSource
from services.data.collect.harvest import Harvest, Judged
from services.data.collect.near_duplicates import NearDuplicates
from services.data.collect.verify import scored, verified
from services.data.filters.filter import Dropped, Filter, judged
from services.data.filters.registry import make_filters
from services.data.sources.source import Step
from services.data.sources.suites import Suites, item_of

DUPLICATE = Dropped("duplicate", "exact")
NEAR = "near"
SEALED = "decontamination"

TEMPLATES = (
    "Question: {prompt}\nAnswer:",
    "Solve the following task.\n\n{prompt}",
    "{prompt}\nThink step by step, then give the answer.",
    "Here is a problem: {prompt}\nWhat is the answer?",
    "Please answer this question.\n{prompt}",
    "Q: {prompt}\nA:",
    "{prompt}\n\nWrite the final answer in a box.",
    "Work this out and box the result: {prompt}",
    "I need help with this: {prompt}",
    "Task\n----\n{prompt}",
    "Read carefully and answer.\n\n{prompt}\n\nYour answer:",
    "[problem] {prompt} [solution]",
    "Could you solve this for me? {prompt}",
    "Exercise. {prompt}",
    "{prompt}\nShow your work.",
    "Answer with the result in a box.\n{prompt}",
)
"""Frames around a question, for its variants."""


class Sealed(Protocol):
    """Recognises the texts of the sealed sets (`judgement.fingerprints.index`)."""

    def contaminated(self, row: Row) -> str | None:
        """The reason to drop a row; none if it shares nothing with them. Rows come in the order of their source."""


class Stages:
    """The checks of a campaign's rule, writing to a round's harvest."""

    def __init__(
        self,
        rule: DataRule,
        harvest: Harvest,
        near: NearDuplicates,
        sealed: Sealed | None,
        suites: Suites | None = None,
    ) -> None:
        self.harvest, self.near, self.sealed, self.variants = harvest, near, sealed, rule.variants
        self.suites, self._scores = suites, dict[int, float | None]()
        self.filters: Sequence[Filter] = make_filters(rule.filters)

    def recall(self, spec: AnySource) -> None:
        """Show the sealed sets a source's last row before a crash: an item may be split over two rows."""
        if self.sealed and (last := self.harvest.last(spec.name)):
            self.sealed.contaminated(last)

    def take(self, spec: AnySource, step: Step) -> None:
        """Store a step in one transaction: verdicts on its rows, their variants, and the source's state."""
        harvest = self.harvest
        self._scores = self._scored(spec, step.rows)
        with harvest.transaction():
            for source_row in step.rows:
                for row, verdict in self._judge(spec, source_row):
                    harvest.drop(spec.name, row, verdict) if isinstance(verdict, Dropped) else harvest.keep(verdict)
                harvest.set_last(source_row)
            harvest.remember(spec.name, step.remember)
            harvest.skip(spec.name, step.skipped, step.examples)
            # Before the harvest's own commit: a row that is in the index alone comes again and is known as itself.
            self.near.commit()

    def _scored(self, spec: AnySource, rows: Sequence[Row]) -> dict[int, float | None]:
        """The scores of a step's rows with an answer by their suite, by the rows' identity; empty without suites.

        Raises `ScoreInvalid`, `UserCodeFailed`, `SuiteRefused`, or `ItemsChanged`.
        """
        if self.suites is None or not self._verifies(spec):
            return {}
        asked = [row for row in rows if row.answer and not self.harvest.has(row)]
        completions = [row.completion(traced=True) for row in asked]
        scores = self.suites.judge(spec, [item_of(row) for row in asked], completions)
        return {id(row): score for row, score in zip(asked, scores, strict=True)}

    @staticmethod
    def _verifies(spec: AnySource) -> bool:
        return not isinstance(spec, Columns) or spec.verifier != "none"

    def _judge(self, spec: AnySource, row: Row) -> Iterator[tuple[Row, Judged]]:
        """A source's row with its verdict, then each of its variants with its own."""
        verdict = self._verdict(spec, row, row)
        if isinstance(verdict, Row) and not verdict.parent:
            verdict = self._near(verdict)
        if isinstance(verdict, Row) and verdict.core != row.core and self.harvest.has(verdict):
            verdict = DUPLICATE  # without personal data it equals a row that was kept before a crash
        yield row, verdict
        if isinstance(verdict, Row):
            for variant in variants(verdict, self.variants):
                # The fingerprints follow a source from row to row, and a variant is not its source's next row.
                yield variant, self._verdict(spec, variant, replace(variant, source=f"{variant.source} variants"))

    def _verdict(self, spec: AnySource, row: Row, shown: Row) -> Judged:
        """The checks that rows and variants share; `shown` is the row that the fingerprints get."""
        contaminated = self.sealed.contaminated(shown) if self.sealed else None
        if self.harvest.has(row):
            return DUPLICATE
        if contaminated:
            return Dropped(SEALED, contaminated.replace(" ", "_"))
        if self._verifies(spec) and (wrong := self._wrong(row, sampled=isinstance(spec, SelfSource))):
            return wrong
        return judged(self.filters, row)

    def _wrong(self, row: Row, *, sampled: bool) -> Dropped | None:
        if self.suites is None:
            return verified(row, sampled=sampled)
        return scored(row, self._scores.get(id(row)), sampled=sampled) if row.answer else None

    def _near(self, row: Row) -> Judged:
        if (core := self.near.earliest_match(row)) is not None:
            return Dropped("duplicate", NEAR, core[:80])
        self.near.add(row)
        return row


def variants(row: Row, n: int) -> Iterator[Row]:
    """The first `n` rewordings of a row with a question and an answer, from templates; none of a conversation.

    The answer and the worked steps stay; a variant names its parent and shares its split and its place in the mix.
    """
    if not (row.prompt and row.answer) or row.messages:
        return
    for number, template in enumerate(TEMPLATES[:n], start=1):
        core = f"{row.core} #{number}"
        # The parent of a sampled answer is its puzzle, which decides the split, also of its variants.
        yield replace(row, prompt=template.format(prompt=row.prompt), core=core, parent=row.parent or row.core)


def index(folder: Path, harvest: Harvest, threshold: float) -> NearDuplicates:
    """The near-duplicate index of a harvest; a missing file is rebuilt from the rows of earlier rounds."""
    place, part = folder / "near.db", folder / "near.part"
    if not place.exists():
        for stale in folder.glob(f"{part.name}*"):
            stale.unlink()
        with NearDuplicates.open(part, threshold, round_=harvest.round - 1) as rebuilt_index:
            for row in harvest.rows():
                if not row.parent:
                    rebuilt_index.add(row)
            rebuilt_index.commit()
        part.rename(place)
    return NearDuplicates.open(place, threshold, round_=harvest.round)
