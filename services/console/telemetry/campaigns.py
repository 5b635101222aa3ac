"""Where the campaigns stand, as pure functions of their histories.

Labels stay few: the exporter shows a bounded number of campaigns, and of each the last rounds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from prometheus_client.metrics_core import Metric

from judgement.drift.assess import strength
from judgement.history import History
from schemas.scores import Kind
from services.console.telemetry.family import Family, Sample
from services.console.view.progress import STAGES, stage

ROUNDS = 10
"""The last rounds of a campaign whose scores are shown."""

STATES = ("running", "paused", "stopped", "finished")
BOTH: tuple[Kind, ...] = ("dev", "external")
CAMPAIGN = ("campaign",)

STATE = Family("aevolve_campaign_state", "1 for the state that a campaign is in, else 0.", ("campaign", "state"))
ROUND = Family("aevolve_campaign_round", "The open round; 0 before the first.", CAMPAIGN)
PLANNED = Family("aevolve_campaign_rounds", "Rounds that the constitution allows.", CAMPAIGN)
OPENED = Family("aevolve_round_opened_timestamp_seconds", "When the open round was opened, in Unix time.", CAMPAIGN)
DEADLINE = Family(
    "aevolve_round_deadline_timestamp_seconds",
    "When the open round must have ended by the constitution's deadlines, in Unix time.",
    CAMPAIGN,
)
CANDIDATES = Family("aevolve_round_candidates", "Candidates of the open round by stage.", ("campaign", "stage"))
BEST = Family(
    "aevolve_round_best_score_ratio",
    "The highest score of a round, of 1, on dev and on the external target.",
    ("campaign", "round", "kind"),
)
STATISTIC = Family(
    "aevolve_drift_statistic", "Bayes factor of the last drift test: it alarms from the threshold on.", CAMPAIGN
)
THRESHOLD = Family("aevolve_drift_threshold", "The constitution's threshold of the drift test.", CAMPAIGN)
STANDING = Family("aevolve_drifts_standing", "Drifts that were detected and not cleared.", CAMPAIGN)
ASKED = Family("aevolve_external_queries_total", "External queries that were charged.", CAMPAIGN)
LEFT = Family("aevolve_external_queries_left", "External queries that may still be asked.", CAMPAIGN)
ALLOWED = Family("aevolve_external_queries_allowed", "External queries of the whole campaign.", CAMPAIGN)
TOKENS = Family("aevolve_cost_tokens_total", "Tokens that were charged, of failed tries too.", CAMPAIGN)
COMPUTE = Family("aevolve_cost_token_parameters_total", "Tokens times active parameters that were charged.", CAMPAIGN)
SECONDS = Family("aevolve_cost_seconds_total", "Wall time of jobs that was charged.", CAMPAIGN)
DEVICE = Family("aevolve_cost_device_seconds_total", "Processor or accelerator time that was charged.", CAMPAIGN)
LOST = Family(
    "aevolve_cost_lost_seconds_total", "Time in which workers held a lease and died without a word.", CAMPAIGN
)

Values = Callable[[History], Iterable[Sample]]


def _one(number: Callable[[History], float | None]) -> Values:
    """A single number of a campaign, where there is one."""
    return lambda history: [((), value)] if (value := number(history)) is not None else []


def _state(history: History) -> Iterable[Sample]:
    flags = {"finished": history.finished is not None, "stopped": history.stopped, "paused": history.paused}
    now = next((state for state, true in flags.items() if true), "running")
    return [((state,), state == now) for state in STATES]


def _opened(history: History) -> datetime | None:
    return history.policy_times.get(history.round) if not history.closed else None


def _deadline(history: History) -> float | None:
    budget, opened = history.campaign.constitution.budget, _opened(history)
    patience = timedelta(seconds=budget.data_seconds + budget.round_seconds + budget.board_seconds)
    return (opened + patience).timestamp() if opened else None


def _candidates(history: History) -> Iterable[Sample]:
    counted = Counter(stage(trial) for trial in history.of_round(history.round))
    return [((name,), counted[name]) for name in STAGES]


def _best(history: History) -> Iterator[Sample]:
    for round_ in range(max(1, history.round - ROUNDS + 1), history.round + 1):
        for kind in BOTH:
            scores = [t.scores[kind].score for t in history.of_round(round_) if kind in t.scores]
            if scores:
                yield (str(round_), kind), max(scores)


def _statistic(history: History) -> float | None:
    return strength(history.assessments[max(history.assessments)]) if history.assessments else None


def _left(history: History) -> float:
    return history.campaign.constitution.budget.external_queries - history.reserved("external")


SHOWN: dict[Family, Values] = {
    STATE: _state,
    ROUND: _one(lambda h: h.round),
    PLANNED: _one(lambda h: h.campaign.constitution.rounds),
    OPENED: _one(lambda h: opened.timestamp() if (opened := _opened(h)) else None),
    DEADLINE: _one(_deadline),
    CANDIDATES: _candidates,
    BEST: _best,
    STATISTIC: _one(_statistic),
    THRESHOLD: _one(lambda h: h.campaign.constitution.drift.threshold),
    STANDING: _one(lambda h: len(h.standing_drifts)),
    ASKED: _one(lambda h: h.reserved("external")),
    LEFT: _one(_left),
    ALLOWED: _one(lambda h: h.campaign.constitution.budget.external_queries),
    TOKENS: _one(lambda h: h.spent.tokens),
    COMPUTE: _one(lambda h: h.spent.compute),
    SECONDS: _one(lambda h: h.spent.seconds),
    DEVICE: _one(lambda h: h.spent.device_seconds),
    LOST: _one(lambda h: h.spent.lost_seconds),
}
"""Every metric of a campaign, and how it follows from the history."""


def campaign_metrics(histories: Iterable[History]) -> Iterator[Metric]:
    """The metrics of these campaigns."""
    told = [history for history in histories if history.campaign is not None]
    for family, values in SHOWN.items():
        yield family.of(((h.id, *labels), number) for h in told for labels, number in values(h))
