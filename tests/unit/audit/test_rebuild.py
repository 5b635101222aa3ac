"""The jobs that follow from a campaign's events, and how the log says that they ended."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from audit.projections import _of_later
from audit.rebuild import CampaignJobs
from eventstore.projections import Deviation
from judgement.decisions import first_policy, propose
from judgement.history import History
from schemas import events as e
from schemas.base import canonical_json
from schemas.envelope import Envelope
from schemas.events import CampaignPaused, CampaignResumed, CampaignStopped, GuardsReported
from schemas.scores import BASE, Cost
from tests.unit.judgement.test_guards import REFUSALS, suite
from tests.unit.loopworld import World, campaign, data_ready, report, source_of, started, trained

T0 = datetime(2026, 1, 1, tzinfo=UTC)
KEY = ("train", "test/r1s0")


class Telling:
    """Events told to the rebuilding, one a second, each an effect of its own unless a cause is named."""

    def __init__(self):
        self.jobs, self.number = CampaignJobs(History("test")), 0

    def say(self, *events, source=None, cause=None):
        for event in events:
            self.number += 1
            self.jobs.take(
                Envelope(
                    id=UUID(int=self.number),
                    source=source or source_of(event),
                    type=type(event).__name__,
                    subject="test",
                    time=T0 + timedelta(seconds=self.number),
                    sequence=self.number,
                    stream_version=self.number,
                    correlationid="test",
                    causationid=cause,
                    data=event.model_dump(mode="json"),
                )
            )
        return self

    @property
    def rebuilt(self):
        return {(job.work.queue, job.work.key): job for job in self.jobs.rebuilt()}


@pytest.fixture
def proposed():
    """A campaign whose first candidates are proposed."""
    telling = Telling().say(started(campaign(rounds=2)))
    telling.say(first_policy(telling.jobs.history)).say(data_ready(1))
    return telling.say(*propose(telling.jobs.history))


def failed(attempt, *, terminal):
    return e.TrainingFailed(
        candidate="r1s0", attempt=attempt, error="E", message="m", terminal=terminal, cost=Cost(seconds=1)
    )


def unmeasured(kind, *, terminal):
    return e.EvaluationFailed(
        candidate=BASE, kind=kind, attempt=2, error="E", message="m", terminal=terminal, cost=Cost()
    )


def begun(attempt):
    return e.TrainingStarted(candidate="r1s0", attempt=attempt, worker="w")


def test_every_service_that_works_owes_its_jobs(proposed):
    rebuilt = proposed.rebuilt
    assert {queue for queue, _ in rebuilt} == {"data", "train", "score"}
    assert ("score", "test/base/dev+confirm+external") in rebuilt
    assert len([key for key in rebuilt if key[0] == "train"]) == 5
    assert {job.consumer for job in rebuilt.values()} == {"data", "trainer", "oracle"}
    assert [job.due for key, job in rebuilt.items() if key[0] == "train"] == [True] * 5
    assert [job.due for key, job in rebuilt.items() if key[0] == "data"] == [False]


@pytest.mark.parametrize(
    ("events", "states", "tries"),
    [
        ([], ("queued", "leased"), (0, 0)),
        ([begun(1)], ("queued", "leased"), (0, 1)),
        ([begun(1), failed(1, terminal=False)], ("queued", "leased"), (0, 1)),
        ([begun(1), failed(1, terminal=False), begun(2)], ("queued", "leased"), (1, 2)),
        ([begun(1), failed(1, terminal=False), begun(2), failed(2, terminal=True)], ("failed",), (2, 2)),
        ([failed(1, terminal=True)], ("failed",), (0, 1)),
    ],
)
def test_the_state_and_the_tries_of_a_training_follow_from_its_events(proposed, events, states, tries):
    job = proposed.say(*events).rebuilt[KEY]
    assert (job.states, job.tries) == (states, tries)
    assert (job.logged_at is None) == (not events)


def test_a_trained_candidate_is_done_and_owed_its_score(proposed):
    recipe = proposed.jobs.history.trials["r1s0"].recipe
    rebuilt = proposed.say(begun(1), trained("r1s0", recipe)).rebuilt
    assert (rebuilt[KEY].states, rebuilt[KEY].tries, rebuilt[KEY].due) == (("done",), (1, 1), False)
    assert rebuilt["score", "test/r1s0/dev"].due


def test_a_stop_may_cancel_what_is_open_and_nothing_else(proposed):
    proposed.say(begun(1), failed(1, terminal=True), CampaignStopped(by="me", reason="enough"))
    rebuilt = proposed.rebuilt
    assert rebuilt[KEY].states == ("failed",)
    assert rebuilt["train", "test/r1s1"].states == ("queued", "leased", "cancelled")
    assert not any(job.due for job in rebuilt.values())


def test_a_job_that_was_queued_before_a_pause_belongs_to_the_log(proposed):
    """Paused by the same hand that started it, so that the two events stand beside each other."""
    telling = Telling().say(started(campaign()), CampaignPaused(by="me", reason="r"), source="aevolve/console")
    (job,) = telling.rebuilt.values()
    assert not job.due
    telling.say(CampaignResumed(by="me", reason="r"), source="aevolve/console")
    (job,) = telling.rebuilt.values()
    assert job.due


def test_a_measurement_ends_when_all_its_sets_have(proposed):
    key, world = ("score", "test/base/dev+confirm+external"), World()

    def states(*events):
        return proposed.say(*events, cause=UUID(int=1)).rebuilt[key].states

    assert states(unmeasured("dev", terminal=False)) == ("queued", "leased")
    assert states(*(unmeasured(kind, terminal=True) for kind in ("dev", "confirm", "external"))) == ("failed",)
    scores = (report(BASE, kind, world.scores(BASE, None, kind, 0)) for kind in ("dev", "confirm", "external"))
    assert states(*scores) == ("done",)


def test_a_measurement_with_guards_ends_when_they_are_reported_too():
    of = campaign(guards=(REFUSALS,))
    telling, key, world = Telling().say(started(of)), ("score", "test/base/dev+confirm+external+guards"), World()

    def states(*events):
        return telling.say(*events, cause=UUID(int=1)).rebuilt[key].states

    scores = (report(BASE, kind, world.scores(BASE, None, kind, 0)) for kind in ("dev", "confirm", "external"))
    assert states(*scores) == ("queued", "leased")
    scored = report(BASE, "dev", world.scores(BASE, None, "dev", 0))
    about = {"receipt": scored.receipt, "stamp": scored.stamp, "cost": scored.cost}
    assert states(GuardsReported(candidate=BASE, suites=suite(80), **about)) == ("done",)


def test_a_snapshot_that_was_used_again_says_nothing_of_its_job(proposed):
    key = ("data", "test/round/1")
    assert proposed.rebuilt[key].states == ("done",)
    assert proposed.rebuilt[key].work.payload["basis"] == data_ready(1).basis.model_dump()
    telling = Telling().say(started(campaign()))
    telling.say(first_policy(telling.jobs.history))
    assert telling.rebuilt[key].states == ("queued", "leased", "failed")
    telling.say(data_ready(1).model_copy(update={"reused": True}))
    assert len(telling.rebuilt[key].states) == 5
    assert telling.rebuilt[key].logged_at is None


def test_a_campaign_with_emitted_events_is_marked(proposed):
    assert not proposed.jobs.by_hand
    telling = Telling().say(started(campaign().model_copy(update={"test": True})))
    telling.say(first_policy(telling.jobs.history), source="aevolve/console")
    assert telling.jobs.by_hand
    assert not telling.jobs.history.unreadable


def test_a_measurement_may_have_been_queued_after_the_bases_own_had_come(proposed):
    proposed.say(begun(1), trained("r1s0", proposed.jobs.history.trials["r1s0"].recipe))
    key = ("score", "test/r1s0/dev")
    assert "reference" not in proposed.rebuilt[key].work.payload
    assert proposed.jobs.later == {}
    proposed.say(report(BASE, "dev", World().scores(BASE, None, "dev", 0)))
    assert "reference" not in proposed.rebuilt[key].work.payload
    [late] = proposed.jobs.later[key]
    assert late.payload["reference"]["stamp"]

    told = {f"{queue} {name}": works for (queue, name), works in proposed.jobs.later.items()}
    live, first = (canonical_json(payload) for payload in (late.payload, proposed.rebuilt[key].work.payload))
    queued_late = Deviation("work", " ".join(key), "payload", live, first)
    assert _of_later(queued_late, told)
    assert not _of_later(replace(queued_late, row="score test/r1s1/dev"), told)
    altered = {**late.payload, "reference": {**late.payload["reference"], "known": ["f" * 64]}}
    assert not _of_later(replace(queued_late, live=canonical_json(altered)), told)
    assert not _of_later(replace(queued_late, field="state"), told)
