"""Work over all processor cores, one thread each: a campaign is a task, and results come in the order of the tasks."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from benchmarks.search.kept import NOWHERE, ResultStore

Task = TypeVar("Task")
Result = TypeVar("Result")

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def spread(work: Callable[[Task], Result], tasks: Sequence[Task], file: str = NOWHERE) -> list[Result]:
    """The result of each task, kept in `file`. Workers are started afresh, so that they read the number of threads."""
    os.environ.update(dict.fromkeys(THREADS, "1"))
    with ResultStore(file) as store:
        results_by_task = {at: store.find(work, task) for at, task in enumerate(tasks)}
        todo = [at for at, result in results_by_task.items() if result is None]
        with multiprocessing.get_context("spawn").Pool(len(os.sched_getaffinity(0))) as pool:
            results = pool.imap(work, [tasks[at] for at in todo], chunksize=max(1, min(20, len(todo) // 16)))
            for at, result in zip(todo, results, strict=True):
                store.add(work, tasks[at], result)
                results_by_task[at] = result
    return [results_by_task[at] for at in range(len(tasks))]
