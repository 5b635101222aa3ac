"""The suites of a measurement: opened once per job, sets drawn from them, answers scored by them.

The key is used here alone: a scorer gets items and answers, never the key, and code of a user runs in another process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from schemas.suites import AnySuite
from services.oracle import receipts
from services.oracle.job import EvaluationJob, SealedSet
from services.oracle.sets import Part, draw_parts
from services.runtime.places import places
from services.runtime.settings import Settings
from tasks.item import Item
from tasks.registry import open_rules
from tasks.scoring import Scoring
from tasks.suite import Places, Suite


@dataclass(frozen=True)
class Suites:
    """The opened suites of a campaign."""

    rules: Sequence[AnySuite]
    """Their parts of the campaign file."""
    opened: Mapping[str, tuple[Suite, Scoring]]
    """Suites and scorers by name."""

    def draw(self, item_set: SealedSet, domains: Sequence[str], key: bytes) -> list[Part]:
        """The items of a set by domain and suite, in the order in which they are asked. Raises `SetTooSmall`."""
        return draw_parts(self.rules, {name: suite for name, (suite, _) in self.opened.items()}, item_set, domains, key)

    def lines(self, parts: Sequence[Part], outputs: Sequence[str], key: bytes) -> list[receipts.Line]:
        """The receipt of a set's outputs, in its order. Raises `ScoreInvalid` or `UserCodeFailed`.

        Each suite's scorers are called once, with all of its answers.
        """
        of_item = [part.suite for part in parts for _ in part.items]
        items = [item for part in parts for item in part.items]
        lines: dict[int, receipts.Line] = {}
        for name in dict.fromkeys(of_item):
            places_ = [at for at, suite in enumerate(of_item) if suite == name]
            own, answers = [items[at] for at in places_], [outputs[at] for at in places_]
            judged = self.opened[name][1].items(own, answers)
            lines |= zip(places_, receipts.suite_lines(own, answers, judged, key), strict=True)
        return [lines[at] for at in range(len(items))]


def by_domain(parts: Sequence[Part]) -> dict[str, list[Item]]:
    """The items of a set by domain."""
    items: dict[str, list[Item]] = {}
    for part in parts:
        items.setdefault(part.domain, []).extend(part.items)
    return items


def open_suites(rules: Sequence[AnySuite], opened: Places) -> Suites:
    """The suites of these places. Raises `SuiteRefused` or `ItemsChanged`."""
    return Suites(rules, open_rules(rules, opened))


@contextmanager
def suites_of(job: EvaluationJob) -> Iterator[Suites | None]:
    """The suites of a job while it runs; None for a campaign of puzzles. Raises `SuiteRefused` or `ItemsChanged`."""
    if not job.suites:
        yield None
        return
    named = {"oracle_items": job.oracle_items, "task_path": job.task_path, "oracle_key_file": Path(job.key_file)}
    with places(Settings().model_copy(update=named)) as opened:
        yield open_suites(job.suites, opened)
