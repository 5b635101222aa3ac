"""Whether the log owes a job: a row of the work table is believed only if the service's own steps queue it.

A service's database password suffices to insert a row into its queues. The campaign is therefore folded from its events
once more, and the row must be the job that the steps queue under its key at some state of the log: that state may be a
later one than the first which owes the job, and a try may come long after it. So no row alone can have another model
trained or measured, other data drawn, another question asked, or a query spent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from eventstore.effect import Work
from eventstore.store import Job, Read
from judgement.history import History
from schemas.base import Frozen
from services.runtime.service import JobKind

REFUSED = "OrderRefused"
"""The log owes a job of this key, with another content: that job fails, so that the campaign goes on."""
UNKNOWN = "OrderUnknown"
"""The log owes no job of this key: nothing is recorded of it."""


@dataclass(frozen=True)
class Refusal:
    """Why a row is not carried out."""

    error: str
    """`REFUSED` or `UNKNOWN`."""
    message: str
    """What differs, and what to do about it."""
    expected: Job | None = None
    """The row with the content that the log owes; None if it owes none of that key."""


class Ledger:
    """Compares the rows of one queue with the log.

    The last campaign's fold is kept, because most rows are owed at its newest state: such a row costs the events since
    the last one. Any other costs the whole campaign.
    """

    def __init__(self, kind: JobKind) -> None:
        self.kind = kind
        self._history: History | None = None

    async def refusal(self, job: Job, read: Read) -> Refusal | None:
        """Why the log does not owe the job, or None if it does; a kind without steps is owed whatever is an order."""
        order, fault = self._parsed(job.payload)
        if self.kind.works_of is None:
            return self._refused(job, None, fault) if fault else None
        last = self._history if self._history is not None and self._history.id == job.campaign else None
        expected, is_same = await self._find(job, order, last, read) if last else (None, False)
        if not is_same:
            expected, is_same = await self._find(job, order, History(job.campaign), read)
        if expected is None:
            return self._refused(job, None, fault or "no step of the service queues it at any state of the log")
        if not is_same:
            other = "it differs from the job of this key that the log owes in order, cause, deadline or tries"
            return self._refused(job, expected, fault or other)
        assert self._history is not None
        missing = self.kind.missing(self._history, job)
        return self._refused(job, expected, missing) if missing else None

    async def _find(self, job: Job, order: Frozen | None, history: History, read: Read) -> tuple[Work | None, bool]:
        """What the steps queue under the job's key from a state of the campaign on, and whether that is the job."""
        expected, is_same = self._queued(job, order, history)
        async for envelope in read(job.campaign, history.position):
            history.apply(envelope)
            if not is_same:
                later, is_same = self._queued(job, order, history)
                expected = later or expected
        self._history = history
        return expected, is_same

    def _queued(self, job: Job, order: Frozen | None, history: History) -> tuple[Work | None, bool]:
        """What the steps queue under the job's key in this state, and whether that is the job."""
        expected = None
        for work in self._works(history, job.key):
            if (work.queue, work.key) == (job.queue, job.key):
                expected = work
                if self._same(job, order, work):
                    return work, True
        return expected, False

    def _works(self, history: History, key: str) -> list[Work]:
        assert self.kind.works_of is not None
        if history.campaign is None or history.closed:
            return []
        try:
            return list(self.kind.works_of(history, key))
        except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError):
            return []  # the steps fail in this state of the log too, and then queue nothing

    def _same(self, job: Job, order: Frozen | None, work: Work) -> bool:
        """Whether the row is the work that a step queues; orders of earlier releases may ask for fewer tries."""
        expected, _ = self._parsed(work.payload)
        return (
            order is not None
            and _under_its_rules(expected, order) == order
            and job.attempts <= work.attempts
            and job.deadline == work.deadline
            and work.cause in (None, job.cause)
        )

    def _parsed(self, payload: dict[str, Any]) -> tuple[Frozen | None, str]:
        """The order that a payload holds, or its first fault, without the value: that may be anything."""
        try:
            return self.kind.order.model_validate(payload), ""
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            return None, f"it holds no order ({'.'.join(map(str, first['loc']))}: {first['msg']})"

    def _refused(self, job: Job, expected: Work | None, what: str) -> Refusal:
        message = (
            f"job {job.key!r} of the queue {job.queue}: {what}; find out who inserted the row, and change that password"
        )
        if expected is None:
            return Refusal(UNKNOWN, message)
        return Refusal(REFUSED, message, replace(job, payload=expected.payload))


def _under_its_rules(expected: Any, order: Any) -> Any:
    """The owed order under the version of the decider's rules that the row names, where that is an earlier one.

    A row may have been queued before an upgrade that changed the rules.
    """
    ours, theirs = getattr(expected, "basis", None), getattr(order, "basis", None)
    if ours is None or theirs is None or theirs.rules >= ours.rules:
        return expected
    return expected.model_copy(update={"basis": ours.model_copy(update={"rules": theirs.rules})})
