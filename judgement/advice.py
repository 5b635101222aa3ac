"""The advisor as pure functions of the history: when it is awaited, what it may propose, which proposals are accepted.

Nothing in its answer can break the constitution: a proposal that the search could not make itself is dropped, with a
verdict.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from judgement.basis import basis
from judgement.history import History
from schemas.advisor import Advice, AdviceWeighed, AdvisorAnswered, Verdict
from schemas.recipe import Change, Recipe, Value

Weighed = tuple[Verdict, Recipe | None]
"""The verdict on a proposal, and the recipe of an accepted one."""


def awaited(history: History) -> bool:
    """Whether the open round still waits for its advisor."""
    return history.campaign.constitution.advisor is not None and history.round not in history.advice


def open_changes(history: History) -> list[str]:
    """The changes that a proposal may name: all axis values except dead ends and the standing recipe's."""
    standing = history.policies[history.round].standing
    changes = _changes(history)
    return [name for name, c in changes.items() if standing.get(c.knob) != c.after and not _closed(history, c)]


def accepted_recipes(history: History) -> list[Recipe]:
    """The advisor's accepted recipes for the open round, at most as many as the constitution allows."""
    return [recipe for _, recipe in _weigh(history) if recipe]


def weighed_advice(history: History) -> tuple[AdviceWeighed, ...]:
    """The verdicts on the advisor's answer, recorded when the round is proposed; nothing without an answer."""
    if (answer := _answer(history)) is None:
        return ()
    verdicts = tuple(verdict for verdict, _ in _weigh(history))
    ground = basis(history, history.round, "propose", scored=history.round > 1)
    return (AdviceWeighed(round=history.round, answer=answer.answer, verdicts=verdicts, basis=ground),)


def _answer(history: History) -> AdvisorAnswered | None:
    reply = history.advice.get(history.round)
    return reply if isinstance(reply, AdvisorAnswered) else None


def _weigh(history: History) -> list[Weighed]:
    """Each proposal of the answer, in its order: its first fault, or its recipe."""
    answer, weighed = _answer(history), list[Weighed]()
    for advice in answer.proposals if answer else ():
        proposal = _Proposal(history, advice, [recipe for _, recipe in weighed if recipe])
        fault = next((verdict for verdict, wrong in FAULTS.items() if wrong(proposal)), None)
        weighed.append((fault, None) if fault else ("taken", proposal.recipe))
    return weighed


@dataclass(frozen=True)
class _Proposal:
    """One proposal, and the recipes accepted before it."""

    history: History
    advice: Advice
    accepted: list[Recipe]

    @property
    def changes(self) -> list[Change]:
        """Its changes of the standing recipe."""
        standing, allowed = self.history.policies[self.history.round].standing, _changes(self.history)
        named = [allowed[name] for name in dict.fromkeys(self.advice.changes)]
        return [change for change in named if standing.get(change.knob) != change.after]

    @property
    def recipe(self) -> Recipe:
        """The standing recipe with its changes."""
        recipe = self.history.policies[self.history.round].standing
        for change in self.changes:
            recipe = recipe.replace(change.knob, change.after)
        return recipe

    @property
    def room(self) -> int:
        """Slots that the advisor may fill."""
        law = self.history.campaign.constitution
        return min(law.advisor.slots, law.candidates - 1) if law.advisor else 0


FAULTS: dict[Verdict, Callable[[_Proposal], bool]] = {
    "unknown change": lambda p: not set(p.advice.changes) <= _changes(p.history).keys(),
    "no change": lambda p: not p.changes,
    "contradiction": lambda p: len({change.knob for change in p.changes}) < len(p.changes),
    "too many changes": lambda p: len(p.changes) > p.history.campaign.constitution.max_changes,
    "dead end": lambda p: any(_closed(p.history, change) for change in p.changes),
    "tried before": lambda p: p.recipe in [trial.recipe for trial in p.history.trials.values()],
    "double": lambda p: p.recipe in p.accepted,
    "no slot left": lambda p: len(p.accepted) >= p.room,
}
"""The faults of a proposal, in the order of the checks; each check may rely on those before it."""


def _changes(history: History) -> dict[str, Change]:
    """Every value of every axis by the name of the change that sets it in the standing recipe."""
    standing = history.policies[history.round].standing
    space = history.campaign.constitution.space
    changes = [_change(standing, axis.knob, value) for axis in space for value in axis.values]
    return {change.name: change for change in changes}


def _change(standing: Recipe, knob: str, value: Value) -> Change:
    return Change(knob=knob, before=standing.get(knob), after=value)


def _closed(history: History, change: Change) -> bool:
    return (change.knob, change.after) in {(e.knob, e.value) for e in history.policies[history.round].dead_ends}
