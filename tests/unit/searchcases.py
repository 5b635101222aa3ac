"""Small histories of one round, for the tests of the search and of the policy."""

from typing import cast

from judgement.decisions import _proposed, first_policy
from schemas.policy import Estimate
from schemas.recipe import Recipe
from schemas.scores import BASE, Kind
from tests.unit.loopworld import (
    STAMP,
    Log,
    World,
    campaign,
    data_ready,
    measure,
    report,
    reserved,
    scores_of,
    started,
    trained,
)

RECIPES = (Recipe(), Recipe(traces=1.0), Recipe(steps=500), Recipe(traces=1.0, difficulty=(0.35, 0.5, 0.15)))


def opened(**law):
    """A campaign whose base is measured and whose first round is open."""
    log = Log()
    log.append(started(campaign(**law)))
    for kind in ("dev", "external"):
        measure(log, World(), BASE, kind)
    log.append(first_policy(log.history), data_ready(1))
    return log.history


def scored_round(accuracies=(0.35, 0.45, 0.55, 0.40), queries=9, **law):
    """Round 1 with a dev score for each of the recipes."""
    log = Log()
    of = campaign(candidates=4, **law)
    budget = of.constitution.budget.model_copy(update={"external_queries": queries})
    log.append(started(of.model_copy(update={"constitution": of.constitution.model_copy(update={"budget": budget})})))
    for kind in ("dev", "external"):
        measure(log, World(), BASE, kind)
    opening = first_policy(log.history)
    log.append(opening, data_ready(1))
    for slot, (recipe, accuracy) in enumerate(zip(RECIPES, accuracies, strict=True)):
        log.append(_proposed(log.history, slot, recipe, Estimate(mean=0.0, sd=0.0), opening.basis))
        if accuracy is not None:
            log.append(trained(f"r1s{slot}", recipe), report(f"r1s{slot}", "dev", even(accuracy)))
    return log.history


def even(accuracy):
    return scores_of([round(100 * accuracy)] * 6)


def with_scores(history, candidate, **scores):
    """Put further scores on a candidate, with the reservations they need."""
    for name, accuracy in scores.items():
        kind = cast(Kind, name)
        if kind == "external":
            history.reservations.append(reserved(history, candidate, kind, 1))
        history.trials[candidate].scores[kind] = even(accuracy)
        history.trials[candidate].stamps[kind] = STAMP
    return history
