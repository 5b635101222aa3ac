"""A campaign is what a person starts: a model, a constitution the loop may never change, and a first recipe."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from schemas.advisor import AdvisorRule
from schemas.base import Frozen, Grown, Name, Sha256, Share, digest
from schemas.policy import WarmStart
from schemas.profiles import PROFILES, ProfileName
from schemas.prompts import PROFILE_PROMPTS, Prompt
from schemas.recipe import Recipe, Value, Weight
from schemas.scores import Kind
from schemas.sources import DataRule
from schemas.suites import SETS, AnySuite, HarnessSuite
from schemas.targets import Outside, Target
from schemas.tasks import Guard, TaskList, TaskScore, TaskTarget

DOMAINS = ("bits", "cipher", "roman", "units", "gravity", "equations")
"""The six families of the Nemotron Reasoning Challenge, in the order in which they are always reported."""

Seconds = Annotated[float, Field(gt=0)]


class Model(Grown):
    """The base checkpoint that every candidate starts from, and how it is asked."""

    LATER = ("profile", "prompt", "revision")

    base: str = "tiny"
    """`tiny` for the model that is made locally, the folder of a Hugging Face causal language model, or its id on the
    hub (`aevolve fetch` brings it to this machine)."""
    revision: str | None = Field(None, pattern=r"^[\w./-]{1,100}$")
    """Revision of a model of the hub: a commit, tag or branch; none for its main branch."""
    max_length: int = Field(256, ge=32, le=1_048_576)
    """Tokens of prompt and completion together."""
    max_new_tokens: int = Field(96, ge=1, le=131_072)
    """Tokens that an answer may take in evaluation."""
    profile: ProfileName = "plain"
    """How the model is asked, in training and evaluation: a line of text, or the challenge's own settings
    (`docs/guides/measuring.md`), which also give the two lengths above where they are left out."""
    prompt: Prompt | None = None
    """The form of the question in place of the profile's."""

    @property
    def form(self) -> Prompt:
        """The form of the question: `prompt`, or the profile's."""
        return self.prompt or PROFILE_PROMPTS[self.profile]

    @model_validator(mode="before")
    @classmethod
    def _lengths_of_the_profile(cls, values: Any) -> Any:
        named = PROFILES.get(values.get("profile", "plain")) if isinstance(values, dict) else None
        if named is None or not named.chat:
            return values
        return {"max_length": named.max_length, "max_new_tokens": named.max_new_tokens, **values}


class ItemSet(Frozen):
    """The distribution and size of one evaluation set."""

    items: int = Field(ge=1, le=100_000)
    """Items per domain."""
    difficulty: tuple[Weight, ...] = (1.0, 0.0, 0.0)
    """Weights of the difficulty levels 1, 2, 3."""
    wordings: tuple[Weight, ...] = (1.0, 0.0, 0.0)
    """Weights of the wordings 0, 1, 2."""


class Evaluation(Frozen):
    """The four sealed sets; train is the data service's.

    Confirm is drawn as dev, final as external, both from items of their own; each confirmation draws fresh items.
    """

    dev: ItemSet
    """The cheap proxy: every candidate, every round."""
    confirm: ItemSet
    """Re-measures the chosen before they count."""
    external: ItemSet
    """The target, behind the budget."""
    final: ItemSet
    """Asked once at the end, for the base and for the winner."""


class Budget(Frozen):
    """What the campaign may spend, and how long it waits."""

    external_queries: int = Field(ge=0, le=10_000)
    """External queries in the whole campaign, the base's included."""
    external_per_round: int = Field(2, ge=0, le=1_000)
    """External queries in one round."""
    confirm_per_round: int = Field(2, ge=0, le=1_000)
    """Candidates that a round may re-measure on fresh items."""
    attempts: int = Field(2, ge=1, le=20)
    """Tries of one training or evaluation job before it counts as failed."""
    data_seconds: Seconds = 300.0
    """Deadline of a round's data; after it the last snapshot is used again."""
    candidate_seconds: Seconds = 1800.0
    """Deadline of one candidate from its proposal to its dev score."""
    round_seconds: Seconds = 7200.0
    """Deadline of a round from its proposals to the choice of submissions."""
    board_seconds: Seconds = 3600.0
    """How long a round waits for the external target; a later score counts in the next round."""


class Axis(Frozen):
    """One direction of the search: a knob and the values it may take."""

    knob: str = Field(pattern=r"^[a-z_]+(\.[a-z0-9_-]+)?$")
    """Path of the knob in the recipe."""
    values: tuple[Value, ...] = Field(min_length=2)
    """The values, in their natural order."""
    scale: Literal["linear", "log", "choice"] = "choice"
    """How distance between values is measured: linear and log need numbers, log positive ones."""

    @model_validator(mode="after")
    def _values_have_the_scale(self) -> Axis:
        if self.scale != "choice":
            for value in self.values:
                if not isinstance(value, (int, float)) or (self.scale == "log" and value <= 0):
                    number = "a number above 0" if self.scale == "log" else "a number"
                    raise ValueError(f"{self.knob}: scale {self.scale} needs {number}, not {value!r}; or say choice")
        return self


class NullRun(Frozen):
    """Campaigns of the same size without drift, simulated before the start: how often the test would have alarmed."""

    campaigns: int = Field(ge=1)
    """Campaigns simulated."""
    alarms: int = Field(ge=0)
    """How many of them alarmed at the threshold."""
    upper: Share
    """Upper end of the exact 95 % interval of the rate."""


class DriftRule(Grown):
    """Acceptance thresholds of the drift test, fixed before any result exists (design rule 7)."""

    LATER = ("false_alarms", "null")

    threshold: float = Field(10.0, gt=1.0)
    """Bayes factor of drift against no drift at which `DriftDetected` is said."""
    clear: float = Field(1.0, gt=0.0)
    """Bayes factor below which an assessment counts towards `DriftCleared`."""
    clear_rounds: int = Field(2, ge=1)
    """Assessments in a row below `clear` that clear a drift."""
    false_alarms: float | None = Field(None, gt=0.0, lt=0.5)
    """Share of campaigns without drift that may alarm: the threshold is raised to hold it, by simulation at the start.
    None: the threshold stands as it is given."""
    null: NullRun | None = None
    """What that simulation found; written at the start, not in a campaign file."""


class Constitution(Grown):
    """What the loop may never change. Its hash stands in `CampaignStarted`."""

    LATER = ("search", "price", "run_code", "guards", "advisor", "data", "suites")

    domains: tuple[Name, ...] = DOMAINS
    """Domains that dev measures, in reporting order; those of the suites where left out."""
    suites: tuple[AnySuite, ...] = ()
    """Whose items the model is measured on (`docs/guides/tasks.md`); the puzzle families where left out."""
    target: Target = "sealed"
    """Where external scores come from: the oracle's own sealed held-out set, a list of tasks
    (`docs/guides/measuring.md`), or a target outside (`docs/guides/boards.md`)."""
    rounds: int = Field(4, ge=1, le=1_000)
    """Rounds of the campaign."""
    candidates: int = Field(4, ge=2, le=1_000)
    """Candidates per round, the anchor included."""
    max_changes: int = Field(1, ge=1, le=16)
    """Named changes of one candidate against the standing recipe; 1 is strict attribution."""
    evaluation: Evaluation
    """The sealed sets."""
    budget: Budget
    """Spending and deadlines."""
    space: tuple[Axis, ...] = Field(min_length=1)
    """The axes of the search and their bounds."""
    drift: DriftRule = DriftRule()
    """Thresholds of the drift test."""
    search: Name = "trust"
    """Name of the search policy: `trust`, the baselines `dev_greedy` and `random`, or one of an installed package
    (entry point group `aevolve.search_policies`)."""
    advisor: AdvisorRule | None = None
    """A language model that may propose and explain; none unless the campaign says so."""
    price: float = Field(0.0, ge=0.0)
    """Gain of the target, in accuracy, that a training of the first recipe's cost must bring to be worth it; a dearer
    recipe must bring as much more. 0: only the gain counts. Cost is tokens times active parameters."""
    run_code: bool = False
    """Whether tasks may run code written by a model, in the sandbox."""
    guards: tuple[Guard, ...] = ()
    """Suites of tasks on which nobody who is promoted may have fallen below the base by more than a bound."""
    data: DataRule | None = None
    """Training data collected besides the puzzles, and what is kept of it; none unless the campaign says so."""
    promotion: float = Field(0.8, gt=0.5, lt=1.0)
    """Posterior probability of a better target at which a candidate's recipe becomes the standing one."""

    @property
    def training_domains(self) -> tuple[str, ...]:
        """Domains that a recipe may mix: those of generated puzzles, then those of the campaign's sources."""
        collected = self.data.domains if self.data else ()
        return tuple(dict.fromkeys((*self.puzzle_domains, *collected)))

    @property
    def puzzle_domains(self) -> tuple[str, ...]:
        """Domains whose training puzzles are generated; none for a campaign of suites, which trains on its sources."""
        return () if self.suites else self.domains

    def values(self, knob: str) -> tuple[Value, ...]:
        """What the search may set a knob to; nothing where it has no axis."""
        return next((axis.values for axis in self.space if axis.knob == knob), ())

    def domains_of(self, kind: Kind) -> tuple[str, ...]:
        """Domains of a set: the names of its tasks where a list stands in for it, else those of its items."""
        if kind in self.lists:
            return tuple(score.name for score in self.lists[kind].tasks)
        if not self.suites:
            return self.domains
        pins = [suite.pin for suite in self.suites if suite.pin]
        return tuple(dict.fromkeys(domain for pin in pins for domain in pin.sets.get(kind, {})))

    @property
    def itemised_target(self) -> bool:
        """Whether target scores tell dev's domains apart, so that drift can be found in one of them."""
        return self.target == "sealed" and set(self.domains) <= set(self.domains_of("external"))

    @property
    def lists(self) -> dict[Kind, TaskList]:
        """The sets that lists of tasks stand in for, by kind; the others are sealed."""
        lists: dict[Kind, TaskList] = {}
        for suite in self.suites:
            if isinstance(suite, HarnessSuite):
                lists |= self._harness_lists(suite)
        if isinstance(self.target, TaskTarget):
            task_names: dict[Kind, tuple[TaskScore, ...]] = {
                "external": self.target.tasks,
                "final": self.target.final,
            }
            where = {"include": self.target.include, "limit": self.target.limit}
            lists |= {kind: TaskList(tasks=tasks, **where) for kind, tasks in task_names.items() if tasks}
        return lists

    def _harness_lists(self, suite: HarnessSuite) -> dict[Kind, TaskList]:
        """The lists of a suite: the first `items` of each task; without own tasks, confirm takes dev's next items."""
        lists: dict[Kind, TaskList] = {}
        for kind, key in SETS.items():
            tasks, first = getattr(suite, key), 0
            if kind == "confirm" and not tasks:
                tasks, first = suite.dev, self.evaluation.dev.items
            if tasks:
                limit = getattr(self.evaluation, kind).items
                lists[kind] = TaskList(tasks=tasks, include=suite.include, limit=limit, first=first)
        return lists

    @model_validator(mode="after")
    def _suites_are_named_once(self) -> Constitution:
        names = [suite.name for suite in self.suites]
        if doubled := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"suites: {doubled} is the name of {names.count(doubled)} suites; give each its own")
        return self

    @model_validator(mode="after")
    def _something_is_trained_on(self) -> Constitution:
        if not self.training_domains:
            raise ValueError("data: missing; a campaign of suites trains on its sources: give data.sources")
        return self

    @model_validator(mode="after")
    def _guards_are_named_once(self) -> Constitution:
        names = [guard.name for guard in self.guards]
        if doubled := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"guards: {doubled} is the name of {names.count(doubled)} guards; give each its own")
        return self

    @model_validator(mode="after")
    def _knobs_are_known(self) -> Constitution:
        for axis in self.space:
            for value in axis.values:
                _try(axis.knob, value, self.training_domains)
        return self


def _try(knob: str, value: Value, domains: tuple[str, ...]) -> None:
    """Raise unless a recipe can hold the value at the knob."""
    head, _, domain = knob.partition(".")
    if head not in Recipe.model_fields or (bool(domain) != (head in ("mix", "upsample"))):
        raise ValueError(f"space: knob {knob!r} is not in the recipe; knobs are {', '.join(Recipe.model_fields)}")
    if domain and domain not in domains:
        raise ValueError(f"space: knob {knob!r} names the domain {domain!r}; domains are {', '.join(domains)}")
    try:
        parsed = Recipe().replace(knob, value).get(knob)
    except ValidationError as error:
        raise ValueError(f"space: {knob} cannot be {value!r}: {error.errors()[0]['msg']}") from error
    if isinstance(value, str) and parsed != value:
        raise ValueError(f"space: {knob} cannot be {value!r}: it is text; write it as a number, such as {parsed!r}")


class Campaign(Grown):
    """One campaign file."""

    LATER = ("warm",)

    name: Name
    """Short name; each start makes a new campaign id from it."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Every choice of the loop is drawn from this seed."""
    test: bool = False
    """Whether `aevolve emit` may append events to it."""
    null_twin: bool = False
    """Whether external and final are distributed as dev; then the drift test must stay silent."""
    model: Model = Model()
    """The base model."""
    recipe: Recipe = Recipe()
    """The standing recipe of round 1."""
    constitution: Constitution
    """What the loop may never change."""
    warm: WarmStart | None = None
    """What an earlier campaign learned, as the search's prior; `aevolve start --warm-from` puts it here."""

    @model_validator(mode="after")
    def _target_fits(self) -> Campaign:
        law, target = self.constitution, self.constitution.target
        ranks = [self.recipe.rank, *(value for value in law.values("rank") if isinstance(value, int))]
        faults = []
        if (highest := max(ranks)) > (room := PROFILES[self.model.profile].max_rank):
            faults.append(
                f"rank: {highest} is above the {room} that model.profile {self.model.profile} gives "
                "room to; leave it out of recipe and space"
            )
        if self.null_twin and target != "sealed":
            faults.append(
                "null_twin: only sealed sets can be distributed as dev; say target: sealed, or leave null_twin out"
            )
        if isinstance(target, Outside):
            faults += target.mistakes(law.budget.external_queries, law.budget.board_seconds, ranks)
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def item_set(self, kind: Literal["dev", "confirm", "external", "final"]) -> ItemSet:
        """The distribution and size of a set, with the null twin applied."""
        item_set: ItemSet = getattr(self.constitution.evaluation, kind)
        if self.null_twin and kind in ("external", "final"):
            dev = self.constitution.evaluation.dev
            return item_set.model_copy(update={"difficulty": dev.difficulty, "wordings": dev.wordings})
        return item_set

    @property
    def constitution_sha256(self) -> str:
        """Hash of the constitution as recorded in `CampaignStarted`."""
        return digest(self.constitution)


class Substrate(Frozen):
    """Hashes of what no candidate may touch (design rule 1)."""

    base_sha256: Sha256
    """Hash over the files of the base checkpoint."""
    code_sha256: Sha256
    """Hash over the source of the data, training and evaluation code."""
    base_uri: str
    """Where the base checkpoint lies."""
    active_parameters: int = Field(ge=1)
    """Parameters used per token; the unit of cost is tokens times these."""
