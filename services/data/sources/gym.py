"""Tasks of reasoning-gym; a row is kept only if the task's own score function gives its answer full marks."""

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
from services.data.sources.rows import Provenance, now, question, record_sha256
from services.data.sources.source import Batch, Refused, RoundContext, SourceFailed, State, Step, skipped

LICENCE = "Apache-2.0"
"""Licence of reasoning-gym, which generates the tasks."""

STEP_TASKS = 50
"""Tasks of one step: some take a second each."""


class Gym:
    """A source of generated tasks. State: by task, the last round that generated some, and how many of its share."""

    def __init__(self, spec: GymSource, context: RoundContext) -> None:
        self.name = spec.name
        self._spec = spec
        self._round = context.round
        self._seed = context.seed

    def harvest(self, state: State) -> Iterator[Step]:
        """The round's rows, split evenly over the tasks. Raises `SourceFailed` for an unknown task."""
        for task in self._spec.tasks:
            if task not in DATASETS:
                near = difflib.get_close_matches(task, DATASETS, n=3)
                hint = f"did you mean {', '.join(near)}?" if near else "reasoning_gym.factory.DATASETS lists them"
                raise SourceFailed(f"data.sources: {self.name}: tasks: reasoning-gym has no {task!r}; {hint}")
        share, rest = divmod(self._spec.rows_per_round, len(self._spec.tasks))
        for i, task in enumerate(self._spec.tasks):
            yield from self._task(task, share + (i < rest), state.get(task, {}))

    def _task(self, task: str, rows: int, last: Mapping[str, Any]) -> Iterator[Step]:
        done = last["made"] if last.get("round") == self._round else 0
        seed = int(digest([self._seed, self._round, task])[:8], 16)
        batch = Batch()
        try:
            tasks = reasoning_gym.create_dataset(task, seed=seed, size=rows)
        except (AssertionError, TypeError, ValueError):  # the task needs settings of its own
            if done < rows:
                yield skipped("needs_settings", task, {task: {"round": self._round, "made": rows}}, count=rows)
            return
        for i in range(done, rows):
            uri = f"reasoning-gym-{version('reasoning-gym')}:{task}/{seed}/{i}"
            try:
                batch.add(self._row(tasks[i], tasks, uri))
            except Refused as refusal:
                batch.skip(refusal.reason, uri, tasks[i])
            if (i + 1) % STEP_TASKS == 0 or i + 1 == rows:
                yield batch.step({task: {"round": self._round, "made": i + 1}})

    def _row(self, entry: Mapping[str, Any], tasks: ProceduralDataset, uri: str) -> Row:
        prompt, answer = entry["question"], entry["answer"]
        if not isinstance(answer, str):
            raise Refused("no_answer")
        if tasks.score_answer(answer=answer, entry=entry) < 1.0:
            raise Refused("unverified")
        record = record_sha256({"question": prompt, "answer": answer})
        return question(self._spec, prompt, answer, "", Provenance(uri, record, now(), LICENCE))
