"""Measurements in processes of their own, several at a time, as the oracle's workers carry them out."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from services.oracle.evaluate import evaluate
from services.oracle.job import EvaluationJob


@dataclass(frozen=True)
class Answers:
    """What one model answered."""

    outputs: list[str]
    score: float
    engine: str
    precision: str


def measured(job: EvaluationJob) -> Answers:
    """The answers to the job's one sealed set."""
    (taken,) = evaluate(job, lambda _: None).measured
    outputs = [json.loads(line)["output"] for line in Path(taken.receipt.uri).read_text().splitlines()]
    return Answers(outputs, taken.scores.score, taken.stamp.engine, taken.stamp.precision)


def measured_at_once(jobs: Sequence[EvaluationJob], at_once: int) -> list[Answers]:
    """The answers of several jobs, in their order."""
    with ProcessPoolExecutor(at_once, multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(measured, jobs))


def different(ours: Answers, theirs: Answers) -> int:
    """Answers that differ."""
    return sum(one != other for one, other in zip(ours.outputs, theirs.outputs, strict=True))
