"""A target that answers after the round has closed: what counts when, and what is owed to a board."""

from datetime import timedelta

import pytest

from eventstore.effect import NOTHING
from judgement.decisions import choose_final, choose_submissions, finish, first_policy, propose, update
from judgement.drift.assess import assess, verdicts
from judgement.history import fold
from schemas.base import canonical_json
from schemas.scores import BASE
from schemas.targets import BoardTarget
from services.oracle import steps as oracle
from services.policy import steps as policy
from tests.unit.console_events import Log as Told
from tests.unit.loopworld import Log, World, campaign, data_ready, measure, report, reserved, started, trained
from tests.unit.runtime.test_steps import ended, now, opened, owed, said

TARGET = BoardTarget(url="https://board.example", items=250, tries=5, give_up_seconds=1000)


def play_late(seed=0, rounds=3):
    """A campaign whose target always answers after the assessment of the round that asked."""
    log, world = Log(obeys=True), World(seed)
    log.append(started(campaign(seed, rounds=rounds)))
    measure(log, world, BASE, "dev")
    log.append(reserved(log.history, BASE, "external", 0), first_policy(log.history))
    pending = [BASE]
    for round_ in range(1, rounds + 1):
        log.append(data_ready(round_))
        proposals = propose(log.history)
        log.append(*proposals)
        for proposal in proposals:
            log.append(trained(proposal.candidate, proposal.recipe))
            measure(log, world, proposal.candidate, "dev")
        log.append(chosen := choose_submissions(log.history, round_, "deadline"))
        for submission in chosen.confirm:
            measure(log, world, submission.candidate, "confirm")
        for submission in chosen.external:
            log.append(reserved(log.history, submission.candidate, "external", round_))
        assessed = assess(log.history, round_)
        log.append(assessed, *verdicts(log.history, assessed))
        answer(log, world, pending)
        pending = [s.candidate for s in chosen.external]
        if round_ < rounds:
            log.append(update(log.history))
    log.append(final := choose_final(log.history))
    for submission in final.final:
        measure(log, world, submission.candidate, "final")
    log.append(finish(log.history))
    answer(log, world, pending)
    return log


def answer(log, world, candidates):
    """The target's scores of these, whenever they come."""
    for candidate in candidates:
        trial = log.history.trials[candidate]
        run = trial.proposed.seed if trial.proposed else 0
        log.append(report(candidate, "external", world.scores(candidate, trial.recipe, "external", run)))


def test_a_late_score_is_evidence_from_the_next_assessment_on_and_in_none_before():
    history = play_late().history
    asked = {r: {s.candidate for s in history.submissions[r].external} for r in (1, 2, 3)}
    assert all(asked.values())
    assert set(history.assessments[1].evidence) == set()
    assert set(history.assessments[2].evidence) == set()  # those of round 1 came when round 2 had been assessed
    assert set(history.assessments[3].evidence) == asked[1]


def test_a_score_after_the_end_is_recorded_and_changes_no_decision():
    log = play_late()
    decisions = [p for p in log.payloads if type(p).__name__ == "CampaignFinished"]
    assert len(decisions) == 1
    assert type(log.payloads[-1]).__name__ == "ScoresReported"
    assert log.history.finished == decisions[0]
    for candidate in {r.candidate for r in log.history.reservations if r.kind == "external"}:
        assert "external" in log.history.trials[candidate].scores


@pytest.mark.parametrize("seed", [0, 1])
def test_an_assessment_taken_again_from_its_basis_does_not_know_what_came_late(seed):
    log = play_late(seed)
    for recorded in log.history.assessments.values():
        again = Log()
        again.append(*log.payloads[: recorded.basis.position])
        assert canonical_json(assess(again.history, recorded.round)) == canonical_json(recorded)


def test_when_a_score_came_makes_no_difference_to_the_next_assessment():
    payloads = play_late().payloads
    late = next(i for i, p in enumerate(payloads) if type(p).__name__ == "ScoresReported" and p.kind == "external")
    until = max(i for i, p in enumerate(payloads) if type(p).__name__ == "DriftAssessed")
    earlier = [*payloads[: late - 2], payloads[late], *payloads[late - 2 : late], *payloads[late + 1 : until]]
    one, other = Log(), Log()
    one.append(*payloads[:until])
    other.append(*earlier)
    assert assess(one.history, 3) == assess(other.history, 3)


def told(target=TARGET, slots=2):
    """Round 1 with all candidates scored on dev, in a campaign with a board."""
    log = Told()
    law = log.campaign.constitution.model_copy(update={"target": target})
    log.campaign = log.campaign.model_copy(update={"constitution": law})
    log.start()
    log.policy(1)
    ready = opened().envelopes[-1]
    log.say(ready.subject, ready.event)
    for slot in range(slots):
        log.propose(1, slot, log.campaign.recipe, **({"rank": 8} if slot else {}))
    ended(log, slots)
    return log


def asked_about_the_base(log):
    effect = oracle.measure_base(fold(log.id, log.envelopes), now(log))
    log.say(f"{log.id}/exposure/external", effect.events[0].event)
    for kind in ("dev", "confirm"):
        log.score("base", kind, 0.3)
    return effect


def test_what_the_oracle_measures_and_what_it_asks_a_board_are_jobs_of_two_queues():
    log = told()
    effect = asked_about_the_base(log)
    assert said(effect) == ["SubmissionReserved"]
    here, away = effect.work
    assert (here.queue, here.payload["kinds"]) == ("score", ["dev", "confirm"])
    assert (away.queue, away.payload["kinds"], away.attempts) == ("board", ["external"], 5)
    assert away.deadline == fold(log.id, log.envelopes).started_at + timedelta(seconds=1000)
    log.choose(1, "r1s1")
    here, away = owed(oracle.charge_queries, log).work
    assert [(w.queue, w.payload["kinds"]) for w in (here, away)] == [("score", ["confirm"]), ("board", ["external"])]
    assert here.key != away.key
    log.score("r1s1", "confirm", 0.4)
    (left,) = owed(oracle.charge_queries, log).work
    assert left == away


def test_a_round_waits_for_the_bases_target_no_longer_than_for_any_other():
    log = told()
    asked_about_the_base(log)
    patience = log.campaign.constitution.budget.board_seconds
    begun = fold(log.id, log.envelopes).started_at
    so_far = (now(log) - begun).total_seconds()
    assert owed(policy.close_round, log, patience - so_far - 1) == NOTHING
    (chosen,) = owed(policy.close_round, log, patience - so_far).events
    assert (chosen.event.closed_by, chosen.event.expired) == ("deadline", ())


def test_a_base_that_is_long_overdue_is_not_waited_for_in_every_round():
    log = told()
    asked_about_the_base(log)
    log.at += log.campaign.constitution.budget.board_seconds
    log.choose(1, "r1s1")
    for kind in ("confirm", "external"):
        assert owed(oracle.assess_drift, log) == NOTHING
        log.score("r1s1", kind, 0.4)
    assert said(owed(oracle.assess_drift, log))[0] == "DriftAssessed"
