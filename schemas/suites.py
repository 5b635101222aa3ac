"""Suites: whose items a model is measured on, and how its answers are scored.

A campaign without suites is measured on the six puzzle families. Code of a user is named here, never included: it is a
file in a folder of `AEVOLVE_TASK_PATH`, and its hash is recorded when the campaign starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, Tag, model_validator
from pydantic.json_schema import SkipJsonSchema

from schemas.base import Frozen, Grown, Name, Sha256
from schemas.plugins import by_kind, kinds_of
from schemas.scores import Kind
from schemas.tasks import TaskScore

SETS: Mapping[Kind, str] = {"dev": "dev", "confirm": "confirm", "external": "target", "final": "final"}
"""The key of each evaluation set in a suite."""

FileName = Annotated[str, Field(min_length=1, max_length=1000)]
"""A file or folder, relative to the campaign file's folder or to a folder of `AEVOLVE_ORACLE_ITEMS`."""

Option = bool | int | float | str | tuple[bool | int | float | str, ...]
Options = dict[str, Option]
"""Settings of a scorer or suite, by name."""


class ScorerRule(Frozen):
    """One scorer of a suite: a name such as `numeric`, or `FILE.py:function` or `package:attribute` of a user.

    Any further key in a campaign file is an option of the scorer, as `tolerance` of `numeric`.
    """

    kind: str = Field(min_length=1, max_length=300)
    """A scorer of this project (`docs/guides/tasks.md`), an entry point of `aevolve.scorers`, or a user's function."""
    weight: float = Field(1.0, gt=0.0)
    """Its weight in the item's score; the weights of a suite are divided by their sum."""
    options: Options = Field(default_factory=dict)
    """Its options."""
    sha256: Sha256 | None = None
    """Hash of a user's code; written at the start, not in a campaign file."""

    @property
    def user_code(self) -> bool:
        """Whether it is a function in a user's file or package."""
        return ":" in self.kind

    @model_validator(mode="before")
    @classmethod
    def _name_and_options(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"kind": value}
        if not isinstance(value, dict):
            return value
        fields = {key: part for key, part in value.items() if key in cls.model_fields}
        more = {key: part for key, part in value.items() if key not in cls.model_fields}
        return {**fields, "options": {**fields.get("options", {}), **more}} if more else fields


class SuitePin(Frozen):
    """What a suite held when the campaign started."""

    sha256: Sha256
    """Hash of its items and settings: other items are not measured."""
    sets: dict[Kind, dict[Name, int]]
    """Items per domain of each set, or 0 where the suite generates as many as are asked."""
    train: dict[Name, int] = Field(default_factory=dict)
    """Training rows per domain, or 0 where it generates them; empty where it has none."""


class Suite(Grown):
    """Fields of every suite."""

    LATER = ("pin",)

    name: Name
    """Its name; the domain of items that name none."""
    score: tuple[ScorerRule, ...] = ()
    """How answers are scored; several are added by weight."""
    pin: SuitePin | None = None
    """What it held at the start; written at the start, not in a campaign file."""

    @model_validator(mode="before")
    @classmethod
    def _one_scorer_is_a_list(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("score"), (str, dict)):
            return {**value, "score": [value["score"]]}
        return value


class ColumnNames(Frozen):
    """Names of the columns of a record; those left out are detected (`docs/guides/tasks.md`)."""

    prompt: str | None = None
    """The question."""
    answer: str | None = None
    """The right answer, which the scorers get."""
    trace: str | None = None
    """Worked steps."""
    completion: str | None = None
    """The text that is taught as it stands."""
    messages: str | None = None
    """A conversation; the loss is on the assistant's turns, and evaluation asks for the last one."""
    chosen: str | None = None
    """The preferred answer of a preference pair."""
    rejected: str | None = None
    """The other answer of the pair."""
    domain: str | None = None
    """The domain's name; the suite's or source's own name where left out."""
    answer_pattern: str | None = None
    """Regular expression that cuts the answer out of its column: the last match's first group, or whole match."""

    @property
    def named(self) -> dict[str, str]:
        """The columns that are given, by role."""
        return {role: name for role, name in self.model_dump().items() if name and role != "answer_pattern"}


class FilesSuite(Suite):
    """Items of the user's files: JSONL, JSON, CSV, Parquet, or a folder of `datasets`."""

    kind: Literal["files"] = "files"
    """Kind of the suite."""
    all: FileName | None = None
    """One file of training rows and evaluation items, divided by hash: six tenths train, one for each set."""
    eval: FileName | None = None
    """One file of evaluation items, divided by hash into equal parts for the sets without a file of their own."""
    dev: FileName | None = None
    """Items of dev; those of confirm are taken from it, too, where it has no file."""
    confirm: FileName | None = None
    """Items of confirm."""
    target: FileName | None = None
    """Items of the target; those of final are taken from it, too, where it has no file."""
    final: FileName | None = None
    """Items of final."""
    columns: ColumnNames = ColumnNames()
    """Names of the columns."""
    overlap: Literal["refuse", "drop"] = "refuse"
    """What happens to training rows that are evaluation items: the campaign is refused, or the rows are dropped."""


class PythonSuite(Suite):
    """Items and scores of a user's module: `rows(split, seed, n)` and `score(prompts, completions, **columns)`."""

    kind: Literal["python"] = "python"
    """Kind of the suite."""
    file: FileName
    """The module's file, in a folder of `AEVOLVE_TASK_PATH`."""
    domains: tuple[Name, ...] = ()
    """Domains of its items; the suite's name where left out."""
    options: Options = Field(default_factory=dict)
    """Further arguments of `rows`."""


class GymTask(Frozen):
    """One data set of reasoning-gym, a domain of its own."""

    task: Name
    """Its name in reasoning-gym."""
    settings: Options = Field(default_factory=dict)
    """Settings of its generator in all sets."""
    target: Options = Field(default_factory=dict)
    """Further settings in the target and final sets, which may thus be harder or wider."""

    @model_validator(mode="before")
    @classmethod
    def _a_name_is_a_task(cls, value: Any) -> Any:
        return {"task": value} if isinstance(value, str) else value


class GymSuite(Suite):
    """Tasks of reasoning-gym, generated and scored by it."""

    kind: Literal["gym"] = "gym"
    """Kind of the suite."""
    tasks: tuple[GymTask, ...] = Field(min_length=1)
    """Its data sets."""
    answer: str = "auto"
    """Which part of an output is the answer: `auto`, `whole`, `boxed`, `last_line` or a regular expression."""


class HarnessSuite(Suite):
    """Lists of lm-eval tasks in place of items: each set is measured as lm-eval does, a task being a domain."""

    kind: Literal["harness"] = "harness"
    """Kind of the suite."""
    dev: tuple[TaskScore, ...] = ()
    """Tasks of dev; `evaluation.dev.items` are the first items of each."""
    confirm: tuple[TaskScore, ...] = ()
    """Tasks of confirm; dev's with the items after dev's where left out."""
    target: tuple[TaskScore, ...] = ()
    """Tasks of the target."""
    final: tuple[TaskScore, ...] = ()
    """Tasks of final."""
    include: str | None = Field(None, min_length=1)
    """Folder of task files besides lm-eval's own."""


class VerifiersSuite(Suite):
    """Single-turn tasks of a `verifiers` taskset, scored by its rewards in a process of its own."""

    kind: Literal["verifiers"] = "verifiers"
    """Kind of the suite."""
    taskset: str = Field(min_length=1, max_length=300)
    """The taskset: `package:attribute`, or `FILE.py:attribute` in a folder of `AEVOLVE_TASK_PATH`."""
    options: Options = Field(default_factory=dict)
    """Arguments of the taskset."""


class PuzzlesSuite(Suite):
    """The six puzzle families, beside other suites."""

    kind: Literal["puzzles"] = "puzzles"
    """Kind of the suite."""
    domains: tuple[Name, ...] = Field(min_length=1)
    """Families."""


class PluginSuite(Suite):
    """A suite whose kind another installed package registers, under the entry-point group `aevolve.suites`."""

    kind: Name = "plugin"
    """Name of the entry point."""
    options: Options = Field(default_factory=dict)
    """Settings of the suite, as its package defines them."""


BUILT_IN = (FilesSuite, PythonSuite, GymSuite, HarnessSuite, VerifiersSuite, PuzzlesSuite)
KINDS = kinds_of(BUILT_IN)
"""Kinds of this package's own suites."""

AnySuite = Annotated[
    Annotated[FilesSuite, Tag("files")]
    | Annotated[PythonSuite, Tag("python")]
    | Annotated[GymSuite, Tag("gym")]
    | Annotated[HarnessSuite, Tag("harness")]
    | Annotated[VerifiersSuite, Tag("verifiers")]
    | Annotated[PuzzlesSuite, Tag("puzzles")]
    | Annotated[SkipJsonSchema[PluginSuite], Tag("plugin")],
    by_kind("suite", Suite, BUILT_IN),
]
"""A suite of a campaign file, by its `kind`. The published JSON schema lists this package's own kinds only."""
