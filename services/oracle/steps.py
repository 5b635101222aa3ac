"""Decides when the oracle queues a measurement, charges a query or assesses drift.

A query of the target or of the final set is reserved in the log, and thereby charged, in the same transaction that
queues it: a crash can neither charge a query twice nor send one without a charge (design rule 6).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from eventstore.effect import NOTHING, Append, Effect, Work
from eventstore.store import Job
from judgement.drift.assess import assess, verdicts
from judgement.history import History
from judgement.trial import Trial
from schemas.envelope import candidate_stream, round_stream
from schemas.events import SubmissionReserved
from schemas.scores import BASE, Kind
from schemas.targets import Outside
from services.oracle.orders import BOARD, SCORE, BaseReference, BoardOrder, ScoreOrder, measurement
from services.runtime.constitution_check import check_decisions

PAID: tuple[Kind, ...] = ("external", "final")
"""Sets whose queries are reserved in the log, and charged by that."""

Due = tuple[Trial, tuple[Kind, ...], int]
"""A model to be measured on these sets in this round."""


def measure_base(history: History, now: datetime) -> Effect:
    """Queue the measurement of the base model: every gain refers to it."""
    if not _base_due(history):
        return NOTHING
    budget = history.campaign.constitution.budget
    reserve = _reserve(history, [BASE], "external", round_=0) if budget.external_queries else NOTHING
    return reserve + _queued(history, _base_due(history))


def measure_dev(history: History, now: datetime) -> Effect:
    """Queue the dev score of every trained candidate."""
    return _queued(history, _dev_due(history))


def charge_queries(history: History, now: datetime) -> Effect:
    """Reserve, and thereby charge, the queries that the policy chose; queue them and the confirmations.

    Queries are of the target and of the final set; a confirmation is on fresh items and costs none.
    """
    effect = NOTHING
    for chosen in history.submissions.values():
        for kind in PAID:
            reserved = {r.candidate for r in history.reservations if r.kind == kind}
            new = [s.candidate for s in getattr(chosen, kind) if s.candidate not in reserved]
            effect += _reserve(history, new, kind, chosen.round)
    return effect + _queued(history, _query_due(history))


def works_of(history: History, key: str) -> Iterator[Work]:
    """The jobs of the key's candidate, or of the base, that the steps above queue in this state."""
    candidate = key.removeprefix(candidate_stream(history.id, "")).partition("/")[0]
    if candidate not in history.trials:
        return
    for trial, kinds, round_ in (*_base_due(history), *_dev_due(history), *_query_due(history, {candidate})):
        if trial.candidate == candidate:
            yield from _works(history, trial, kinds, round_)


def unreserved(history: History, job: Job) -> str | None:
    """Which query of an owed job is not reserved, hence not charged; None if all are."""
    order, paid = measurement(job), {(reserved.candidate, reserved.kind) for reserved in history.reservations}
    missing = [kind for kind in order.kinds if kind in PAID and (order.candidate, kind) not in paid]
    return f"no query of {missing[0]} is reserved" if missing else None


def _base_due(history: History) -> list[Due]:
    if history.base.scores or history.reserved("external"):
        return []
    budget = history.campaign.constitution.budget
    kinds: tuple[Kind, ...] = ("dev", "confirm", "external") if budget.external_queries else ("dev", "confirm")
    return [(history.base, kinds, 0)]


def _dev_due(history: History) -> list[Due]:
    trained = [t for t in history.of_round(history.round) if t.checkpoint and not t.ended]
    return [(trial, ("dev",), trial.round) for trial in trained]


def _query_due(history: History, only: Container[str] | None = None) -> list[Due]:
    """What was chosen and is not settled; a query that another choice has paid for is not asked again.

    It would be another job, as a key names the sets that are due together: one reservation would pay for two.
    """
    due: list[Due] = []
    last = history.campaign.constitution.rounds + 1
    paid_by = {(r.candidate, r.kind): last if r.kind == "final" else r.round for r in history.reservations}
    for round_, chosen in history.submissions.items():
        names = dict.fromkeys(s.candidate for s in (*chosen.confirm, *chosen.external, *chosen.final))
        for candidate in (name for name in names if only is None or name in only):
            trial, kinds = history.trials[candidate], _kinds_of(chosen, candidate)
            if all(paid_by.get((candidate, kind), round_) == round_ for kind in kinds):
                due.append((trial, tuple(kind for kind in kinds if not trial.has_outcome(kind)), round_))
    return due


def _queued(history: History, due: Iterable[Due]) -> Effect:
    return Effect(work=tuple(work for trial, kinds, round_ in due for work in _works(history, trial, kinds, round_)))


def assess_drift(history: History, now: datetime) -> Effect:
    """Assess drift once everything that the round asked for is settled, or the board's deadline has passed."""
    chosen = history.submissions.get(history.round)
    if chosen is None or history.round in history.assessments or not _answered(history, now):
        return NOTHING
    stream = round_stream(history.id, history.round)
    assessed = assess(history, history.round)
    events = (assessed, *verdicts(history, assessed))
    version = history.streams[stream]
    appends = [Append(history.id, stream, event, expected=version + i) for i, event in enumerate(events)]
    return check_decisions(history, appends)


def _answered(history: History, now: datetime) -> bool:
    """Whether each measurement is settled or past its board's deadline; later answers count in the next round."""
    chosen, asked_at = history.submissions[history.round], history.submission_times[history.round]
    measurements = [(s.candidate, kind, asked_at) for kind in ("confirm", "external") for s in getattr(chosen, kind)]
    if history.reserved("external"):
        measurements.append((BASE, "external", history.started_at))
    board_time = timedelta(seconds=history.campaign.constitution.budget.board_seconds)
    return all(_is_settled(history, c, kind) or now >= at + board_time for c, kind, at in measurements)  # type: ignore[arg-type]


def _is_settled(history: History, candidate: str, kind: Kind) -> bool:
    trial = history.trials[candidate]
    return trial.has_outcome(kind) and (trial.guarded or not history.campaign.constitution.guards)


def _kinds_of(chosen: object, candidate: str) -> list[Kind]:
    kinds: Sequence[Kind] = ("confirm", "external", "final")
    return [kind for kind in kinds if candidate in {s.candidate for s in getattr(chosen, kind)}]


def _reserve(history: History, candidates: Sequence[str], kind: Kind, round_: int) -> Effect:
    count = history.reserved(kind)
    limit = history.campaign.constitution.budget.external_queries if kind == "external" else 2
    return Effect(
        tuple(
            Append(
                history.id,
                f"{history.id}/exposure/{kind}",
                SubmissionReserved(
                    candidate=candidate, kind=kind, round=round_, number=count + i, left=limit - count - i
                ),
                expected=count + i - 1,
            )
            for i, candidate in enumerate(candidates, start=1)
        )
    )


def _works(history: History, trial: Trial, kinds: Sequence[Kind], round_: int) -> tuple[Work, ...]:
    """One job for the oracle's own measurements, guards included, and one for the query of an outside target."""
    outside = isinstance(history.campaign.constitution.target, Outside)
    away = tuple(kind for kind in kinds if outside and kind == "external")
    here = tuple(kind for kind in kinds if kind not in away)
    guards = _guards(history, trial, kinds)
    measuring = (_measuring(history, trial, here, round_, guards=guards),) if here or guards else ()
    return (*measuring, _asking(history, trial, away, round_)) if away else measuring


def _measuring(history: History, trial: Trial, kinds: Sequence[Kind], round_: int, *, guards: bool) -> Work:
    budget = history.campaign.constitution.budget
    order = ScoreOrder(**_measurement(history, trial, kinds, round_), guards=guards)
    return Work(
        queue=SCORE,
        key=f"{candidate_stream(history.id, trial.candidate)}/{'+'.join((*kinds, 'guards') if guards else kinds)}",
        campaign=history.id,
        payload=order.payload(),
        priority=0 if kinds == ("dev",) else 1,
        attempts=budget.attempts,
        deadline=trial.proposed_at + timedelta(seconds=budget.candidate_seconds)
        if trial.proposed_at and kinds == ("dev",)
        else None,
        cause=trial.checkpoint_id if kinds == ("dev",) else None,
    )


def _asking(history: History, trial: Trial, kinds: Sequence[Kind], round_: int) -> Work:
    target = history.campaign.constitution.target
    assert isinstance(target, Outside)
    asked_at = history.submission_times[round_] if round_ else history.started_at
    return Work(
        queue=BOARD,
        key=f"{candidate_stream(history.id, trial.candidate)}/{'+'.join(kinds)}",
        campaign=history.id,
        payload=BoardOrder(**_measurement(history, trial, kinds, round_)).payload(),
        attempts=target.tries,
        deadline=asked_at + timedelta(seconds=target.give_up_seconds),
    )


def _measurement(history: History, trial: Trial, kinds: Sequence[Kind], round_: int) -> dict[str, Any]:
    """The fields of `services.oracle.orders.Measurement`."""
    stamp = None if trial is history.base else history.base.stamps.get("dev")
    return {
        "candidate": trial.candidate,
        "kinds": tuple(kinds),
        "round": round_,
        "checkpoint": trial.checkpoint,
        "substrate": history.substrate,
        "campaign": history.campaign,
        "reference": BaseReference(stamp=stamp, known=tuple(sorted(history.references))) if stamp else None,
    }


def _guards(history: History, trial: Trial, kinds: Sequence[Kind]) -> bool:
    """Whether a job also measures the guards. They are costly: only for the base and candidates for promotion."""
    may_be_promoted = bool(kinds) and (trial.candidate == BASE or "confirm" in kinds or "external" in kinds)
    return bool(history.campaign.constitution.guards) and may_be_promoted and not trial.guarded
