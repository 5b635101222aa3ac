"""What a campaign takes before any of it exists: memory per device, hours, money, target queries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from schemas.campaign import Campaign
from schemas.recipe import Recipe
from sizing import memory, speed
from sizing.devices import Device
from sizing.memory import Memory
from sizing.shapes import Shapes
from sizing.speed import Assumptions
from sizing.traits import TraitsOf

MAX_DEVICES = 4096
"""Devices that a recipe can name."""


@dataclass(frozen=True)
class PlannedModel:
    """A campaign's model, as a plan knows it without its weights."""

    shapes: Shapes
    source: str
    """Where the shapes come from, in words."""
    assumptions: Assumptions
    notes: tuple[str, ...] = ()
    """What the source does not state."""


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
        return memory.training(self.model.shapes, recipe, self.traits(recipe), self.campaign.model.max_length)

    def fits(self, recipe: Recipe) -> bool:
        """Whether a recipe's training fits its devices."""
        return self.memory(recipe).total <= self.device.usable

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
        if not self.traits(recipe).shardable or not self.fits(on(MAX_DEVICES)):
            return None
        low, high = 1, MAX_DEVICES
        while high - low > 1:  # memory per device falls with the number of devices
            middle = (low + high) // 2
            low, high = (low, middle) if self.fits(on(middle)) else (middle, high)
        return on(high)
