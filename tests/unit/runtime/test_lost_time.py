"""Whoever ends a job charges the time in which its earlier workers died without a word (design rule 8)."""

from types import SimpleNamespace

import pytest

from eventstore.work import Job
from schemas.evidence import Coverage
from schemas.scores import Receipt
from services.data.job import Snapshot
from services.data.snapshot_job import SNAPSHOT
from services.oracle.boards.job import ASKING
from services.oracle.job import Evaluated, Measured
from services.oracle.score_job import SCORING
from services.trainer.adapter_job import TRAINING
from services.trainer.job import Trained
from tests.unit.loopworld import SHA, STAMP, data_ready
from tests.unit.searchcases import even, opened, scored_round

RECEIPT = Receipt(uri="x", sha256=SHA)
SPENT = {"tokens": 10, "seconds": 1.0, "device_seconds": 1.0}
PROPOSED = scored_round().trials["r1s1"].proposed.model_dump(mode="json")


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


def job(lost):
    basis = opened().snapshots[1].basis.model_dump(mode="json")
    payload = {
        "proposed": PROPOSED,
        "substrate": {"active_parameters": 2},
        "candidate": "r1s1",
        "kinds": ["external"],
        "round": 1,
        "basis": basis,
    }
    about = {"id": 1, "queue": "q", "key": "k", "campaign": "c", "payload": payload, "cause": None}
    return Job(**about, attempt=2, attempts=3, token=None, deadline=None, seconds_left=None, lost_seconds=lost)


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("lost", [0.0, 60.0])
def test_lost_time_is_charged_once(name, lost):
    kind, result = ENDS[name]
    costs = [append.event.cost for append in kind.finished(job(lost), result).events]
    assert sum(cost.lost_seconds for cost in costs) == lost
    assert costs[0].seconds == 1.0
