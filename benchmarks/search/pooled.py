"""Work over all processor cores, one thread each: a campaign is a task, and results come in the order of the tasks."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def spread(work: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
    """The result of each task. Workers are started afresh, so that they read the number of threads."""
    os.environ.update(dict.fromkeys(THREADS, "1"))
    with multiprocessing.get_context("spawn").Pool(len(os.sched_getaffinity(0))) as pool:
        return pool.map(work, tasks, chunksize=max(1, min(20, len(tasks) // 16)))
