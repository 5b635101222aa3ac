"""A service, as data: which step follows which event, which jobs it runs, and nothing about how.

A step looks at a campaign's whole history and says what this service owes it now; it is a pure function, so a message
handled twice, late or out of order leads to the same state, and a message lost is made good by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from eventstore.effect import Append, Effect, Work
from eventstore.store import Job
from judgement.history import History
from schemas.base import Frozen
from schemas.scores import Cost
from services.runtime.settings import Settings

Step = Callable[[History, datetime], Effect]
"""(history, the time of the event that woke the service, or the clock at a timer) -> what is to be done."""


@dataclass(frozen=True)
class Failure:
    """Why a job's try gave no result."""

    error: str
    """Class of the failure."""
    message: str
    """What happened, and what to do about it."""
    terminal: bool
    """Whether no further try follows."""
    cost: Cost
    """What the try took."""


@dataclass(frozen=True)
class JobKind:
    """A kind of long job: which function runs it in a subprocess, and what its beginning and end are in the log."""

    queue: str
    """Work queue."""
    function: str
    """`module:function` that does the job, called with (argument, report)."""
    order: type[Frozen]
    """What the payload of a job of this queue holds."""
    prepare: Callable[[Job, Settings], Any]
    """The function's argument; picklable."""
    finished: Callable[[Job, Any], Effect]
    """What the result means."""
    failed: Callable[[Job, Failure], Effect]
    """What the failure of a try means."""
    permanent: frozenset[str] = frozenset({"DeadlinePassed"})
    """Classes of failure that another try cannot mend."""
    uncharged: frozenset[str] = frozenset()
    """Classes of failure that are found before any work is done; a try that ends so costs nothing."""
    artifacts: bool = True
    """Whether it reads or writes any, so that a process which runs it must reach them."""
    at_once: int | None = None
    """Jobs that a process runs side by side, where that is less than `AEVOLVE_WORKERS`."""
    gives_up: Callable[[Job, float], bool] = lambda *_: False
    """Whether no further try follows one that failed after so many seconds, although tries are left."""
    pause: Callable[[Job], timedelta] = lambda _: timedelta(seconds=1)
    """How long the next try waits after this one failed."""
    remedy: str = "raise budget.candidate_seconds or add workers"
    """What to do about a deadline that passed."""
    started: Callable[[Job, str], Sequence[Append]] = lambda *_: ()
    """What is said when a worker (named second) takes the job."""
    works_of: Callable[[History, str], Iterable[Work]] | None = None
    """The jobs of a key that the service's steps queue in this state of the campaign: a worker carries out no others
    (`services.runtime.jobs.ledger`). None where rows are believed."""
    missing: Callable[[History, Job], str | None] = lambda *_: None
    """What the log must hold besides before an owed job is carried out, such as its charge; None if it holds all."""


@dataclass(frozen=True)
class Service:
    """One service."""

    name: str
    """`data`, `recipes`, `trainer`, `oracle` or `policy`."""
    reactions: Mapping[str, tuple[Step, ...]]
    """Event type -> the steps that it may make due: the map of the service."""
    timers: tuple[Step, ...] = ()
    """Steps that become due by time alone."""
    jobs: tuple[JobKind, ...] = ()
    """Long jobs."""
    check: Callable[[Settings], None] = lambda _: None
    """Checks settings that only this service knows. Raises `BadSetting`."""
    preload: tuple[str, ...] = field(default=())
    """Modules that the warm job process imports once."""
