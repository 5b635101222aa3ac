"""The advisor as a pure function of the history: what it is asked, and what becomes of its proposals.

Nothing it says can break the constitution: what the search could not propose itself is dropped, with a verdict.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from judgement.basis import basis
from judgement.history import History
from schemas.advisor import Advice, AdviceWeighed, AdvisorAnswered, Verdict
from schemas.recipe import Change, Recipe, Value

Weighed = tuple[Verdict, Recipe | None]
"""What becomes of a proposal, and the recipe of one that is taken."""


def awaited(history: History) -> bool:
    """Whether the open round still waits for its advisor."""
    return history.campaign.constitution.advisor is not None and history.round not in history.advice


def nameable(history: History) -> list[str]:
    """The changes that a proposal may name: every value of every axis but dead ends and what already stands."""
    standing = history.policies[history.round].standing
    changes = _changes(history)
    return [name for name, c in changes.items() if standing.get(c.knob) != c.after and not _closed(history, c)]


def taken(history: History) -> list[Recipe]:
    """The open round's recipes that the advisor proposed, at most as many as the constitution leaves it."""
    return [recipe for _, recipe in _weigh(history) if recipe]


def weighed(history: History) -> tuple[AdviceWeighed, ...]:
    """What is said of the advisor's answer when the round is proposed; nothing where there is none."""
    if (answer := _answer(history)) is None:
        return ()
    verdicts = tuple(verdict for verdict, _ in _weigh(history))
    ground = basis(history, history.round, "propose", scored=history.round > 1)
    return (AdviceWeighed(round=history.round, answer=answer.answer, verdicts=verdicts, basis=ground),)


def _answer(history: History) -> AdvisorAnswered | None:
    said = history.advice.get(history.round)
    return said if isinstance(said, AdvisorAnswered) else None


def _weigh(history: History) -> list[Weighed]:
    """Each proposal of the answer, in its order: the first fault found, or the recipe."""
    answer, found = _answer(history), list[Weighed]()
    for advice in answer.proposals if answer else ():
        proposal = _Proposal(history, advice, [recipe for _, recipe in found if recipe])
        fault = next((verdict for verdict, wrong in FAULTS.items() if wrong(proposal)), None)
        found.append((fault, None) if fault else ("taken", proposal.recipe))
    return found


@dataclass(frozen=True)
class _Proposal:
    """One proposal, and what was taken before it."""

    history: History
    advice: Advice
    taken: list[Recipe]

    @property
    def changes(self) -> list[Change]:
        """What it would change, in the standing recipe."""
        standing, known = self.history.policies[self.history.round].standing, _changes(self.history)
        named = [known[name] for name in dict.fromkeys(self.advice.changes)]
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
    "double": lambda p: p.recipe in p.taken,
    "no slot left": lambda p: len(p.taken) >= p.room,
}
"""What can be wrong with a proposal, in the order in which it is asked; each may rely on those before it."""


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
