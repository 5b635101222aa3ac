"""The same recorded log with and without its `DriftDetected`: what is promoted, submitted and tried next differs."""

import numpy as np
import pytest

from judgement.decisions import choose_submissions, propose, update
from schemas.base import canonical_json
from schemas.scores import BASE
from tests.integration.recorded import RECIPES, played
from tests.unit.driftworld import detected
from tests.unit.loopworld import World, data_ready

DRIFT = detected("all", level=0.1)
SEEDS = range(24)


def confirmed(drift, seed=0):
    """Round 2 where the candidate with the highest dev was confirmed, but its target never asked."""
    return played(seed, drift, asked=("r1s2",), confirmed=("r2s1",))


def next_recipes(drift, seed):
    """The candidates of round 3."""
    history = confirmed(drift, seed)
    policy = update(history).policy
    history.policies[policy.round], history.snapshots[policy.round] = policy, data_ready(policy.round)
    return [proposal.recipe for proposal in propose(history)]


def queries(drift):
    chosen = choose_submissions(played(drift=drift), 2, "complete")
    return [submission.candidate for submission in chosen.external]


def test_without_drift_a_confirmed_high_dev_promotes():
    policy = update(confirmed(None)).policy
    assert policy.standing_from == "r2s1"
    assert policy.standing == RECIPES["r2s1"]
    assert policy.distrusted == ()


def test_with_drift_the_same_dev_promotes_nothing():
    policy = update(confirmed(DRIFT)).policy
    assert policy.standing_from == BASE
    assert policy.standing == RECIPES["r2s0"]
    assert [(d.scope, d.level) for d in policy.distrusted] == [("all", 0.1)]
    assert policy.mode == "proxy-aware"


def test_the_update_says_that_dev_is_no_longer_believed():
    without, with_drift = (update(played(drift=drift)) for drift in (None, DRIFT))
    said = "Since round 1, dev over all domains is not believed beyond +10.0 points"
    assert said in with_drift.why
    assert any(sentence.startswith(said) for sentence in with_drift.changed)
    assert said not in without.why


def test_drift_turns_the_first_query_from_the_highest_dev_to_the_diverse_candidate():
    assert queries(None)[0] == "r2s1"
    assert queries(DRIFT)[0] == "r2s2"


def test_the_highest_dev_alone_earns_no_query_once_dev_is_not_believed():
    highest = max(played().of_round(2), key=lambda trial: trial.scores["dev"].score).candidate
    assert highest in queries(None)
    assert len(queries(DRIFT)) == len(queries(None)) == 2
    assert highest not in queries(DRIFT)


def test_the_next_recipes_chase_dev_less_with_drift():
    """By no more than this: without a `DriftDetected`, the average over the hypotheses doubts dev already."""
    world = World()

    def dev(drift):
        recipes = [recipe for seed in SEEDS for recipe in next_recipes(drift, seed)]
        return np.mean([world.truth(recipe, "dev").mean() for recipe in recipes])

    assert dev(DRIFT) < dev(None) - 0.02


@pytest.mark.parametrize("drift", [None, DRIFT], ids=["no drift", "drift"])
def test_the_decisions_are_the_same_bytes_on_replay(drift):
    first, again = (
        [canonical_json(d) for d in (update(h), choose_submissions(h, 2, "complete"), *next_recipes(drift, 0))]
        for h in (played(drift=drift), played(drift=drift))
    )
    assert first == again


def test_the_recorded_recipes_are_those_that_were_run():
    assert len({recipe.model_dump_json() for recipe in RECIPES.values()}) == 6
