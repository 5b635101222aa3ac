"""A first round whose data is given up ends the campaign, with the failure's class and message for a person."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from audit.narrate import narrate
from audit.recompute import recompute
from eventstore.effect import NOTHING
from eventstore.store import Job
from judgement.decisions import finish
from judgement.history import History, fold
from schemas import events as e
from schemas.envelope import campaign_stream, data_stream
from schemas.events import DataBatchReady
from schemas.scores import BASE, Cost
from services.console.report.data import Clock, build
from services.console.report.text import markdown
from services.console.view.table import campaign_table, headline
from services.data.snapshot_job import SNAPSHOT
from services.data.steps import refresh, reuse
from services.oracle.fingerprints.job import FINGERPRINTING
from services.oracle.orders import FingerprintOrder
from services.policy import steps as policy
from services.policy.app import SERVICE
from services.runtime.service import Failure, JobKind
from tests.typed import instance
from tests.unit.console_events import BASIS, BEGIN, Log
from tests.unit.runtime.test_steps import snapshot

MESSAGE = "paths: '/data/notes.jsonl' does not exist; correct the path"
FAILURE = e.DataFailed(
    round=1, attempt=9, error="SourceFailed", message=MESSAGE, cost=Cost(seconds=1, lost_seconds=300)
)
GIVEN_UP = Failure("SourceFailed", MESSAGE, terminal=True, cost=Cost(seconds=2.0, lost_seconds=299.0))


def opened() -> Log:
    log = Log()
    log.start()
    log.policy(1)
    return log


def given_up() -> Log:
    log = opened()
    log.say(data_stream(log.id, 1), FAILURE)
    return log


def ended() -> Log:
    """As the policy service ends it."""
    log = given_up()
    (append,) = policy.abandon(state(log), BEGIN).events
    log.say(append.subject, append.event)
    return log


def state(log: Log) -> History:
    return fold(log.id, log.envelopes)


def job(kind: JobKind, age: float) -> Job:
    log = opened()
    if kind is SNAPSHOT:
        payload = refresh(state(log), BEGIN).work[0].payload
    else:
        payload = FingerprintOrder(campaign=log.campaign, basis=BASIS).payload()
    common: dict[str, Any] = {"cause": None, "token": None, "deadline": None, "seconds_left": None}
    return Job(1, kind.queue, "k", log.id, json.loads(json.dumps(payload)), 9, 1_000, age_seconds=age, **common)


def shown(renderable: object) -> str:
    console = Console(width=300, force_terminal=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


@pytest.mark.parametrize("kind", [SNAPSHOT, FINGERPRINTING], ids=lambda kind: kind.queue)
def test_tries_end_with_the_data_deadline(kind: JobKind) -> None:
    patience = opened().campaign.constitution.budget.data_seconds
    assert not kind.gives_up(job(kind, patience - 10), 9.0)
    assert kind.gives_up(job(kind, patience - 10), 10.0)


@pytest.mark.parametrize("kind", [SNAPSHOT, FINGERPRINTING], ids=lambda kind: kind.queue)
def test_only_giving_up_is_an_event_and_it_charges_every_try(kind: JobKind) -> None:
    late = job(kind, 1e6)
    assert kind.failed(late, replace(GIVEN_UP, terminal=False)) == NOTHING
    (append,) = kind.failed(late, GIVEN_UP).events
    assert append.subject == data_stream(late.campaign, 1)
    assert append.event == e.DataFailed(round=1, attempt=9, error="SourceFailed", message=MESSAGE, cost=GIVEN_UP.cost)


def test_the_campaign_ends_once_its_first_data_is_given_up() -> None:
    assert policy.abandon(state(opened()), BEGIN) == NOTHING
    assert policy.abandon in SERVICE.reactions["DataFailed"]
    assert policy.abandon in SERVICE.reactions["CampaignResumed"], "it may have been paused meanwhile"
    log = given_up()
    (append,) = policy.abandon(state(log), BEGIN + timedelta(days=1)).events
    assert append.subject == campaign_stream(log.id)
    finished = append.event
    assert isinstance(finished, e.CampaignFinished)
    assert (finished.reason, finished.winner, finished.gain.mean) == ("no data", BASE, 0.0)
    assert "SourceFailed" in finished.why
    assert state(log).spent.lost_seconds == 300
    assert state(ended()).closed


def test_a_later_round_goes_on_with_the_last_snapshot() -> None:
    log = opened()
    snapshot(log, 1)
    log.policy(2)
    log.say(data_stream(log.id, 2), FAILURE.model_copy(update={"round": 2}))
    assert policy.abandon(state(log), BEGIN) == NOTHING
    patience = log.campaign.constitution.budget.data_seconds
    late = log.envelopes[-1].time + timedelta(seconds=patience)
    assert [instance(DataBatchReady, append.event).reused for append in reuse(state(log), late).events] == [True]


def test_the_end_replays_to_the_same_bytes() -> None:
    log = ended()
    assert recompute(log.envelopes, log.envelopes[-1]).identical


def test_an_end_of_earlier_releases_keeps_its_bytes() -> None:
    log = Log()
    log.start()
    log.finish("base")
    assert "reason" not in log.envelopes[-1].data
    assert log.envelopes[-1].event.reason == "complete"
    assert finish(state(given_up())).model_dump(mode="json")["reason"] == "no data"


def test_status_narration_report_and_audit_name_the_failure() -> None:
    log = ended()
    history = state(log)
    assert headline(history, {}, datetime.now(UTC)) == f"{log.id}  ended: no data for round 1"
    table = shown(campaign_table(history, {}, datetime.now(UTC)))
    assert f"SourceFailed: {MESSAGE}" in table
    assert f"round 1 is given up after try 9: SourceFailed: {MESSAGE}" in narrate(log.envelopes[-2])
    assert narrate(log.envelopes[-1]).startswith("ended without data: No data could be made for round 1")
    report = build(history, log.envelopes, Clock())
    assert report["finished"]
    assert "better than the base" not in markdown(report)
    assert "No data could be made for round 1" in markdown(report)


def test_the_waiting_campaign_says_the_same_before_the_policy_has_decided() -> None:
    assert f"SourceFailed: {MESSAGE}; given up after try 9" in shown(campaign_table(state(given_up()), {}, BEGIN))
