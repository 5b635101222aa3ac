"""Tasks of reasoning-gym, each kept only where the task's own score function gives its answer full marks."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import reasoning_gym
from reasoning_gym.dataset import ProceduralDataset
from reasoning_gym.factory import DATASETS

from schemas.base import digest
from schemas.rows import Row
from schemas.sources import GymSource
from services.data.sources.batch import Batch
from services.data.sources.refusal import Refused
from services.data.sources.rows import Found, now, question, record_sha256
from services.data.sources.source import SourceFailed, State, Step

LICENCE = "Apache-2.0"
"""reasoning-gym's own, which its tasks are made by."""

MADE = 50
"""Tasks of one step: some take a second each."""


class Gym:
    """A source of generated tasks. State: by task, the round that made some last, and how many of its share."""

    def __init__(self, spec: GymSource, round_: int, seed: int) -> None:
        self.name = spec.name
        self._spec = spec
        self._round = round_
        self._seed = seed

    def harvest(self, state: State) -> Iterator[Step]:
        """The round's rows, shared out evenly. Raises `SourceFailed` for a task that does not exist."""
        for task in self._spec.tasks:
            if task not in DATASETS:
                near = difflib.get_close_matches(task, DATASETS, n=3)
                hint = f"did you mean {', '.join(near)}?" if near else "reasoning_gym.factory.DATASETS lists them"
                raise SourceFailed(
                    f"data.sources: {self.name}: tasks names {task!r}, which reasoning-gym has not; {hint}"
                )
        share, rest = divmod(self._spec.rows_per_round, len(self._spec.tasks))
        for i, task in enumerate(self._spec.tasks):
            yield from self._task(task, share + (i < rest), state.get(task, {}))

    def _task(self, task: str, rows: int, known: Mapping[str, Any]) -> Iterator[Step]:
        done = known["made"] if known.get("round") == self._round else 0
        seed = int(digest([self._seed, self._round, task])[:8], 16)
        batch = Batch()
        try:
            tasks = reasoning_gym.create_dataset(task, seed=seed, size=rows)
        except (AssertionError, TypeError, ValueError):  # it cannot be made without settings of its own
            if done < rows:
                yield Step(remember={task: {"round": self._round, "made": rows}}, skipped={"needs_settings": rows})
            return
        for i in range(done, rows):
            self._take(batch, task, seed, i, tasks)
            if (i + 1) % MADE == 0 or i + 1 == rows:
                yield batch.step({task: {"round": self._round, "made": i + 1}})

    def _take(self, batch: Batch, task: str, seed: int, i: int, tasks: ProceduralDataset) -> None:
        try:
            batch.add(self._row(tasks[i], tasks, f"reasoning-gym-{version('reasoning-gym')}:{task}/{seed}/{i}"))
        except Refused as refusal:
            batch.skip(refusal.reason)

    def _row(self, entry: Mapping[str, Any], tasks: ProceduralDataset, uri: str) -> Row:
        stated = entry["answer"]
        if not isinstance(stated, str):
            raise Refused("no_answer")
        if tasks.score_answer(answer=stated, entry=entry) < 1.0:
            raise Refused("unverified")
        said = {"question": entry["question"], "answer": stated}
        return question(self._spec, entry["question"], stated, "", Found(uri, record_sha256(said), now(), LICENCE))
