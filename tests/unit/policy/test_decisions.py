"""The policy's decisions on small histories."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgement.decisions import choose_final, choose_submissions, finish, first_policy, update
from judgement.explain import decisions as explain
from judgement.search.submit import queries_left
from schemas.base import canonical_json
from schemas.recipe import Recipe
from schemas.scores import BASE
from tests.unit.driftworld import detected
from tests.unit.fieldmodel import by_field
from tests.unit.loopworld import Log, campaign, started
from tests.unit.searchcases import RECIPES, even, opened, scored_round, with_scores


def submitted(history, round_=1, closed_by="complete"):
    return by_field(choose_submissions, history, round_, closed_by)


def names(submissions):
    return [s.candidate for s in submissions]


def test_the_first_policy_opens_round_one_on_the_campaigns_recipe_with_even_distributions():
    event = first_policy(opened())
    policy = event.policy
    assert (policy.version, policy.round, policy.standing, policy.standing_from) == (0, 1, Recipe(), BASE)
    assert all(len(set(axis.probabilities)) <= 2 and not axis.retired for axis in policy.axes)
    assert all(max(axis.probabilities) - min(axis.probabilities) < 0.001 for axis in policy.axes)
    assert "better on the target with a chance of 80 in 100" in event.why


def test_the_first_policy_does_not_depend_on_whether_the_base_was_measured_first():
    unmeasured = Log()
    unmeasured.append(started(campaign()))
    early, late = first_policy(unmeasured.history), first_policy(opened())
    assert early.basis.digest != late.basis.digest  # the second one follows a policy
    assert early.policy == late.policy


def test_the_highest_dev_is_queried_while_no_drift_stands():
    history = scored_round((0.35, 0.45, 0.75, 0.40))
    assert "r1s2" in names(submitted(history).external)


def test_the_round_queries_the_best_and_one_that_is_unlike_it():
    chosen = submitted(scored_round((0.35, 0.45, 0.75, 0.40)))
    assert names(chosen.external) == ["r1s2", "r1s3"]
    assert names(chosen.confirm) == names(chosen.external)
    assert chosen.external[0].reason.startswith("Highest expected target")
    assert chosen.external[1].reason.startswith("Audit")


def test_failed_and_measured_candidates_are_never_submitted():
    history = scored_round((0.35, 0.45, 0.55, None))
    history.trials["r1s3"].failed = "OutOfMemory"
    with_scores(history, "r1s2", external=0.2, confirm=0.5)
    chosen = submitted(history)
    assert not {"r1s2", "r1s3"} & {*names(chosen.external), *names(chosen.confirm)}


def test_a_second_run_of_a_recipe_whose_target_is_known_is_not_queried():
    history = scored_round()
    with_scores(history, "r1s0", external=0.2)
    history.trials["r1s1"].recipe = history.trials["r1s0"].recipe
    assert not {"r1s0", "r1s1"} & {*names(submitted(history).external)}


def test_candidates_that_did_not_end_are_given_up_at_the_deadline():
    chosen = submitted(scored_round((0.35, 0.45, None, 0.40)), closed_by="deadline")
    assert chosen.expired == ("r1s2",)
    assert "r1s2" not in names(chosen.external)


def test_without_queries_left_the_round_still_confirms():
    chosen = submitted(scored_round(queries=1))
    assert chosen.external == ()
    assert len(chosen.confirm) == 2
    assert "r1s0" not in names(chosen.confirm)


@settings(max_examples=25, deadline=None)
@given(queries=st.integers(1, 12))
def test_the_queries_of_a_round_never_exceed_what_is_left(queries):
    history = scored_round(queries=queries)
    assert queries_left(history) <= min(2, max(0, queries - history.reserved("external")))


def test_few_queries_are_spread_over_the_rounds():
    assert queries_left(scored_round(queries=9)) == 2
    assert queries_left(scored_round(queries=4)) == 1


def test_a_standing_drift_replaces_the_audit_of_the_highest_dev():
    history = with_scores(scored_round((0.35, 0.45, 0.75, 0.40)), "r1s1", external=0.5)
    best, audited = names(submitted(history).external)
    assert (best, audited) == ("r1s3", "r1s2")
    assert submitted(history).external[1].reason == explain.highest_dev(history.trials["r1s2"])
    history.standing_drifts["all"] = detected("all", 0.05)
    assert names(submitted(history).external) == ["r1s3", "r1s0"]
    assert submitted(history).external[1].reason == explain.reference(history.trials["r1s0"])


def test_under_drift_the_standing_recipe_is_asked_once_as_the_reference():
    history = scored_round((0.35, 0.36, 0.75, 0.40))
    history.standing_drifts["all"] = detected("all", 0.05)
    chosen = submitted(history).external
    assert names(chosen)[1] == "r1s0"
    assert "the standing recipe, whose target was never asked" in chosen[1].reason
    with_scores(history, "r1s0", external=0.15)
    assert "r1s0" not in names(submitted(history).external)


def test_a_candidate_with_a_better_target_is_promoted():
    history = scored_round()
    with_scores(history, "r1s0", external=0.15)
    with_scores(history, "r1s3", external=0.35, confirm=0.40)
    event = by_field(update, history)
    assert (event.policy.version, event.policy.round) == (1, 2)
    assert event.policy.standing == RECIPES[3]
    assert event.policy.standing_from == "r1s3"
    assert event.changed[0].startswith("The standing recipe is now that of r1s3")
    assert "points above the last one's" in event.why


def test_dev_alone_promotes_nothing():
    history = scored_round((0.30, 0.45, 0.95, 0.40))
    event = by_field(update, history)
    assert event.policy.standing == Recipe()
    assert "no other candidate has been measured twice or on the target" in event.why


def test_a_rival_that_is_not_surely_better_is_not_promoted():
    history = scored_round()
    with_scores(history, "r1s0", external=0.20)
    with_scores(history, "r1s1", external=0.20, confirm=0.45)
    event = by_field(update, history)
    assert event.policy.standing == Recipe()
    assert "the nearest rival, r1s1" in event.why


def test_a_candidate_measured_on_the_target_is_preferred_to_one_that_was_only_confirmed():
    history = scored_round((0.20, 0.45, 0.95, 0.40))
    with_scores(history, "r1s0", external=0.10)
    with_scores(history, "r1s2", confirm=0.95)
    with_scores(history, "r1s3", external=0.35, confirm=0.40)
    assert by_field(update, history).policy.standing_from == "r1s3"


def test_a_standing_drift_is_carried_by_the_policy():
    history = scored_round()
    history.standing_drifts["units"] = detected("units", 0.1)
    history.standing_drifts["bits"] = detected("bits", 0.2, direction="blind")
    event = by_field(update, history)
    assert [(d.scope, d.level, d.since) for d in event.policy.distrusted] == [("bits", 0.2, 1), ("units", 0.1, 1)]
    assert event.policy.mode == "proxy-aware"
    assert any("dev in bits misses gains of the target" in sentence for sentence in event.changed)
    assert any("The search goes from recipe stabilisation to proxy-aware" in sentence for sentence in event.changed)


def test_a_cleared_drift_is_said():
    history = scored_round()
    history.standing_drifts["units"] = detected("units", 0.1)
    second = by_field(update, history).policy
    del history.standing_drifts["units"]
    history.policies[2] = second
    event = by_field(update, history)
    assert event.policy.distrusted == ()
    assert "Dev counts fully again in units." in event.changed


def test_learned_distributions_lean_to_what_raised_the_target():
    history = scored_round()
    with_scores(history, "r1s0", external=0.10)
    with_scores(history, "r1s1", external=0.40, confirm=0.45)
    traces = next(axis for axis in by_field(update, history).policy.axes if axis.knob == "traces")
    assert traces.probabilities[2] > 0.5
    assert sum(traces.probabilities) == pytest.approx(1.0)
    assert min(traces.probabilities) > 0.0 or traces.retired


def test_the_winner_is_the_highest_expected_target_and_the_final_set_is_asked_for_base_and_winner():
    history = scored_round((0.35, 0.95, 0.55, 0.40))
    with_scores(history, "r1s1", external=0.15)
    with_scores(history, "r1s3", external=0.40)
    chosen = by_field(choose_final, history)
    assert names(chosen.final) == [BASE, "r1s3"]
    assert chosen.confirm == chosen.external == ()


def test_the_base_stays_where_nothing_beats_it():
    history = scored_round((0.25, 0.25, 0.25, 0.25))
    for slot in range(4):
        with_scores(history, f"r1s{slot}", external=0.02)
    chosen = by_field(choose_final, history)
    assert names(chosen.final) == [BASE]
    history.submissions[5] = chosen
    event = finish(with_scores(history, BASE, final=0.2))
    assert (event.winner, event.gain.mean) == (BASE, 0.0)
    assert event.why == "No candidate is expected to beat the base on the target, so the base stays."


def ended(**final):
    history = scored_round()
    with_scores(history, "r1s3", external=0.40)
    history.submissions[5] = by_field(choose_final, history)
    for candidate, accuracy in final.items():
        with_scores(history, candidate, final=accuracy)
    return finish(history)


def test_the_gain_is_that_of_the_final_set():
    event = ended(base=0.16, r1s3=0.36)
    assert event.winner == "r1s3"
    assert event.gain.mean == pytest.approx(0.20)
    assert event.gain.sd == pytest.approx((even(0.16).se ** 2 + even(0.36).se ** 2) ** 0.5, abs=1e-6)
    assert "more than chance explains" in event.why


def test_a_small_gain_is_called_small():
    assert "no more than chance may explain" in ended(base=0.35, r1s3=0.36).why


def test_a_winner_without_a_final_score_has_shown_no_gain():
    event = ended(base=0.16)
    assert event.winner == BASE
    assert "could not be measured on the final set" in event.why


def test_decisions_are_the_same_bytes_on_replay():
    first, again = (
        [canonical_json(d(scored_round())) for d in (first_policy, submitted, update, choose_final)] for _ in range(2)
    )
    assert first == again
