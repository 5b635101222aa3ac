"""A warm start carries where an earlier campaign looked and what it closed, and not one score."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from audit.replay import replay
from judgement.decisions import first_policy, propose
from judgement.history import History
from judgement.search.beliefs import WARM_CLOSED, first_axes, prior_mass
from schemas.base import canonical_json, digest
from schemas.campaign import Axis, Campaign
from schemas.policy import DeadEnd, WarmAxis, WarmDeadEnd, WarmStart
from schemas.recipe import Change
from services.console.cli import app
from services.console.warm_start import with_prior
from services.runtime.user_error import UserError
from tests.typed import instance, there
from tests.unit.loopworld import SHA, SPACE, Log, campaign, planned_data, started
from tests.unit.recipes.test_advice import Remembering
from tests.unit.recipes.test_propose import second_round

AXIS = Axis(knob="steps", values=(120, 250, 500), scale="log")


def prior(*axes, dead=()):
    return WarmStart(campaign="earlier", position=9, policy=SHA, axes=axes, dead_ends=dead)


def known(values, probabilities):
    return WarmAxis(knob="steps", values=values, probabilities=probabilities)


def share(axis, warm):
    return dict(zip(axis.values, prior_mass(axis, warm) / prior_mass(axis, warm).sum(), strict=True))


def earlier(**more):
    """The events of a campaign that has ended a round, closed a value, and is searched otherwise since."""
    history = second_round()
    log = Log(Remembering("earlier"))
    log.append(started(campaign().model_copy(update=more)))
    first = first_policy(log.history)
    end = DeadEnd(knob="lr", value=1e-2, evidence=("r1s3",), reason="The target fell by 12.3 points.")
    last = history.policies[2].model_copy(update={"dead_ends": (end,)})
    log.append(first, first.model_copy(update={"policy": last}))
    return [
        envelope.model_copy(update={"correlationid": "earlier"}) for envelope in instance(Remembering, log.history).told
    ]


def opened(of):
    log = Log(Remembering("test"))
    log.append(started(of))
    log.append(first_policy(log.history))
    log.append(planned_data(log.history))
    log.append(*propose(log.history))
    return log.history


def test_half_of_what_was_learned_counts():
    learned = share(AXIS, prior(known((120, 250, 500), (0.1, 0.1, 0.8))))
    assert learned == pytest.approx({120: 0.05 + 1 / 6, 250: 0.05 + 1 / 6, 500: 0.4 + 1 / 6})


def test_a_dead_end_becomes_unlikely_and_stays_possible():
    dead = (WarmDeadEnd(knob="steps", value=500, evidence=("earlier/r1s1",)),)
    learned = share(AXIS, prior(known((120, 250, 500), (0.5, 0.5, 0.0)), dead=dead))
    assert 0 < learned[500] < WARM_CLOSED / 3
    assert learned[500] < learned[120] == learned[250]


def test_a_value_that_is_gone_is_ignored_and_one_that_is_new_is_neither_likely_nor_not():
    learned = share(AXIS, prior(known((60, 120, 500), (0.6, 0.1, 0.3))))
    assert learned[250] == pytest.approx(1 / 3)
    assert learned[120] < 1 / 3 < learned[500]


@pytest.mark.parametrize("warm", [None, prior(), prior(WarmAxis(knob="rank", values=(4, 8), probabilities=(1.0, 0.0)))])
def test_an_axis_of_which_nothing_is_known_is_even(warm):
    assert list(share(AXIS, warm).values()) == pytest.approx([1 / 3] * 3)


@given(masses=st.lists(st.floats(0, 1), min_size=3, max_size=3), closed=st.sets(st.sampled_from(AXIS.values)))
def test_no_value_is_ever_forbidden_and_the_shares_are_probabilities(masses, closed):
    total = sum(masses) or 1.0
    dead = tuple(WarmDeadEnd(knob="steps", value=value, evidence=()) for value in closed)
    (belief,) = first_axes([AXIS], prior(known(AXIS.values, [m / total for m in masses]), dead=dead))
    assert min(belief.probabilities) > 0.01
    assert sum(belief.probabilities) == pytest.approx(1.0)


def test_the_last_policy_of_the_earlier_campaign_is_taken_with_its_place_and_hash():
    events = earlier()
    warm = there(with_prior(campaign(), events).warm)
    last = events[-1].event.policy
    assert (warm.campaign, warm.position, warm.policy) == ("earlier", events[-1].sequence, digest(last))
    assert [(a.knob, a.probabilities) for a in warm.axes] == [(a.knob, a.probabilities) for a in last.axes]
    assert warm.dead_ends == (WarmDeadEnd(knob="lr", value=1e-2, evidence=("earlier/r1s3",)),)


def test_no_score_no_reason_and_no_belief_of_a_candidate_crosses():
    events = earlier()
    crossed = canonical_json(with_prior(campaign(), events).warm)
    assert events[-1].event.policy.interventions
    assert "12.3" not in crossed
    assert set(WarmStart.model_fields) == {"campaign", "position", "policy", "axes", "dead_ends"}
    history = opened(with_prior(campaign(), events))
    first = history.policies[1]
    assert (first.interventions, first.dead_ends, first.distrusted) == ((), (), ())
    assert (first.standing, first.standing_from) == (campaign().recipe, "base")


def test_the_first_round_goes_where_the_earlier_campaign_was_going():
    def changes(warm):
        told = Counter[str]()
        for seed in range(6):
            of = campaign(seed).model_copy(update={"warm": warm})
            for trial in opened(of).of_round(1):
                told.update(change.name for change in trial.changes)
        return told

    wide = [axis for axis in SPACE if len(axis.values) == 3]
    middle, last = (
        changes(prior(*(WarmAxis(knob=a.knob, values=a.values, probabilities=_all_on(a, place)) for a in wide)))
        for place in (1, 2)
    )
    cold = changes(None)

    def number(told, place):
        return sum(told[Change(knob=a.knob, before=0, after=a.values[place]).name] for a in wide)

    assert number(middle, 1) > 2 * number(last, 1)
    assert number(middle, 1) > 2 * number(cold, 1)
    assert number(last, 2) > number(middle, 2)


def _all_on(axis, index):
    return tuple(np.eye(len(axis.values))[index])


def test_a_warm_campaign_replays_from_its_own_log_alone():
    again = list(replay(opened(with_prior(campaign(), earlier())).told))
    assert {one.envelope.type for one in again} == {"PolicyUpdated", "DataBatchReady", "RecipeProposed"}
    assert all(one.identical for one in again)


def test_another_prior_in_the_log_is_found_out_by_the_replay():
    told = opened(with_prior(campaign(), earlier())).told
    other = started(campaign().model_copy(update={"warm": prior()})).model_dump(mode="json")
    touched = [told[0].model_copy(update={"data": other}), *told[1:]]
    identical = {one.envelope.type for one in replay(touched) if one.identical}
    assert identical == {"DataBatchReady"}  # it rests on the recorded policy


def test_the_first_policy_says_that_it_was_given_something():
    log = Log(History("test"))
    log.append(started(with_prior(campaign(), earlier())))
    said = first_policy(log.history)
    assert "Half of what the campaign earlier learned of the axes counts here, and none of its scores." in said.why
    assert "Its dead ends, 1 in number, are unlikely here." in said.changed[1]


def test_a_cold_campaign_hashes_as_before():
    assert "warm" not in campaign().model_dump(mode="json")


@pytest.mark.parametrize(
    ("events", "words"),
    [
        (earlier()[:2], "'earlier' has learned nothing yet; name a campaign that has ended a round"),
        (earlier()[:1], "'earlier' has learned nothing yet"),
        (earlier()[1:], "begins with PolicyUpdated; give a log that holds the whole campaign"),
        (earlier(test=True), "says `test: true`: events may have been emitted into it"),
        (earlier(null_twin=True), "says `null_twin: true`: its target is its dev"),
    ],
)
def test_a_source_that_teaches_nothing_is_refused(events, words):
    with pytest.raises(UserError, match=words):
        with_prior(campaign(), events)


def test_a_source_of_another_space_is_refused_with_its_knobs():
    other = campaign(space=(Axis(knob="dropout", values=(0.0, 0.1)), Axis(knob="steps", values=(500, 1000))))
    with pytest.raises(UserError, match=r"searched another space \(traces, difficulty, .*\): no axis has two values"):
        with_prior(other, earlier())


def test_a_prior_must_have_a_probability_for_each_value():
    with pytest.raises(ValueError, match="steps: 1 probabilities of 3 values"):
        known((120, 250, 500), (1.0,))


def test_the_command_knows_the_options():
    said = CliRunner().invoke(app, ["start", "--help"], env={"COLUMNS": "200"}).output
    assert "--warm-from" in said
    assert "--warm-file" in said


def test_a_campaign_with_a_prior_is_read_back_as_written():
    warm = with_prior(campaign(), earlier())
    assert Campaign.model_validate_json(warm.model_dump_json()) == warm
