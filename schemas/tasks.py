"""Lists of tasks that lm-eval runs, by the names that it knows them by: as the target, or as a guard."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.base import Frozen, Grown, Name, Share

Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]*$", max_length=100)]
"""A name as lm-eval writes it."""


class TaskScore(Frozen):
    """One number of one task: the mean over its items of a metric within 0 and 1, the higher the better."""

    task: Word
    """Name of the task; a group is named by its tasks, one by one."""
    metric: Word
    """Metric, as `acc` or `exact_match`. One that is no mean over items, as perplexity, BLEU or F1, is refused."""
    filter: Word = "none"
    """The task's filter of outputs that the metric is taken after."""
    fewshot: int | None = Field(None, ge=0, le=100)
    """Solved examples before each question, in place of the task's own number."""

    @property
    def name(self) -> str:
        """How the score is called among those of its list."""
        return self.task.lower()


class TaskList(Grown):
    """Tasks whose scores weigh the same, whatever their numbers of items."""

    LATER = ("first",)

    tasks: tuple[TaskScore, ...] = Field(min_length=1)
    """What is measured."""
    include: str | None = Field(None, min_length=1)
    """Folder of task files besides lm-eval's own; paths of data in them are taken from this folder."""
    limit: int | None = Field(None, ge=1)
    """First items of each task; all where left out."""
    first: int = Field(0, ge=0)
    """Items of each task that are skipped before those."""

    @model_validator(mode="after")
    def _tasks_are_named_once(self) -> TaskList:
        _once(self.tasks)
        return self


class Guard(TaskList):
    """A suite of tasks on which a candidate may not fall below the base by more than a bound."""

    name: Name
    """What it guards, as `refusals` or `general`."""
    bound: Share
    """Largest allowed fall against the base, of the suite's mean: 0.05 is five points."""


class TaskTarget(TaskList):
    """The external score is the mean over a list of tasks, in place of the oracle's sealed external set."""

    kind: Literal["tasks"] = "tasks"
    """Which target this is."""
    final: tuple[TaskScore, ...] = ()
    """Tasks asked once at the end; the oracle's sealed final set where left out."""

    @model_validator(mode="after")
    def _final_tasks_are_named_once(self) -> TaskTarget:
        _once(self.final)
        return self


def _once(tasks: tuple[TaskScore, ...]) -> None:
    names = [task.name for task in tasks]
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(
            f"{doubled} is named {names.count(doubled)} times, small and capital letters alike; name it once"
        )
