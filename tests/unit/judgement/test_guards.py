"""Guards: whoever falls below the base by more than the bound is never promoted, by our deciders or by any other."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from judgement.constitution import check
from judgement.decisions import choose_final, choose_submissions, finish, update
from judgement.guards import broken, objection
from judgement.statistics import combined, mean_score
from schemas import events as e
from schemas.campaign import Constitution
from schemas.evidence import Basis, Submission
from schemas.scores import BASE
from schemas.tasks import Guard, TaskScore
from tests.typed import there
from tests.unit.fieldmodel import by_field
from tests.unit.loopworld import campaign
from tests.unit.searchcases import scored_round, with_scores

BASIS = Basis(position=0, digest="0" * 64, seed=0)
REFUSALS = Guard(name="refusals", tasks=(TaskScore(task="refusals", metric="exact_match"),), bound=0.05)
BEST = "r1s2"
"""The candidate whose target is far above all others'."""


def suite(right, n=100):
    return {"refusals": combined({"refusals": mean_score([1.0] * right + [0.0] * (n - right))})}


def on_guards(history, candidate, right):
    history.trials[candidate].guards = suite(right)
    return history


def guarded_round(base=80, **right):
    """Round 1 with r1s2 best on the target, in a campaign with one guard; by default everybody keeps it."""
    history = with_scores(scored_round(), BEST, confirm=0.6, external=0.6)
    with_scores(history, "r1s1", confirm=0.45, external=0.2)
    law = history.campaign.constitution.model_copy(update={"guards": (REFUSALS,)})
    history.campaign = history.campaign.model_copy(update={"constitution": law})
    history.constitution_sha256 = history.campaign.constitution_sha256
    for candidate, score in {BASE: base, "r1s1": 80, BEST: 80, **right}.items():
        if score is not None:
            on_guards(history, candidate, score)
    return history


def standing_from(history):
    return by_field(update, history).policy.standing_from


def final(history):
    return [s.candidate for s in by_field(choose_final, history).final]


def forged(history, **fields):
    """A policy as somebody else's code may decide it."""
    good = by_field(update, history)
    return good.model_copy(update={"policy": good.policy.model_copy(update=fields)})


def refused(history, event):
    refusal = check(history, event)
    return refusal and refusal.article


def test_who_keeps_the_guards_is_promoted_and_wins():
    history = guarded_round()
    assert objection(history, history.trials[BEST]) is None
    assert standing_from(history) == BEST
    assert final(history) == [BASE, BEST]


@pytest.mark.parametrize("right", [74, 0, None])
def test_who_breaks_a_guard_or_was_not_measured_is_neither_promoted_nor_winner_whatever_its_score(right):
    history = guarded_round(**{BEST: right})
    assert objection(history, history.trials[BEST])
    assert standing_from(history) != BEST
    assert BEST not in final(history)


def test_a_fall_of_exactly_the_bound_is_allowed():
    assert standing_from(guarded_round(**{BEST: 75})) == BEST
    assert broken(guarded_round(**{BEST: 75}), guarded_round(**{BEST: 75}).trials[BEST]) == ()


def test_scores_without_the_bases_show_nothing():
    history = guarded_round(base=None)
    assert "was not measured on the guards as the base was" in there(objection(history, history.trials[BEST]))
    assert standing_from(guarded_round(base=None)) == BASE


def test_a_forged_promotion_is_refused():
    history = guarded_round(**{BEST: 70})
    recipe = history.trials[BEST].recipe
    assert refused(history, forged(history, standing=recipe, standing_from=BEST)) == "guards"
    disguised = forged(history, standing=recipe, standing_from="r1s1")
    assert refused(history, disguised) == "guards"
    assert refused(history, forged(history, standing=recipe)) == "guards"
    assert refused(guarded_round(), forged(guarded_round(), standing=recipe, standing_from=BEST)) is None


def test_a_forged_winner_is_refused_when_chosen_and_when_declared():
    history = guarded_round(**{BEST: 70})
    chosen = e.SubmissionsChosen(
        round=1,
        closed_by="complete",
        confirm=(),
        external=(),
        final=tuple(Submission(candidate=c, reason="") for c in (BASE, BEST)),
        basis=BASIS,
    )
    finished = e.CampaignFinished(winner=BEST, gain={"mean": 0.3, "sd": 0.1}, why="", basis=BASIS)
    assert refused(history, chosen) == refused(history, finished) == "guards"
    assert refused(guarded_round(), chosen) is None
    assert refused(guarded_round(), finished) is None


def test_the_refusal_and_the_explanation_say_which_guard_and_by_how_much():
    history = guarded_round(**{BEST: 70})
    words = "refusals 70.0 % against the base's 80.0 %: 10.0 points lower, 5.0 are allowed"
    event = e.CampaignFinished(winner=BEST, gain={"mean": 0.3, "sd": 0.1}, why="", basis=BASIS)
    assert words in there(check(history, event)).message
    assert f"A guard bars from promotion {BEST}: {words}." in by_field(update, history).why


def test_the_end_says_whom_the_guards_barred_where_they_left_nobody():
    history = guarded_round(**{BEST: 70, "r1s1": 70})
    assert final(history) == [BASE]
    history.submissions[history.campaign.constitution.rounds + 1] = by_field(choose_final, history)
    said = finish(history)
    assert said.winner == BASE
    assert "No candidate that keeps the guards" in said.why
    assert f"{BEST}: refusals 70.0 %" in said.why


def test_no_query_is_spent_on_who_is_known_to_break_a_guard():
    history = guarded_round()
    del history.trials[BEST].scores["external"]
    history.reservations = [r for r in history.reservations if r.candidate != BEST]
    assert BEST in {s.candidate for s in by_field(choose_submissions, history, 1, "complete").external}
    on_guards(history, BEST, 60)
    assert BEST not in {s.candidate for s in by_field(choose_submissions, history, 1, "complete").external}


@settings(max_examples=25, deadline=None)
@given(
    right=st.lists(st.one_of(st.none(), st.integers(0, 100)), min_size=3, max_size=3),
    external=st.lists(st.integers(5, 95), min_size=3, max_size=3),
)
def test_nobody_to_whom_a_guard_objects_ever_stands_or_wins(right, external):
    names = ("r1s1", "r1s2", "r1s3")
    history = guarded_round(**dict(zip(names, right, strict=True)))
    for name, score in zip(names, external, strict=True):
        with_scores(history, name, external=score / 100)
    chosen = {standing_from(history), *final(history)}
    assert not [name for name in chosen if objection(history, history.trials[name])]


def test_a_constitution_without_guards_is_hashed_as_before_there_were_any():
    law = campaign().constitution
    assert "guards" not in law.model_dump()
    assert Constitution.model_validate(law.model_dump(mode="json")).guards == ()


def test_contradictions_in_a_campaign_file_are_named():
    law = campaign().constitution.model_dump(mode="json")
    twice = [REFUSALS.model_dump(mode="json")] * 2
    with pytest.raises(ValidationError, match="refusals is the name of 2 guards"):
        Constitution.model_validate({**law, "guards": twice})
    task = {"task": "Arc", "metric": "acc"}
    with pytest.raises(ValidationError, match="arc is named 2 times"):
        Constitution.model_validate({**law, "target": {"kind": "tasks", "tasks": [task, {**task, "task": "arc"}]}})
