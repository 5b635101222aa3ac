"""The baselines play whole campaigns by the same protocol, within the same constitution, and are what they say."""

from functools import cache

import pytest

from judgement.decisions import choose_final, choose_submissions, finish, first_policy, propose, update
from judgement.search.registry import BUILT_IN
from schemas.scores import BASE
from tests.unit.judgement.test_search_loop import assessed
from tests.unit.loopworld import SPACE, Deciders, World, campaign, play

LOOP = Deciders(first_policy, propose, choose_submissions, assessed, update, choose_final, finish)


@cache
def played(name, seed=3):
    changes = len(SPACE) if name == "random" else 2
    return play(campaign(seed, search=name, max_changes=changes), World(seed), LOOP, obeys=True).history


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_a_campaign_of_every_policy_obeys_the_constitution_to_its_end(name):
    history = played(name)
    assert history.finished
    assert history.reserved("external") <= history.campaign.constitution.budget.external_queries
    assert len(history.trials) == 1 + 4 * 5


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_every_policy_decides_the_same_twice(name):
    again = played.__wrapped__(name)
    assert [t.recipe for t in again.trials.values()] == [t.recipe for t in played(name).trials.values()]


def test_dev_greedy_ends_with_the_highest_dev_whatever_the_target_said():
    history = played("dev_greedy")
    measured = [t for t in history.measured("dev") if t.recipe]
    chosen = history.trials[history.finished.winner]
    assert chosen.scores["dev"].score >= sorted(t.scores["dev"].score for t in measured)[-4]
    asked = history.measured("external")
    assert chosen.scores.get("external", asked[0].scores["external"]).score < max(
        t.scores["external"].score for t in asked
    )


def test_random_draws_from_all_of_the_space_and_ends_with_the_highest_target():
    history = played("random")
    for axis in SPACE:
        assert len({str(t.recipe.get(axis.knob)) for t in history.trials.values() if t.recipe}) > 1
    best = max(history.measured("external"), key=lambda t: t.scores["external"].score)
    assert history.finished.winner == best.candidate
    assert {p.standing_from for p in history.policies.values()} == {BASE}
