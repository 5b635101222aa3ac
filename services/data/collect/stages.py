"""What becomes of a row that a source gives: every check in its order, and the variants that are made of what is kept.

    exact duplicate -> sealed sets -> verifier -> filters -> near-duplicate -> kept -> its variants, by the same checks

What has a parent is not compared with its likes: variants of a row and sampled answers to a puzzle are alike by design.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from schemas.rows import Row
from schemas.sources import AnySource, DataRule
from services.data.collect.augment import variants
from services.data.collect.harvest import Harvest, Judged
from services.data.collect.near_duplicates import NearDuplicates
from services.data.collect.verify import verified
from services.data.filters.filter import Dropped, Filter, judged
from services.data.filters.registry import make_filters
from services.data.sources.source import Step

DUPLICATE = Dropped("duplicate", "exact")
NEAR = "near"
SEALED = "decontamination"


class Sealed(Protocol):
    """What knows the texts of the sealed sets again (`judgement.fingerprints.index`)."""

    def contaminated(self, row: Row) -> str | None:
        """Why a row must go; none where it shares nothing with them. Rows come in the order of their source."""


class Stages:
    """The checks of one campaign's rule, in front of one round's harvest."""

    def __init__(self, rule: DataRule, harvest: Harvest, near: NearDuplicates, sealed: Sealed | None) -> None:
        self.harvest, self.near, self.sealed, self.variants = harvest, near, sealed, rule.variants
        self.filters: Sequence[Filter] = make_filters(rule.filters)

    def recall(self, spec: AnySource) -> None:
        """Show the sealed sets' fingerprints where a source was before a crash: an item may be split over two rows."""
        if self.sealed and (last := self.harvest.last(spec.name)):
            self.sealed.contaminated(last)

    def take(self, spec: AnySource, step: Step) -> None:
        """Write a step whole: its rows as they were judged, what was made of them, and what the source remembers."""
        harvest = self.harvest
        with harvest.transaction():
            for given in step.rows:
                for row, verdict in self._judge(spec, given):
                    harvest.drop(spec.name, row, verdict) if isinstance(verdict, Dropped) else harvest.keep(verdict)
                harvest.given(given)
            harvest.remember(spec.name, step.remember)
            harvest.skip(spec.name, step.skipped)
            self.near.commit()  # first: what is there and not yet in the harvest comes again and is known as itself

    def _judge(self, spec: AnySource, given: Row) -> Iterator[tuple[Row, Judged]]:
        """A source's row and its verdict, then the same of each of its variants."""
        verdict = self._verdict(spec, given, given)
        if isinstance(verdict, Row) and not verdict.parent:
            verdict = self._near(verdict)
        yield given, verdict
        if isinstance(verdict, Row):
            for variant in variants(verdict, self.variants):
                # Fingerprints follow a source from row to row; a variant is not what it gave next.
                yield variant, self._verdict(spec, variant, replace(variant, source=f"{variant.source} variants"))

    def _verdict(self, spec: AnySource, row: Row, shown: Row) -> Judged:
        """What holds for rows and variants alike; `shown` is what the fingerprints are shown."""
        contaminated = self.sealed.contaminated(shown) if self.sealed else None
        if self.harvest.has(row):
            return DUPLICATE
        if contaminated:
            return Dropped(SEALED, contaminated.replace(" ", "_"))
        if getattr(spec, "verifier", "stated") != "none" and (wrong := verified(row, sampled=spec.kind == "self")):
            return wrong
        return judged(self.filters, row)

    def _near(self, row: Row) -> Judged:
        if (core := self.near.seen(row)) is not None:
            return Dropped("duplicate", NEAR, core[:80])
        self.near.add(row)
        return row


def index(folder: Path, harvest: Harvest, threshold: float) -> NearDuplicates:
    """The near-duplicate index of a harvest; where its file is missing it is made from the rows of earlier rounds."""
    place, part = folder / "near.db", folder / "near.part"
    if not place.exists():
        for left in folder.glob(f"{part.name}*"):
            left.unlink()
        with NearDuplicates.open(part, threshold, round_=harvest.round - 1) as made:
            for row in harvest.rows():
                if not row.parent:
                    made.add(row)
            made.commit()
        part.rename(place)
    return NearDuplicates.open(place, threshold, round_=harvest.round)
