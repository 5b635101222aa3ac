"""Whether the log owes a measurement: an order in the work table is believed only if the oracle's own steps queue it.

A service's database password may suffice to insert a row into the work table. The campaign is therefore folded from its
events once more, and the order must be one that the steps queue at some state of the log; a query of the target or of
the final set must be reserved as well. So no row alone can have another model measured, or spend a query.
"""

from __future__ import annotations

from eventstore.store import EventStore, Job
from judgement.history import History
from schemas.base import digest
from schemas.envelope import fingerprint_stream
from services.oracle.orders import FingerprintOrder, measurement
from services.oracle.steps import PAID, works_of
from services.runtime.jobs.runner import JobFailed

REFUSED = "OrderRefused"
"""The log owes a job of this key, with another content: its sets fail, so that the campaign goes on."""
UNKNOWN = "OrderUnknown"
"""The log owes no job of this key: nothing is recorded of it."""


async def check(job: Job, store: EventStore) -> None:
    """Raise `JobFailed` unless the log owes the job's order."""
    order, history, has_key = measurement(job), History(job.campaign), False
    owes = False
    async for envelope in store.read(campaign=job.campaign):
        history.apply(envelope)
        if owes or history.campaign is None or history.closed or order.candidate not in history.trials:
            continue
        works = [work for work in works_of(history, order.candidate) if (work.queue, work.key) == (job.queue, job.key)]
        has_key = has_key or bool(works)
        owes = any(measurement(work) == order for work in works)
    paid = {(reserved.candidate, reserved.kind) for reserved in history.reservations}
    missing = [kind for kind in order.kinds if kind in PAID and (order.candidate, kind) not in paid]
    if owes and not missing:
        return
    what = (
        f"no query of {missing[0]} is reserved" if owes else "no step of the oracle queues it at any state of the log"
    )
    raise JobFailed(
        REFUSED if has_key else UNKNOWN,
        f"job {job.key} of the queue {job.queue}: {what}; find out who inserted the row, and change that password",
    )


async def check_fingerprints(job: Job, store: EventStore) -> None:
    """Raise `JobFailed` unless the log owes fingerprints of the order's campaign."""
    order, history = FingerprintOrder.model_validate(job.payload), History(job.campaign)
    async for envelope in store.read(campaign=job.campaign):
        history.apply(envelope)
        if history.campaign is not None:
            break
    owes = history.campaign is not None and history.unpublished and job.key == fingerprint_stream(job.campaign)
    basis = (digest(order.campaign), order.campaign.seed)
    if not owes or order.campaign != history.campaign or basis != (order.basis.digest, order.basis.seed):
        raise JobFailed(
            REFUSED if owes else UNKNOWN,
            f"job {job.key} of the queue {job.queue}: the log owes no such fingerprints; find out who inserted the row "
            "and change that password",
        )
