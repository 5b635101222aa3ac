"""Each stage and all of them together, beside the bare libraries on the same pages: processor time, sides in turns."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from benchmarks.data import peers
from benchmarks.data.corpus import rows, sentences
from benchmarks.store.figures import Figure
from judgement.fingerprints.extract import Prints
from judgement.fingerprints.index import Fingerprints
from schemas.rows import Row
from schemas.sources import FilterRule
from services.data.collect.near_duplicates import NearDuplicates
from services.data.filters.filter import Dropped, Filter, judged
from services.data.filters.registry import make_filters
from tasks.puzzles.draw import FAMILIES, pose

RULE = FilterRule()
GOAL = 0.9
DOCUMENTS = 200
Side = Callable[[Sequence[Row]], int]
"""Runs over pages; how many are left."""


def measure(pages: int, repetitions: int) -> list[Figure]:
    """Documents and megabytes per second of processor time."""
    texts, page_rows = _sealed(), list(rows(1, pages))
    print(f"{pages} pages, {_megabytes(page_rows):.1f} MB; without what both sides drop first:")
    fingerprints = _fingerprints(texts)
    figures = []
    for name, ours, peer, against, goal in _stages(fingerprints, texts):
        mine, theirs, left = _in_turns(ours, peer, page_rows, repetitions)
        print(f"  {name}: {left[0]} of {pages} pages kept, {left[1]} by the peer")
        figures += _figures(name, mine, theirs, page_rows, against, goal)
    return figures


def _stages(fingerprints: Fingerprints, texts: list[str]) -> Iterator[tuple[str, Side, Side, str, float | None]]:
    filters = {one.name: one for one in make_filters(RULE)}
    quality = [filters[name] for name in RULE.quality]
    trove: list[Any] = [peers.Language(), *peers.quality(), peers.personal()]
    decontaminate = peers.Decontaminate(texts)
    yield "language", _filtered([filters["language"]]), _trove(trove[:1]), "datatrove, the same model", GOAL
    yield "quality", _filtered(quality), _trove(trove[1:-1]), "datatrove, the same tokenizer", GOAL
    yield "personal data", _filtered([filters["pii"]]), _trove(trove[-1:]), "datatrove: e-mail and IP alone", None
    yield "safety", _filtered([filters["safety"]]), _trove(trove[4:5]), "datatrove's C4 bad words", None
    yield "near-duplicates", _near, lambda pages: _count(peers.near(pages, 0.8)), "datasketch, in memory", GOAL
    yield "decontamination", _clean(fingerprints), _trove([decontaminate]), "datatrove, 12-grams", GOAL
    yield "end to end", _whole(fingerprints), _bare([*trove, decontaminate]), "datatrove, datasketch", GOAL


def _filtered(filters: Sequence[Filter]) -> Side:
    return lambda pages: sum(not isinstance(judged(filters, row), Dropped) for row in pages)


def _trove(steps: Sequence[Any]) -> Side:
    return lambda pages: _count(peers.run(steps, pages))


def _near(pages: Sequence[Row]) -> int:
    return _count(distinct(pages))


def distinct(pages: Iterable[Row]) -> Iterator[Row]:
    """Pages that are like no earlier one, by our index in a scratch file; written for good every thousand."""
    with (
        tempfile.TemporaryDirectory(prefix="aevolve-bench-") as place,
        NearDuplicates.open(Path(place) / "near.db", RULE.near_duplicate) as index,
    ):
        for number, row in enumerate(pages):
            if index.earliest_match(row) is None:
                index.add(row)
                yield row
            if number % 1_000 == 0:
                index.commit()
        index.commit()


def _clean(fingerprints: Fingerprints) -> Side:
    return lambda pages: sum(fingerprints.contaminated(row) is None for row in pages)


def passed(fingerprints: Fingerprints, pages: Iterable[Row]) -> Iterator[Row]:
    """Our stages: fingerprints, filters, near-duplicates."""
    filters = make_filters(RULE)
    verdicts = (judged(filters, row) for row in pages if fingerprints.contaminated(row) is None)
    return distinct(row for row in verdicts if not isinstance(row, Dropped))


def _whole(fingerprints: Fingerprints) -> Side:
    return lambda pages: _count(passed(fingerprints, pages))


def _bare(steps: Sequence[Any]) -> Side:
    return lambda pages: _count(peers.near(peers.run(steps, pages), RULE.near_duplicate))


def _in_turns(ours: Side, peer: Side, pages: Sequence[Row], repetitions: int) -> tuple[list[float], list[float], Any]:
    """Seconds of each side, alternating who is first, after a warm-up on some pages; and how many each kept."""
    for side in (ours, peer):
        side(list(islice(pages, 20)))
    mine: list[float] = []
    theirs: list[float] = []
    left = {}
    for turn in range(repetitions):
        for side, seconds in ((ours, mine), (peer, theirs))[:: -1 if turn % 2 else 1]:
            gc.collect()
            start = time.process_time()
            left[side] = side(pages)
            seconds.append(time.process_time() - start)
    return mine, theirs, (left[ours], left[peer])


def _figures(
    name: str, mine: list[float], theirs: list[float], pages: Sequence[Row], against: str, goal: float | None
) -> list[Figure]:
    sizes = {"documents/s": float(len(pages)), "MB/s": _megabytes(pages)}
    return [
        Figure(
            f"{name}, {unit}",
            unit,
            [size / s for s in mine],
            [size / s for s in theirs],
            against,
            at_least=goal if unit == "documents/s" else None,
            held_back=f"{_micros(mine, pages)} µs a page, of the peer {_micros(theirs, pages)}",
        )
        for unit, size in sizes.items()
    ]


def _sealed() -> list[str]:
    """Texts that stand for the sealed sets: puzzles of the dev split, and documents of random words."""
    rng, texts = Random(2), []
    for domain in FAMILIES:
        for one in pose(domain, 50, difficulty=(1, 1, 1), wordings=(1, 1, 1), split="dev", seed=3):
            texts.append(FAMILIES[domain].wordings[1].ask(one.problem))  # noqa: PERF401  # a line of its own
    words = [word for sentence in sentences()[:500] for word in sentence.split()]
    return texts + [" ".join(rng.choices(words, k=60)) for _ in range(DOCUMENTS)]


def _fingerprints(texts: list[str]) -> Fingerprints:
    """A file of the size of a campaign's: 1.2 million hashes."""
    prints = Prints()
    for text in texts[:-DOCUMENTS]:
        prints.item([text], "0")
    prints.documents([f"{at} {text}" for at, text in enumerate(texts[-DOCUMENTS:])])
    return prints.fingerprints(1, 100_000, Random(4))


def _micros(seconds: list[float], pages: Sequence[Row]) -> str:
    return f"{1e6 * median(seconds) / len(pages):.0f}"


def _megabytes(pages: Sequence[Row]) -> float:
    return sum(len(row.trace.encode()) for row in pages) / 1e6


def _count(pages: Iterable[Row]) -> int:
    return sum(1 for _ in pages)
