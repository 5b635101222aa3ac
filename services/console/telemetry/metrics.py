"""The metrics of the log, its queues and its campaigns, as pure functions of figures and histories.

Labels stay few: a bounded number of campaigns is exported, and of each the last rounds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from eventstore.figures import Figures
from judgement.drift.assess import strength
from judgement.history import History
from schemas.scores import Kind
from services.console.view.progress import STAGES, stage

Sample = tuple[tuple[str, ...], float]
"""Values of the labels, and the number."""


@dataclass(frozen=True)
class Family:
    """One metric."""

    name: str
    """By Prometheus's convention; a counter's ends with `_total`."""
    help: str
    """Its meaning and unit."""
    labels: tuple[str, ...] = field(default=())
    """Names of its labels."""

    def of(self, samples: Iterable[Sample]) -> Metric:
        """The family with its samples."""
        kind = CounterMetricFamily if self.name.endswith("_total") else GaugeMetricFamily
        metric = kind(self.name, self.help, labels=self.labels)
        for values, number in samples:
            metric.add_metric(list(values), number)
        return metric

    def at(self, number: float) -> Metric:
        """A family without labels."""
        return self.of([((), number)])


REACHABLE = Family("aevolve_log_reachable", "1 if the log answered the last read, else 0.")
POSITION = Family("aevolve_log_position", "Position of the last event of the log.")
VERIFIED = Family("aevolve_chain_verified_position", "Position up to which the hash chain is verified.")
BROKEN = Family("aevolve_chain_broken", "1 if the hash chain is broken, else 0.")
RELAY_LAG = Family("aevolve_relay_lag_positions", "Positions of the log not yet published to Kafka.")
LAG = Family("aevolve_consumer_lag_positions", "Positions a consumer is behind the head of the log.", ("consumer",))
JOBS = Family(
    "aevolve_queue_jobs", "Jobs by state; expired: leased by a worker that stopped renewing.", ("queue", "state")
)
WAITING = Family("aevolve_queue_age_seconds", "How long the oldest job has been waiting for a worker.", ("queue",))
LEASES = Family("aevolve_leases_held", "Jobs with a valid lease.", ("queue",))
LEASE_AGE = Family("aevolve_lease_age_seconds", "How long the oldest valid lease has been held.", ("queue",))

SYSTEM = (REACHABLE, POSITION, VERIFIED, BROKEN, RELAY_LAG, LAG, JOBS, WAITING, LEASES, LEASE_AGE)


@dataclass(frozen=True)
class ChainState:
    """Result of the verification of the hash chain."""

    verified: int
    """Last verified position."""
    broken: bool
    """Whether the next position is broken."""


def system_metrics(figures: Figures, chain: ChainState) -> Iterator[Metric]:
    """The metrics at one moment."""
    queues = figures.queues.items()
    yield POSITION.at(figures.head)
    yield VERIFIED.at(chain.verified)
    yield BROKEN.at(chain.broken)
    yield RELAY_LAG.at(figures.relay_lag)
    yield LAG.of(((consumer,), lag) for consumer, lag in figures.consumers.items())
    yield JOBS.of(((name, state), jobs) for name, queue in queues for state, jobs in queue.jobs.items())
    yield WAITING.of(((name,), queue.waiting_seconds) for name, queue in queues)
    yield LEASES.of(((name,), queue.jobs["leased"]) for name, queue in queues)
    yield LEASE_AGE.of(((name,), queue.lease_seconds) for name, queue in queues)


ROUNDS = 10
"""The last rounds of a campaign whose scores are exported."""

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
    "The highest score of a round (0 to 1), on dev and on the target.",
    ("campaign", "round", "kind"),
)
STATISTIC = Family(
    "aevolve_drift_statistic", "Bayes factor of the last drift test; drift is declared from the threshold.", CAMPAIGN
)
THRESHOLD = Family("aevolve_drift_threshold", "The constitution's threshold of the drift test.", CAMPAIGN)
STANDING = Family("aevolve_drifts_standing", "Drifts detected and not cleared.", CAMPAIGN)
QUERIED = Family("aevolve_external_queries_total", "Target queries charged.", CAMPAIGN)
LEFT = Family("aevolve_external_queries_left", "Target queries left.", CAMPAIGN)
ALLOWED = Family("aevolve_external_queries_allowed", "Target queries allowed in the campaign.", CAMPAIGN)
TOKENS = Family("aevolve_cost_tokens_total", "Tokens charged, failed attempts included.", CAMPAIGN)
COMPUTE = Family("aevolve_cost_token_parameters_total", "Tokens times active parameters charged.", CAMPAIGN)
SECONDS = Family("aevolve_cost_seconds_total", "Wall time of jobs charged.", CAMPAIGN)
DEVICE = Family("aevolve_cost_device_seconds_total", "Processor or accelerator time charged.", CAMPAIGN)
LOST = Family("aevolve_cost_lost_seconds_total", "Time for which crashed workers held a lease.", CAMPAIGN)

Values = Callable[[History], Iterable[Sample]]


def _one(number: Callable[[History], float | None]) -> Values:
    """A single number of a campaign; no sample for None."""
    return lambda history: [((), value)] if (value := number(history)) is not None else []


def _state(history: History) -> Iterable[Sample]:
    flags = {"finished": history.finished is not None, "stopped": history.stopped, "paused": history.paused}
    now = next((state for state, true in flags.items() if true), "running")
    return [((state,), state == now) for state in STATES]


def _opened(history: History) -> datetime | None:
    return history.policy_times.get(history.round) if not history.closed else None


def _deadline(history: History) -> float | None:
    budget, opened = history.campaign.constitution.budget, _opened(history)
    limit = timedelta(seconds=budget.data_seconds + budget.round_seconds + budget.board_seconds)
    return (opened + limit).timestamp() if opened else None


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


CAMPAIGN_METRICS: dict[Family, Values] = {
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
    QUERIED: _one(lambda h: h.reserved("external")),
    LEFT: _one(_left),
    ALLOWED: _one(lambda h: h.campaign.constitution.budget.external_queries),
    TOKENS: _one(lambda h: h.spent.tokens),
    COMPUTE: _one(lambda h: h.spent.compute),
    SECONDS: _one(lambda h: h.spent.seconds),
    DEVICE: _one(lambda h: h.spent.device_seconds),
    LOST: _one(lambda h: h.spent.lost_seconds),
}
"""Metric of a campaign -> its value from the history."""


def campaign_metrics(histories: Iterable[History]) -> Iterator[Metric]:
    """The metrics of these campaigns."""
    started = [history for history in histories if history.campaign is not None]
    for family, values in CAMPAIGN_METRICS.items():
        yield family.of(((h.id, *labels), number) for h in started for labels, number in values(h))
