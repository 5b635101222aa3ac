"""The round's proposals."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgement.cost import compute
from judgement.decisions import first_policy, propose, update
from schemas.base import canonical_json
from schemas.policy import AxisBelief
from schemas.recipe import Recipe, differences
from tests.unit.fieldmodel import by_field
from tests.unit.loopworld import SPACE, Log, campaign, data_ready, started, trained
from tests.unit.searchcases import opened, scored_round, with_scores

KNOBS = tuple(axis.knob for axis in SPACE)


def second_round(seed=0):
    history = with_scores(scored_round(), "r1s1", external=0.3, confirm=0.45)
    history.policies[2] = by_field(update, history).policy
    history.snapshots[2] = data_ready(2)
    history.campaign = history.campaign.model_copy(update={"seed": seed})
    return history


@pytest.mark.parametrize("history", [opened(), second_round()], ids=["first round", "second round"])
def test_the_anchor_is_the_standing_recipe_and_the_others_name_their_changes(history):
    policy = history.policies[history.round]
    anchor, *others = by_field(propose, history)
    assert (anchor.candidate, anchor.intervention, anchor.changes) == (f"r{policy.round}s0", "anchor", ())
    assert anchor.recipe == policy.standing
    assert len(others) == history.campaign.constitution.candidates - 1
    for slot, event in enumerate(others, start=1):
        assert event.candidate == f"r{policy.round}s{slot}"
        assert event.changes == differences(policy.standing, event.recipe, KNOBS)
        assert 1 <= len(event.changes) <= 2
        assert event.intervention == " + ".join(change.name for change in event.changes)
        assert event.snapshot == history.snapshots[policy.round].snapshot


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_recipe_is_run_twice_but_the_anchors(seed):
    history = second_round(seed)
    known = [trial.recipe for trial in history.trials.values() if trial.recipe]
    fresh = [event.recipe for event in by_field(propose, history)[1:]]
    assert not any(recipe in known for recipe in fresh)
    assert len({recipe.model_dump_json() for recipe in fresh}) == len(fresh)


def test_every_candidate_has_a_seed_of_its_own():
    seeds = [event.seed for history in (opened(), second_round()) for event in by_field(propose, history)]
    assert len(set(seeds)) == len(seeds)


def test_the_first_round_does_not_wait_for_the_base_to_be_measured():
    bare = Log()
    bare.append(started(campaign()))
    bare.append(first_policy(bare.history), data_ready(1))
    early, late = propose(bare.history), propose(opened())
    assert [e.model_copy(update={"basis": late[0].basis}) for e in early] == list(late)
    assert early[0].basis.seed == late[0].basis.seed


def test_where_the_space_is_used_up_fewer_candidates_are_proposed():
    history = opened()
    axes = tuple(
        AxisBelief(knob=a.knob, values=a.values, probabilities=a.probabilities, retired=a.knob != "wordings")
        for a in history.policies[1].axes
    )
    history.policies[1] = history.policies[1].model_copy(update={"axes": axes})
    proposed = propose(history)
    assert [event.intervention for event in proposed] == ["anchor", "wordings=1/1/1"]


def test_cost_is_counted_in_tokens_times_parameters_from_the_snapshot_or_from_what_was_measured():
    history = opened()
    history.trials["base"].recipe = None
    assert compute(history, Recipe(steps=100, batch=10)) == 100 * 10 * 40 * 200_000
    assert compute(history, Recipe(steps=200, batch=10)) == 2 * compute(history, Recipe(steps=100, batch=10))
    seen = scored_round()
    alike = compute(seen, Recipe(traces=1.0, steps=100, batch=10))
    assert alike == 100 * 10 * 80 * 200_000
    assert trained("x", Recipe(traces=1.0)).cost.compute == Recipe().steps * Recipe().batch * 80 * 200_000
    unlike = compute(seen, Recipe(traces=0.5, steps=100, batch=10))
    assert 100 * 10 * 40 * 200_000 < unlike < alike


def test_proposals_are_the_same_bytes_on_replay_and_differ_by_seed():
    first, again = (list(map(canonical_json, propose(second_round()))) for _ in range(2))
    other = list(map(canonical_json, propose(second_round(seed=1))))
    assert first == again != other
