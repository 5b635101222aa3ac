"""What a campaign takes before any of it exists: memory per device, hours, money, target queries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import ceil

from schemas.campaign import Campaign
from schemas.recipe import Recipe
from schemas.sources import SelfSource
from sizing import memory, speed
from sizing.devices import Device
from sizing.memory import Memory
from sizing.shapes import Shapes
from sizing.speed import Assumptions, Measured
from sizing.traits import TraitsOf

MAX_DEVICES = 4096
"""Devices that a recipe can name."""

MARGIN = 1.5
"""A deadline that is suggested, as a multiple of the estimate."""


@dataclass(frozen=True)
class Deadline:
    """A deadline of the campaign beside the estimate of what it limits."""

    field: str
    """Path of the field."""
    value: float
    """Seconds that the campaign gives."""
    estimate: float
    """Seconds that it takes by estimate."""
    what: str
    """What takes so long, in words."""

    @property
    def exceeded(self) -> bool:
        """Whether the estimate is longer than the deadline."""
        return self.estimate > self.value

    @property
    def suggested(self) -> int:
        """The estimate with a margin, in whole minutes."""
        return 60 * ceil(MARGIN * self.estimate / 60)


@dataclass(frozen=True)
class PlannedModel:
    """A campaign's model, as a plan knows it without its weights."""

    shapes: Shapes
    source: str
    """Where the shapes come from, in words."""
    assumptions: Assumptions
    notes: tuple[str, ...] = ()
    """What the source does not state."""
    measured: Measured | None = None
    """What the assumptions come from, where they were measured."""


@dataclass(frozen=True)
class Plan:
    """A campaign on devices of one kind."""

    campaign: Campaign
    model: PlannedModel
    device: Device
    price: float
    """Dollars per device and hour."""
    traits: TraitsOf
    """The traits of a recipe's method and adapter form."""
    workers: int | None = None
    """Trainings at a time; None for one per core of a processor, and for all candidates on accelerators."""

    @property
    def recipe(self) -> Recipe:
        """The first recipe."""
        return self.campaign.recipe

    @cached_property
    def largest(self) -> Recipe:
        """Of all recipes that the search may propose, the one that needs most memory."""
        return self._worst(lambda recipe: self.memory(recipe).total)

    @cached_property
    def longest(self) -> Recipe:
        """Of all recipes that the search may propose, the one that takes most time."""
        return self._worst(self.training_hours)

    def _worst(self, cost: Callable[[Recipe], float]) -> Recipe:
        """Axis by axis: the cost of one knob grows with the costs of the others."""
        worst = self.recipe
        for axis in self.campaign.constitution.space:
            worst = max([worst, *(worst.replace(axis.knob, value) for value in axis.values)], key=cost)
        return worst

    def memory(self, recipe: Recipe) -> Memory:
        """Memory of the busiest device of a training."""
        length, half = self.campaign.model.max_length, self.device.half
        return memory.training(self.model.shapes, recipe, self.traits(recipe), length, half=half)

    def fits(self, recipe: Recipe) -> bool:
        """Whether a recipe's training fits its devices; the processes of a processor share its memory."""
        processes = recipe.devices if self.device.cores else 1
        return processes * self.memory(recipe).total <= self.device.usable

    def training_hours(self, recipe: Recipe) -> float:
        """Wall time of one training."""
        return speed.training_hours(self.model.shapes, recipe, self.traits(recipe), self.device, self.model.assumptions)

    def hours_of_items(self, items: float) -> float:
        """Wall time of generating an answer per item."""
        return items / speed.answers_per_second(self.model.shapes, self.device, self.model.assumptions) / speed.HOUR

    @property
    def replica(self) -> int:
        """Devices over which the oracle must spread the model."""
        return speed.replica(self.model.shapes, self.campaign.model.max_length, self.device)

    def items(self, kind: str) -> int:
        """Items of a sealed set; 0 for lists of tasks and targets outside, whose items are not known here."""
        law = self.campaign.constitution
        if kind in law.lists or (kind in ("external", "final") and law.target != "sealed"):
            return 0
        return int(self.campaign.item_set(kind).items) * len(law.domains_of(kind))  # type: ignore[arg-type]

    @property
    def queries(self) -> int:
        """Target queries, as far as the budget goes: one for the base, and those of the rounds."""
        law = self.campaign.constitution
        return min(law.budget.external_queries, 1 + law.rounds * law.budget.external_per_round)

    @property
    def at_a_time(self) -> int:
        """Trainings side by side."""
        cores = max(1, self.device.cores // self.recipe.devices)
        return self.workers or (cores if self.device.cores else self.campaign.constitution.candidates)

    def waves(self, jobs: int) -> int:
        """How often as many jobs as go side by side must end until these have."""
        return ceil(jobs / self.at_a_time)

    @property
    def slowest_hours(self) -> float:
        """Wall time from the proposals of a round to its last candidate's dev score, by the longest recipe."""
        one = self.training_hours(self.longest) + self.hours_of_items(self.items("dev"))
        return self.waves(self.campaign.constitution.candidates) * one

    @property
    def deadlines(self) -> tuple[Deadline, ...]:
        """The campaign's deadlines on work that is estimated here."""
        law = self.campaign.constitution
        budget, waves = law.budget, self.waves(law.candidates)
        waits = f" with its wait, as {self.at_a_time} of {law.candidates} train at a time" if waves > 1 else ""
        confirmed = self.waves(budget.confirm_per_round) * self.hours_of_items(self.items("confirm"))
        sampled = sum(
            source.prompts_per_round * source.samples
            for source in (law.data.sources if law.data else ())
            if isinstance(source, SelfSource)
        )
        estimates = {
            "candidate_seconds": (self.slowest_hours, f"the longest candidate takes {{}}{waits}"),
            "round_seconds": (self.slowest_hours + confirmed, "a round with its confirmations takes {}"),
        }
        if sampled:
            estimates["data_seconds"] = (
                self.hours_of_items(sampled),
                f"{sampled:,} answers of the source self take {{}}",
            )
        return tuple(
            Deadline(f"constitution.budget.{name}", getattr(budget, name), hours * speed.HOUR, what)
            for name, (hours, what) in estimates.items()
        )

    @property
    def round_hours(self) -> float:
        """Wall time of one round with the first recipe: candidates, confirmations and target items in their turns."""
        law = self.campaign.constitution
        measured = {"confirm": law.budget.confirm_per_round, "external": law.budget.external_per_round}
        sets = sum(self.waves(jobs) * self.hours_of_items(self.items(kind)) for kind, jobs in measured.items())
        return self.waves(law.candidates) * self.candidate_hours + sets

    @property
    def campaign_hours(self) -> float:
        """Wall time of the campaign: its rounds, the base's measurements, and the final one of base and winner."""
        outside = self.items("dev") + self.items("external") + self.waves(2) * self.items("final")
        return self.campaign.constitution.rounds * self.round_hours + self.hours_of_items(outside)

    @property
    def candidate_hours(self) -> float:
        """Wall time of one candidate: its training, and its dev items."""
        return self.training_hours(self.recipe) + self.hours_of_items(self.items("dev"))

    @property
    def candidate(self) -> float:
        """Device-hours of one candidate."""
        return self.recipe.devices * self.training_hours(self.recipe) + self._measuring(self.items("dev"))

    @property
    def round(self) -> float:
        """Device-hours of one round: candidates, confirmations, target measurements."""
        law = self.campaign.constitution
        confirmed = law.budget.confirm_per_round * self.items("confirm")
        queried = law.budget.external_per_round * self.items("external")
        return law.candidates * self.candidate + self._measuring(confirmed + queried)

    @property
    def whole(self) -> float:
        """Device-hours of the campaign: its rounds, the base's measurements, and the final one of base and winner.

        Where the budget runs out, later rounds query less.
        """
        law = self.campaign.constitution
        saved = 1 + law.rounds * law.budget.external_per_round - self.queries
        outside_rounds = self.items("dev") + 2 * self.items("final") + (1 - saved) * self.items("external")
        return law.rounds * self.round + self._measuring(outside_rounds)

    def _measuring(self, items: float) -> float:
        return self.replica * self.hours_of_items(items)

    def smallest(self) -> Recipe | None:
        """The largest recipe on the fewest devices that it fits, with activations kept or recomputed."""
        layouts = map(self._fewest, (self.largest, self.largest.replace("activations", "recomputed")))
        return min((layout for layout in layouts if layout), key=lambda recipe: recipe.devices, default=None)

    def _fewest(self, recipe: Recipe) -> Recipe | None:
        """The recipe on the fewest devices, sharded where it needs more than one and can be."""

        def on(devices: int) -> Recipe:
            return recipe.model_copy(update={"devices": devices, "sharding": "fsdp"})

        if self.fits(single := recipe.model_copy(update={"devices": 1, "sharding": "replicated"})):
            return single
        if self.device.cores or not self.traits(recipe).shardable or not self.fits(on(MAX_DEVICES)):
            return None
        low, high = 1, MAX_DEVICES
        while high - low > 1:  # memory per device falls with the number of devices
            middle = (low + high) // 2
            low, high = (low, middle) if self.fits(on(middle)) else (middle, high)
        return on(high)
