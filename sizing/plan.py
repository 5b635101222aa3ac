"""What a campaign takes before any of it exists: memory per device, hours, money, external queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from schemas.campaign import Campaign
from schemas.recipe import Recipe
from sizing import memory, speed
from sizing.devices import Device
from sizing.memory import Memory
from sizing.plan_model import Known

MOST = 4096
"""Devices that a recipe can name."""


@dataclass(frozen=True)
class Plan:
    """A campaign on devices of one kind."""

    campaign: Campaign
    known: Known
    device: Device
    price: float
    """Dollars per device and hour."""

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
        """The one that takes most time."""
        return self._worst(self.training_hours)

    def _worst(self, cost: Callable[[Recipe], float]) -> Recipe:
        """Axis by axis, since what one knob costs grows with what the others cost."""
        worst = self.recipe
        for axis in self.campaign.constitution.space:
            worst = max([worst, *(worst.replace(axis.knob, value) for value in axis.values)], key=cost)
        return worst

    def memory(self, recipe: Recipe) -> Memory:
        """Of the busiest device of a training."""
        return memory.training(self.known.shapes, recipe, self.campaign.model.max_length)

    def fits(self, recipe: Recipe) -> bool:
        """Whether a recipe's training fits its devices."""
        return self.memory(recipe).total <= self.device.usable

    def training_hours(self, recipe: Recipe) -> float:
        """Wall time of one training."""
        return speed.training_hours(self.known.shapes, recipe, self.device, self.known.assumed)

    def hours_of_items(self, items: float) -> float:
        """Wall time of measuring so many answers."""
        return items / speed.answers_per_second(self.known.shapes, self.device, self.known.assumed) / speed.HOUR

    @property
    def replica(self) -> int:
        """Devices that generate together, since the model does not fit fewer."""
        return speed.replica(self.known.shapes, self.campaign.model.max_length, self.device)

    def items(self, kind: str) -> int:
        """Items of a sealed set; of lists of tasks and of targets outside nothing is known here."""
        law = self.campaign.constitution
        if kind in law.lists or (kind in ("external", "final") and law.target != "sealed"):
            return 0
        return int(self.campaign.item_set(kind).items) * len(law.domains)  # type: ignore[arg-type]

    @property
    def queries(self) -> int:
        """External queries that will be asked: of the base, and in the rounds, as far as the budget goes."""
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
        """Device-hours of one round: candidates, confirmations, external measurements."""
        law = self.campaign.constitution
        confirmed = law.budget.confirm_per_round * self.items("confirm")
        asked = law.budget.external_per_round * self.items("external")
        return law.candidates * self.candidate + self._measuring(confirmed + asked)

    @property
    def whole(self) -> float:
        """Device-hours of the campaign: its rounds, the base's measurements, and the final one of base and winner.

        Where the budget runs out, later rounds ask less.
        """
        law = self.campaign.constitution
        saved = 1 + law.rounds * law.budget.external_per_round - self.queries
        apart = self.items("dev") + 2 * self.items("final") + (1 - saved) * self.items("external")
        return law.rounds * self.round + self._measuring(apart)

    def _measuring(self, items: float) -> float:
        return self.replica * self.hours_of_items(items)

    def smallest(self) -> Recipe | None:
        """The largest recipe on the fewest devices that it fits; activations are computed again where that helps."""
        found = [layout for layout in map(self._fewest, self._layouts()) if layout]
        return min(found, key=lambda recipe: recipe.devices, default=None)

    def _layouts(self) -> Iterator[Recipe]:
        yield self.largest
        yield self.largest.replace("activations", "recomputed")

    def _fewest(self, recipe: Recipe) -> Recipe | None:
        """On the fewest devices, sharded where more than one is needed; 4 bits cannot be sharded."""
        if self.fits(alone := recipe.model_copy(update={"devices": 1, "sharding": "replicated"})):
            return alone
        if recipe.adapter == "qlora":
            return None
        most = self._on(recipe, MOST)
        low, high = 1, MOST
        while high - low > 1:  # what a device needs falls with their number
            middle = (low + high) // 2
            low, high = (low, middle) if self.fits(self._on(recipe, middle)) else (middle, high)
        return self._on(recipe, high) if self.fits(most) else None

    @staticmethod
    def _on(recipe: Recipe, devices: int) -> Recipe:
        return recipe.model_copy(update={"devices": devices, "sharding": "fsdp"})
