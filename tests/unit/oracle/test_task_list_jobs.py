"""When task lists and guards are measured, by which job, and what its end says."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from eventstore.store import Job
from judgement.drift.assess import assess
from judgement.guards import objection
from judgement.profile import profile
from schemas import events as e
from schemas.campaign import Campaign
from schemas.envelope import candidate_stream
from schemas.events import GuardsReported, GuardsUnmeasured
from schemas.scores import Cost, Stamp
from schemas.targets import BoardTarget
from schemas.tasks import TaskScore, TaskTarget
from services.oracle import score_job
from services.oracle import steps as oracle
from services.oracle.job import Evaluated, Guarded, Measured
from services.policy import steps as policy
from services.runtime.service import Failure
from services.runtime.settings import Settings
from tests.typed import instance, there
from tests.unit.console_events import RECEIPT, STAMP, Log
from tests.unit.judgement.test_guards import REFUSALS, suite
from tests.unit.runtime.test_steps import ended, measured_base, owed, state
from tests.unit.searchcases import scored_round, with_scores

TARGET = TaskTarget(kind="tasks", tasks=(TaskScore(task="Sums", metric="acc"),), include="tasks", limit=7)
BOARD = BoardTarget(url="https://board.example", items=50)


def begun(**law) -> Log:
    log = Log()
    constitution = log.campaign.constitution.model_copy(update={"guards": (REFUSALS,), **law})
    log.campaign = log.campaign.model_copy(update={"constitution": constitution})
    log.start()
    return log


def report(log: Log, candidate: str, stamp: Stamp = STAMP) -> None:
    event = GuardsReported(candidate=candidate, suites=suite(80), receipt=RECEIPT, stamp=stamp, cost=Cost(tokens=5))
    log.say(candidate_stream(log.id, candidate), event)


def chosen(**law) -> Log:
    log = begun(**law)
    log.policy(1)
    for slot in range(2):
        log.propose(1, slot, log.campaign.recipe, **({"rank": 8} if slot else {}))
    ended(log)
    measured_base(log)
    report(log, "base")
    log.choose(1, "r1s1")
    return log


def leased(work, attempt: int = 1) -> Job:
    return Job(
        queue=work.queue,
        key=work.key,
        campaign=work.campaign,
        payload=work.payload,
        attempt=attempt,
        attempts=2,
        token=UUID(int=1),
        id=1,
        deadline=None,
        seconds_left=None,
        cause=None,
    )


def prepared(work, monkeypatch, tmp_path):
    monkeypatch.setattr(score_job, "base_folder", lambda _: tmp_path)
    places = {"oracle_key_file": tmp_path / "key", "artifacts": str(tmp_path), "work": tmp_path}
    settings = Settings(**places)
    payload = {**work.payload, "checkpoint": None}
    return score_job.prepare(leased(replace(work, payload=payload)), settings)


def test_guards_are_measured_at_the_start_and_on_the_chosen_alone() -> None:
    (base,) = owed(oracle.measure_base, begun()).work
    assert (base.payload["guards"], base.key.endswith("base/dev+confirm+external+guards")) == (True, True)
    log = begun()
    log.policy(1)
    log.propose(1, 0, log.campaign.recipe)
    log.train(1, 0, 1, 2)
    (dev,) = owed(oracle.measure_dev, log).work
    assert "guards" not in dev.payload
    (asked,) = owed(oracle.charge_queries, chosen()).work
    assert (asked.payload["candidate"], asked.payload["guards"]) == ("r1s1", True)


def test_whoever_was_measured_on_the_guards_is_not_again() -> None:
    log = chosen()
    report(log, "r1s1")
    (asked,) = owed(oracle.charge_queries, log).work
    assert "guards" not in asked.payload
    assert asked.key.endswith("r1s1/confirm+external")


@pytest.mark.parametrize("asked", [("r1s1",), ()])
def test_a_board_is_asked_for_the_target_alone_the_guards_are_measured_here(asked) -> None:
    log = chosen(target=BOARD)
    if not asked:  # the target alone, without a confirmation
        data = log.envelopes[-1].data
        log.envelopes[-1] = log.envelopes[-1].model_copy(update={"data": {**data, "confirm": []}})
    here, board = owed(oracle.charge_queries, log).work
    assert (here.queue, here.payload["kinds"], here.payload["guards"]) == ("score", ["confirm"] * len(asked), True)
    assert (board.queue, board.payload["kinds"], "guards" in board.payload) == ("board", ["external"], False)
    report(log, "r1s1")
    if asked:
        log.score("r1s1", "confirm", 0.4)
    assert [work.queue for work in owed(oracle.charge_queries, log).work] == ["board"]


def test_guards_under_another_stamp_than_the_bases_are_set_aside_whoever_came_first() -> None:
    other = STAMP.model_copy(update={"harness": "another version"})
    late = begun()
    late.policy(1)
    late.propose(1, 0, late.campaign.recipe)
    for log, order in ((chosen(), ["r1s1"]), (late, ["r1s0", "base"])):
        for candidate in order:
            report(log, candidate, STAMP if candidate == "base" else other)
        trial = state(log).trials[order[0]]
        assert (trial.guards, trial.unguarded, trial.guarded) == ({}, "OtherStamp", True)
        assert "was not measured on the guards as the base was" in there(objection(state(log), trial))


@pytest.mark.parametrize("allowed", [True, False])
def test_whether_code_may_run_is_what_the_constitution_says(monkeypatch, tmp_path, allowed) -> None:
    (base,) = owed(oracle.measure_base, begun(run_code=allowed)).work
    assert prepared(base, monkeypatch, tmp_path).run_code is allowed


def test_without_guards_no_job_speaks_of_them() -> None:
    (base,) = owed(oracle.measure_base, begun(guards=())).work
    assert "guards" not in base.payload


def test_a_round_waits_for_the_guards_of_the_base_and_of_the_chosen() -> None:
    log = begun()
    log.policy(1)
    log.propose(1, 0, log.campaign.recipe)
    ended(log, slots=1)
    measured_base(log)
    assert not owed(policy.close_round, log).events
    report(log, "base")
    assert owed(policy.close_round, log).events
    log = chosen()
    for kind in ("confirm", "external"):
        log.score("r1s1", kind, 0.4)
    assert not owed(oracle.assess_drift, log).events
    report(log, "r1s1")
    assert owed(oracle.assess_drift, log).events


def test_a_measurement_of_the_guards_that_failed_for_good_is_waited_for_no_longer() -> None:
    log = chosen()
    for kind in ("confirm", "external"):
        log.score("r1s1", kind, 0.4)
    about = {"candidate": "r1s1", "error": "TaskRefused", "message": "m", "cost": Cost(tokens=3)}
    log.say(log.of(1, 1), GuardsUnmeasured(attempt=1, terminal=False, **about))
    assert not owed(oracle.assess_drift, log).events
    log.say(log.of(1, 1), GuardsUnmeasured(attempt=2, terminal=True, **about))
    assert owed(oracle.assess_drift, log).events
    assert state(log).trials["r1s1"].unguarded == "TaskRefused"
    assert state(log).spent.tokens == 2 * 1000 + 5 + 2 * 3


def test_a_target_of_tasks_takes_the_place_of_the_external_set_and_of_no_other(monkeypatch, tmp_path) -> None:
    log = begun(target=TARGET)
    (base,) = owed(oracle.measure_base, log).work
    job = prepared(base, monkeypatch, tmp_path)
    assert [asked.kind for asked in job.sets] == ["dev", "confirm"]
    (listed,) = job.lists
    assert (listed.kind, listed.tasks.tasks, listed.tasks.limit) == ("external", TARGET.tasks, 7)
    assert job.guards == (REFUSALS,)


def test_the_final_set_is_the_oracles_unless_the_target_names_tasks() -> None:
    law = begun(target=TARGET).campaign.constitution
    assert set(law.lists) == {"external"}
    named = TARGET.model_copy(update={"final": (TaskScore(task="Other", metric="acc"),)})
    assert law.model_copy(update={"target": named}).lists["final"].tasks == named.final


def test_a_final_query_of_named_tasks_asks_nothing_of_the_sealed_set(monkeypatch, tmp_path) -> None:
    named = TARGET.model_copy(update={"final": (TaskScore(task="Other", metric="acc"),)})
    (work,) = owed(oracle.charge_queries, chosen(target=named)).work
    work = replace(work, payload={**work.payload, "kinds": ["final"]})
    job = prepared(work, monkeypatch, tmp_path)
    assert job.sets == ()
    assert [(asked.kind, asked.tasks.tasks, asked.tasks.include) for asked in job.lists] == [
        ("final", named.final, named.include)
    ]


def test_a_campaign_with_target_and_guards_is_read_back_from_the_log_as_it_was() -> None:
    campaign = begun(target=TARGET).campaign
    assert Campaign.model_validate_json(campaign.model_dump_json()) == campaign


def test_the_drift_test_sees_one_number_of_other_tasks_and_each_domain_of_tasks_named_so() -> None:
    history = scored_round()
    with_scores(history, "r1s1", external=0.3)
    history.trials["r1s1"].stamps["external"] = history.base.stamps["external"]
    assert profile(history).itemised
    for candidate in ("base", "r1s1"):
        history.trials[candidate].scores["external"] = suite(30)["refusals"]
    assert not profile(history).itemised
    assert profile(history).target("r1s1", [0, 1]) == pytest.approx(0.3)
    assert "r1s1" in assess(history, 1).evidence


def test_a_finished_job_says_a_score_per_set_and_one_report_of_the_guards() -> None:
    (work,) = owed(oracle.charge_queries, chosen()).work
    taken = {"receipt": RECEIPT, "stamp": STAMP, "tokens": 10, "seconds": 1.0, "device_seconds": 1.0}
    measured = tuple(Measured(kind=kind, scores=suite(50)["refusals"], **taken) for kind in ("confirm", "external"))
    result = Evaluated(candidate="r1s1", measured=measured, guarded=Guarded(suites=suite(80), **taken))
    said = [append.event for append in score_job.finished(leased(work), result).events]
    assert [type(event).__name__ for event in said] == ["ScoresReported", "ScoresReported", "GuardsReported"]
    guards = instance(e.GuardsReported, said[-1])
    assert guards.suites == suite(80)
    assert guards.cost.compute == 10 * 360_000


@pytest.mark.parametrize("kinds", [("confirm", "external"), ()])
def test_a_failed_job_says_so_of_all_that_it_was_to_measure_and_charges_it_once(kinds) -> None:
    (work,) = owed(oracle.charge_queries, chosen()).work
    work = replace(work, payload={**work.payload, "kinds": list(kinds)})
    failure = Failure(error="TaskRefused", message="m", terminal=True, cost=Cost(tokens=9))
    said = [append.event for append in score_job.failed(leased(work), failure).events]
    assert [getattr(event, "kind", "guards") for event in said] == [*kinds, "guards"]
    assert all(isinstance(event, e.EvaluationFailed | GuardsUnmeasured) for event in said)
    assert sum(instance(Cost, getattr(event, "cost", None)).tokens for event in said) == 9
