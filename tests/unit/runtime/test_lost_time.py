"""The end of a job charges the time that crashed workers lost, and a failure names its try (design rule 8)."""

from types import SimpleNamespace
from typing import Any

import pytest

from eventstore.effect import Append
from eventstore.work import Job
from schemas.evidence import Coverage
from schemas.scores import Cost, Receipt
from services.data.job import Snapshot
from services.data.orders import DataOrder
from services.data.snapshot_job import SNAPSHOT
from services.oracle.boards.job import ASKING
from services.oracle.job import Evaluated, Measured
from services.oracle.orders import ScoreOrder
from services.oracle.score_job import SCORING
from services.runtime.service import Failure
from services.trainer.adapter_job import TRAINING
from services.trainer.job import Trained
from services.trainer.orders import TrainOrder
from tests.typed import instance
from tests.unit.loopworld import SHA, STAMP, data_ready
from tests.unit.searchcases import even, opened, scored_round

RECEIPT = Receipt(uri="x", sha256=SHA)
SPENT = {"tokens": 10, "seconds": 1.0, "device_seconds": 1.0}
ROUND = scored_round()
TRAIN_ORDER = TrainOrder(
    proposed=ROUND.trials["r1s1"].proposed,
    substrate=ROUND.substrate,
    model=ROUND.campaign.model,
    snapshot=SHA,
    snapshot_uri="memory:",
)


def scored(kind):
    return Measured(kind=kind, scores=even(0.5), receipt=RECEIPT, stamp=STAMP, **SPENT)


def data():
    ready = data_ready(1)
    kept = {name: getattr(ready, name) for name in ("snapshot", "uri", "rows", "tokens", "yields")}
    return Snapshot(seconds=1.0, device_seconds=1.0, **kept)


COVERAGE = Coverage(modules={}, trainable=1, moved=1)
TRAINED = Trained(
    candidate="r1s1", uri="x", sha256=SHA, coverage=COVERAGE, loss=0.1, too_long=0, resumed_from=0, **SPENT
)
ENDS = {
    "training": (TRAINING, TRAINED),
    "scoring": (SCORING, Evaluated(candidate="r1s1", measured=(scored("dev"), scored("confirm")))),
    "asking": (ASKING, SimpleNamespace(scores=even(0.5), receipt=RECEIPT, stamp=STAMP, seconds=1.0)),
    "data": (SNAPSHOT, data()),
}


SCORE_ORDER = ScoreOrder(
    candidate="r1s1",
    kinds=("external",),
    round=1,
    checkpoint=ROUND.trials["r1s1"].checkpoint,
    substrate=ROUND.substrate,
    campaign=ROUND.campaign,
)


def job(kind, *, attempt=2, lost=0.0):
    history = opened()
    ground = history.snapshots[1].basis
    if kind is TRAINING:
        payload = TRAIN_ORDER.model_dump(mode="json")
    elif kind in (SCORING, ASKING):
        payload = SCORE_ORDER.payload()
    else:
        order = DataOrder(round=1, policy=history.policy, campaign=history.campaign, basis=ground)
        payload = order.model_dump(mode="json")
    about: dict[str, Any] = {"id": 1, "queue": "q", "key": "k", "campaign": "c", "payload": payload, "cause": None}
    return Job(**about, attempt=attempt, attempts=3, token=None, deadline=None, seconds_left=None, lost_seconds=lost)


def cost_of(append: Append) -> Cost:
    return instance(Cost, getattr(append.event, "cost", None))


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("lost", [0.0, 60.0])
def test_lost_time_is_charged_once(name, lost):
    kind, result = ENDS[name]
    costs = [cost_of(append) for append in kind.finished(job(kind, lost=lost), result).events]
    assert sum(cost.lost_seconds for cost in costs) == lost
    assert costs[0].seconds == 1.0


def test_giving_up_a_rounds_data_charges_its_cost():
    cost = Cost(seconds=7.0, device_seconds=3.0, lost_seconds=60.0)
    failure = Failure(error="WorkerLost", message="the job's process died", terminal=True, cost=cost)
    assert [cost_of(append) for append in SNAPSHOT.failed(job(SNAPSHOT, attempt=0), failure).events] == [cost]


@pytest.mark.parametrize("kind", [TRAINING, SCORING, ASKING], ids=lambda kind: kind.queue)
@pytest.mark.parametrize(("attempt", "told"), [(0, 1), (1, 1), (2, 2), (3, 3)])
def test_a_failure_names_its_try_and_charges_its_cost_once(kind, attempt, told):
    cost = Cost(seconds=7.0, device_seconds=3.0, lost_seconds=60.0)
    failure = Failure(error="WorkerLost", message="the job's process died", terminal=attempt == 3, cost=cost)
    events = [append.event for append in kind.failed(job(kind, attempt=attempt), failure).events]
    assert events
    for event in events:
        assert (event.candidate, event.attempt, event.terminal) == ("r1s1", told, attempt == 3)
        assert (event.error, event.message) == ("WorkerLost", "the job's process died")
    assert [event.cost for event in events if event.cost != Cost()] == [cost]
