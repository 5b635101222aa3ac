"""Each article of the constitution, broken once."""

import pytest

from eventstore.effect import Append
from judgement.constitution import check
from judgement.decisions import choose_final, choose_submissions, finish, first_policy, propose, update
from schemas import events as e
from schemas.events import CampaignStopped, DecisionRefused
from schemas.evidence import Basis, Submission
from schemas.policy import DeadEnd
from schemas.recipe import Change
from services.runtime.constitution_check import check_decisions
from tests.typed import instance, there
from tests.unit.fieldmodel import by_field
from tests.unit.loopworld import Deciders, World, campaign, play
from tests.unit.searchcases import opened, scored_round, with_scores

BASIS = Basis(position=0, digest="0" * 64, seed=0)


def proposal(place, **update):
    return propose(opened())[place].model_copy(update=update)


def chosen(external=(), confirm=(), final=()):
    def said(names):
        return tuple(Submission(candidate=name, reason="") for name in names)

    return e.SubmissionsChosen(
        round=1,
        closed_by="complete",
        confirm=said(confirm),
        external=said(external),
        final=said(final),
        basis=BASIS,
    )


def refused(history, event):
    refusal = check(history, event)
    return refusal and (refusal.decision, refusal.article)


def test_what_the_deciders_say_is_never_refused():
    decided = Deciders(
        first_policy,
        lambda h: by_field(propose, h),
        lambda h, r, c: by_field(choose_submissions, h, r, c),
        lambda h, r: [],
        lambda h: by_field(update, h),
        lambda h: by_field(choose_final, h),
        finish,
    )
    assert play(campaign(3), World(3), decided, obeys=True).history.finished


@pytest.mark.parametrize(
    ("slot", "broken", "article"),
    [
        (1, {"round": 5}, "rounds"),
        (1, {"slot": 9}, "candidates"),
        (0, {"changes": (Change(knob="rank", before=16, after=32),)}, "max_changes"),
        (1, {"changes": (Change(knob="rank", before=16, after=64),)}, "space"),
        (1, {"changes": (Change(knob="batch", before=32, after=64),)}, "space"),
        (1, {"changes": ()}, "max_changes"),
    ],
)
def test_a_recipe_outside_the_constitution_is_refused(slot, broken, article):
    event = proposal(slot, **broken)
    assert refused(opened(), event) == ("RecipeProposed", article)


def test_a_round_without_its_anchor_is_refused_whole():
    history = opened()
    anchor, *changed = (Append(history.id, f"{history.id}/{p.candidate}", p) for p in propose(history))
    (append,) = check_decisions(history, changed).events
    refusal = instance(DecisionRefused, append.event)
    assert (refusal.decision, refusal.article) == ("RecipeProposed", "candidates")
    assert refusal.message == "r1s1 has no anchor; propose the standing recipe in slot 0 of round 1"
    assert check_decisions(history, [*changed, anchor]).events == (*changed, anchor)
    history.trials["r1s0"] = scored_round().trials["r1s0"]
    assert check_decisions(history, changed).events == tuple(changed)


def test_a_candidate_beyond_the_rounds_slots_is_refused():
    history = scored_round()
    extra = propose(opened())[1].model_copy(update={"candidate": "r1s9"})
    assert refused(history, extra) == ("RecipeProposed", "candidates")


def test_a_dead_end_is_not_tried_again():
    history = opened()
    event = propose(history)[1]
    change = event.changes[0]
    end = DeadEnd(knob=change.knob, value=change.after, evidence=("r0s0",), reason="")
    history.policies[1] = history.policies[1].model_copy(update={"dead_ends": (end,)})
    assert refused(history, event) == ("RecipeProposed", "space")


@pytest.mark.parametrize(
    ("event", "article"),
    [
        (chosen(external=["r1s1", "r1s2", "r1s3"]), "budget.external_per_round"),
        (chosen(confirm=["r1s1", "r1s2", "r1s3"]), "budget.confirm_per_round"),
        (chosen(external=["r7s1"]), "target"),
        (chosen(external=["base"]), "budget.external_queries"),
        (chosen(final=["r1s1", "r1s2"]), "evaluation.final"),
        (chosen(final=["base", "r1s1", "r1s2"]), "evaluation.final"),
    ],
)
def test_submissions_beyond_the_budget_or_the_known_are_refused(event, article):
    assert refused(scored_round(), event) == ("SubmissionsChosen", article)


def test_an_external_query_beyond_the_campaigns_budget_is_refused():
    history = scored_round(queries=2)
    with_scores(history, "r1s1", external=0.2)
    refusal = there(check(history, chosen(external=["r1s2"])))
    assert refusal.article == "budget.external_queries"
    assert refusal.message == "1 external queries; 0 of 2 are left"


def test_a_policy_outside_the_constitution_is_refused():
    history = scored_round()
    good = by_field(update, history)
    assert check(history, good) is None

    def broken(**fields):
        return good.model_copy(update={"policy": good.policy.model_copy(update=fields)})

    assert refused(history, broken(round=5)) == ("PolicyUpdated", "rounds")
    never = good.policy.standing.replace("rank", 17)
    assert refused(history, broken(standing=never)) == ("PolicyUpdated", "promotion")
    assert refused(history, broken(axes=good.policy.axes[1:])) == ("PolicyUpdated", "space")
    end = DeadEnd(knob="lr", value=1e-2, evidence=("r1s1",), reason="")
    history.policies[1] = history.policies[1].model_copy(update={"dead_ends": (end,)})
    assert refused(history, good) == ("PolicyUpdated", "space")


def test_an_unknown_winner_is_refused():
    event = e.CampaignFinished(winner="r9s9", gain={"mean": 0, "sd": 0}, why="", basis=BASIS)
    assert refused(scored_round(), event) == ("CampaignFinished", "target")
    assert check(scored_round(), CampaignStopped(by="a person", reason="")) is None
