"""What each service owes a campaign at each point of a round, and that it owes nothing twice."""

from datetime import UTC, datetime, timedelta

import pytest

from eventstore.effect import NOTHING
from judgement.history import fold
from schemas import events as e
from services.data.steps import refresh, reuse
from services.oracle import steps as oracle
from services.policy import steps as policy
from services.recipes.steps import propose_round
from services.trainer.steps import queue_training
from tests.typed import instance
from tests.unit.console_events import BASIS, SHA, Log, two_rounds


def state(log):
    return fold(log.id, log.envelopes)


def now(log, later=0.0):
    last = log.envelopes[-1].time if log.envelopes else datetime.now(UTC)
    return last + timedelta(seconds=later)


def owed(step, log, later=0.0):
    return step(state(log), now(log, later))


def said(effect):
    return [type(append.event).__name__ for append in effect.events]


def snapshot(log, round_):
    ready = e.DataBatchReady(
        round=round_,
        snapshot=SHA,
        uri=f"snapshots/{round_}",
        rows={"bits": 6},
        tokens={"bits": 60},
        yields=(),
        basis=BASIS,
    )
    log.say(f"{log.id}/round/{round_}", ready)


def begun():
    log = Log()
    log.start()
    return log


def opened():
    """Round 1 is open, its data there."""
    log = begun()
    log.policy(1)
    snapshot(log, 1)
    return log


def proposed(slots=2):
    log = opened()
    for slot in range(slots):
        log.propose(1, slot, log.campaign.recipe, **({"rank": 8} if slot else {}))
    return log


def measured_base(log):
    log.say(f"{log.id}/exposure/external", reserved("base", 0, 1))
    for kind in ("dev", "confirm", "external"):
        log.score("base", kind, 0.3)


def reserved(candidate, round_, number, kind="external", limit=9):
    return e.SubmissionReserved(candidate=candidate, kind=kind, round=round_, number=number, left=limit - number)


def ended(log, slots=2):
    for slot in range(slots):
        log.train(1, slot, log.at + 1, log.at + 2)
        log.score(f"r1s{slot}", "dev", 0.3 + slot / 10)


def test_the_first_policy_opens_the_campaign_once():
    log = begun()
    (first,) = owed(policy.begin, log).events
    assert (first.event.policy.version, first.event.policy.round, first.expected) == (0, 1, 1)
    log.policy(1)
    assert owed(policy.begin, log) == NOTHING


def test_a_round_is_given_its_data_once():
    log = begun()
    assert owed(refresh, log) == NOTHING
    log.policy(1)
    (job,) = owed(refresh, log).work
    assert (job.queue, job.key, job.payload["round"]) == ("data", f"{log.id}/round/1", 1)
    snapshot(log, 1)
    assert owed(refresh, log) == NOTHING


def test_past_the_data_deadline_the_last_snapshot_serves_again():
    log = opened()
    log.policy(2)
    patience = log.campaign.constitution.budget.data_seconds
    assert owed(reuse, log, patience - 1) == NOTHING
    (again,) = owed(reuse, log, patience).events
    assert (again.event.round, again.event.reused, again.event.uri) == (2, True, "snapshots/1")


def test_without_any_snapshot_nothing_can_serve_again():
    log = begun()
    log.policy(1)
    assert owed(reuse, log, 1e6) == NOTHING


def test_candidates_are_proposed_once_the_data_are_there():
    log = begun()
    log.policy(1)
    assert owed(propose_round, log) == NOTHING
    snapshot(log, 1)
    effect = owed(propose_round, log)
    assert said(effect) == ["RecipeProposed"] * 4
    assert [append.subject for append in effect.events] == [f"{log.id}/r1s{slot}" for slot in range(4)]
    assert owed(propose_round, proposed()) == NOTHING


def test_what_is_proposed_is_trained_until_it_has_ended():
    log = proposed(slots=3)
    log.fail(1, 1)
    log.train(1, 2, log.at + 1, log.at + 2)
    (job,) = owed(queue_training, log).work
    assert (job.queue, job.key) == ("train", f"{log.id}/r1s0")
    assert job.payload["snapshot_uri"] == "snapshots/1"
    assert job.deadline == state(log).trials["r1s0"].proposed_at + timedelta(
        seconds=log.campaign.constitution.budget.candidate_seconds
    )


def test_the_base_is_measured_first_and_its_query_charged_in_the_same_breath():
    log = begun()
    effect = owed(oracle.measure_base, log)
    assert said(effect) == ["SubmissionReserved"]
    (job,) = effect.work
    assert job.payload["kinds"] == ["dev", "confirm", "external"]
    log.say(f"{log.id}/exposure/external", effect.events[0].event)
    assert owed(oracle.measure_base, log) == NOTHING


def test_every_checkpoint_is_measured_on_dev():
    log = proposed()
    assert owed(oracle.measure_dev, log) == NOTHING
    log.train(1, 1, log.at + 1, log.at + 2)
    (job,) = owed(oracle.measure_dev, log).work
    assert (job.payload["candidate"], job.payload["kinds"]) == ("r1s1", ["dev"])


def test_a_round_closes_when_all_have_ended_and_the_base_is_known():
    log = proposed()
    ended(log)
    assert owed(policy.close_round, log) == NOTHING
    measured_base(log)
    (chosen,) = owed(policy.close_round, log).events
    assert chosen.event.closed_by == "complete"
    assert {s.candidate for s in chosen.event.external} <= {"r1s0", "r1s1"}
    log.say(chosen.subject, chosen.event)
    assert owed(policy.close_round, log) == NOTHING


def test_the_rounds_deadline_gives_up_who_has_not_ended():
    log = proposed()
    measured_base(log)
    log.train(1, 0, log.at + 1, log.at + 2)
    log.score("r1s0", "dev", 0.4)
    assert owed(policy.close_round, log) == NOTHING
    (chosen,) = owed(policy.close_round, log, log.campaign.constitution.budget.round_seconds).events
    assert (chosen.event.closed_by, chosen.event.expired) == ("deadline", ("r1s1",))


def chosen_round():
    log = proposed()
    ended(log)
    measured_base(log)
    log.choose(1, "r1s1")
    return log


def test_a_query_of_the_target_is_charged_when_it_is_queued_and_not_again():
    log = chosen_round()
    effect = owed(oracle.charge_queries, log)
    (charged,) = effect.events
    assert (charged.event.candidate, charged.event.number, charged.event.left) == ("r1s1", 2, 7)
    (job,) = effect.work
    assert job.payload["kinds"] == ["confirm", "external"]
    log.say(charged.subject, charged.event)
    assert owed(oracle.charge_queries, log).events == ()
    for kind in ("confirm", "external"):
        log.score("r1s1", kind, 0.4)
    assert owed(oracle.charge_queries, log) == NOTHING


def test_drift_is_assessed_once_all_answers_are_in():
    log = chosen_round()
    log.score("r1s1", "confirm", 0.4)
    assert owed(oracle.assess_drift, log) == NOTHING
    log.score("r1s1", "external", 0.4)
    effect = owed(oracle.assess_drift, log)
    assert said(effect)[0] == "DriftAssessed"
    log.say(effect.events[0].subject, effect.events[0].event)
    assert owed(oracle.assess_drift, log) == NOTHING


def test_a_silent_board_is_not_waited_for_beyond_its_deadline():
    log = chosen_round()
    patience = log.campaign.constitution.budget.board_seconds
    assert owed(oracle.assess_drift, log, patience - 1) == NOTHING
    assert said(owed(oracle.assess_drift, log, patience))[0] == "DriftAssessed"


def test_an_assessment_leads_to_the_next_policy():
    log = chosen_round()
    for kind in ("confirm", "external"):
        log.score("r1s1", kind, 0.4)
    assert owed(policy.revise, log) == NOTHING
    log.assess(1, 2.0)
    (revised,) = owed(policy.revise, log).events
    assert (revised.event.policy.version, revised.event.policy.round) == (1, 2)


@pytest.fixture
def last_round():
    log = two_rounds()
    constitution = log.campaign.constitution.model_copy(update={"rounds": 2})
    held = state(log)
    held.campaign = log.campaign.model_copy(update={"constitution": constitution})
    held.constitution_sha256 = held.campaign.constitution_sha256
    return log, held


def test_after_the_last_round_the_final_set_is_asked_about_base_and_winner(last_round):
    log, held = last_round
    (chosen,) = policy.revise(held, now(log)).events
    event = instance(e.SubmissionsChosen, chosen.event)
    assert event.final[0].candidate == "base"
    assert event.external == ()


def test_the_campaign_ends_when_the_final_scores_are_in(last_round):
    log, held = last_round
    log.choose(2, final=("base", "r2s1"))
    held.apply(log.envelopes[-1])
    assert policy.conclude(held, now(log)) == NOTHING
    assert [
        k.payload["kinds"] for k in oracle.charge_queries(held, now(log)).work if k.payload["candidate"] == "base"
    ] == [["final"]]
    for candidate, score in (("base", 0.17), ("r2s1", 0.34)):
        log.score(candidate, "final", score)
        held.apply(log.envelopes[-1])
    (finished,) = policy.conclude(held, now(log)).events
    event = instance(e.CampaignFinished, finished.event)
    assert event.winner == "r2s1"
    assert event.gain.mean == pytest.approx(0.17)
