"""A host that measures otherwise than the base was measured (design rule 4)."""

from typing import Any

import pytest

from eventstore.store import Job
from schemas.base import digest
from schemas.campaign import ItemSet
from schemas.events import ScoresReported
from schemas.scores import BASE, Receipt
from schemas.tasks import Guard, TaskList
from services.oracle import steps
from services.oracle.job import Evaluated, EvaluationJob, ListedSet, Measured, OtherStamp, Reference, SealedSet
from services.oracle.orders import ScoreOrder
from services.oracle.reference import base_measurement
from services.oracle.score_job import finished
from tests.typed import instance, there
from tests.unit.loopworld import SHA, STAMP
from tests.unit.searchcases import even, scored_round

OTHER = STAMP.model_copy(update={"engine": "another"})
SPEC = ItemSet(items=4)


def asking(*kinds, known=(), **given):
    sets = tuple(SealedSet(kind=kind, spec=SPEC, nonce="n") for kind in kinds)
    reference = Reference(stamp=STAMP, dev=SealedSet(kind="dev", spec=SPEC, nonce="base"), known=known)
    lengths = {"max_length": 64, "max_new_tokens": 8}
    places = {"base": "b", "adapter": "a", "sha256": SHA, "key_file": "k", "out": "o", "copies": "c"}
    return EvaluationJob(
        candidate="r1s1", sets=sets, domains=("bits",), reference=reference, **lengths, **places, **given
    )


@pytest.mark.parametrize("kinds", [("dev",), ("confirm", "external"), ("final",)])
def test_a_host_like_the_base_s_owes_nothing(kinds):
    assert base_measurement(asking(*kinds), STAMP) is None


@pytest.mark.parametrize("kind", ["dev", "confirm"])
def test_another_host_measures_the_base_on_dev_without_the_candidate_s_adapter(kind):
    base = there(base_measurement(asking(kind), OTHER))
    assert (base.candidate, base.adapter, base.reference) == (BASE, None, None)
    assert [(asked.kind, asked.nonce) for asked in base.sets] == [("dev", "base")]


def test_once_is_enough():
    assert base_measurement(asking("dev", known=(digest(OTHER),)), OTHER) is None


@pytest.mark.parametrize("kinds", [("external",), ("confirm", "external"), ("final",)])
def test_no_query_is_spent_where_nothing_can_be_compared(kinds):
    with pytest.raises(OtherStamp, match=rf"^{kinds[-1]}: this host measures with engine 'another' \(the base with"):
        base_measurement(asking(*kinds), OTHER)


def test_guards_are_left_to_a_host_like_the_base_s():
    guard = Guard(name="general", tasks=[{"task": "t", "metric": "acc"}], bound=0.1)
    with pytest.raises(OtherStamp, match=r"^guards: "):
        base_measurement(asking("confirm", guards=(guard,)), OTHER)


def test_a_dev_that_is_a_list_of_tasks_is_compared_by_the_host_and_measured_again_as_a_list():
    """What its tasks add to the stamp is known only once they are measured."""
    listed = ListedSet(kind="dev", tasks=TaskList(tasks=[{"task": "t", "metric": "acc"}]))
    base = STAMP.model_copy(update={"harness": "lm-eval 1; t 1.0, acc", "template_sha256": "a" * 64})
    job = asking("external").model_copy(update={"reference": Reference(stamp=base, dev=listed)})
    own = STAMP.model_copy(update={"harness": "lm-eval 1, greedy, no penalties"})
    assert base_measurement(job, own) is None
    with pytest.raises(OtherStamp, match="engine 'another'"):
        base_measurement(job, own.model_copy(update={"engine": "another"}))
    with pytest.raises(OtherStamp, match="harness 'lm-eval 2"):
        base_measurement(job, own.model_copy(update={"harness": "lm-eval 2, greedy, no penalties"}))
    dev = job.model_copy(update={"sets": (), "lists": (listed,)})
    again = there(base_measurement(dev, own.model_copy(update={"engine": "another"})))
    assert (again.candidate, again.sets, again.lists) == (BASE, (), (listed,))


def order(history, candidate, kind):
    """The order of a measurement, as the step queues it."""
    trial = history.trials[candidate] if candidate != BASE else history.base
    return ScoreOrder.model_validate(steps._works(history, trial, (kind,), trial.round)[0].payload)


def test_a_job_knows_how_the_base_was_measured_and_the_base_s_own_does_not():
    history = scored_round()
    history.references["f" * 64] = even(0.3)
    reference = order(history, "r1s1", "dev").reference
    assert (reference.stamp, reference.known) == (STAMP, ("f" * 64,))
    assert order(history, BASE, "external").reference is None


def test_the_base_s_score_is_said_before_the_score_that_it_moves():
    taken = {"receipt": Receipt(uri="r", sha256=SHA), "stamp": OTHER, "tokens": 1, "seconds": 1, "device_seconds": 1}
    measured = Measured(kind="dev", scores=even(0.4), **taken)
    payload = order(scored_round(), "r1s1", "dev").payload()
    about = {"id": 1, "queue": "score", "campaign": "c", "key": "c/r1s1/dev", "payload": payload, "attempt": 1}
    rest: dict[str, Any] = {"cause": None, "attempts": 2, "token": None, "deadline": None}
    rest |= {"seconds_left": None, "lost_seconds": 0.0}
    events = finished(
        Job(**about, **rest), Evaluated(candidate="r1s1", measured=(measured,), reference=measured)
    ).events
    said = [(one.subject, instance(ScoresReported, one.event).candidate) for one in events]
    assert said == [("c/base", BASE), ("c/r1s1", "r1s1")]
